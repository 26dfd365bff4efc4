"""How many trials share a step."""

import pytest
from situations import CPU, H100, LLAMA_7B, OLD_CPU, SMALL, compiled

from fewtune.compiler.arm import Arm, Generation, Lora
from fewtune.compiler.cost import step_seconds
from fewtune.compiler.facts import DeviceFacts, ModelFacts
from fewtune.compiler.memory import limit_bytes
from fewtune.compiler.packing import MOST, Shape, key, packing
from fewtune.compiler.price import Packing

TEXTS = Generation(max_new_tokens=64, end_tokens=(0,), stop_at_newline=True)


def arm(rank: int = 8, **changes: object) -> Arm:
    lora = Lora(rank=rank, alpha=16, targets=("q_proj", "v_proj"))
    made = Arm(name="a", method="pattern+lora", formulation="pattern", adaptation="lora", role="candidate", lora=lora,
               recipes=())  # fmt: skip
    return made.model_copy(update=changes)


def packed(
    model: ModelFacts, device: DeviceFacts, tokens: float, *, trials: int = 64, limit: int = 70 << 30
) -> Packing:
    precision = "bf16" if device.bf16 else "fp32"
    shape = Shape(tokens=tokens, micro_batch=8, longest=int(tokens / 8) + 1, trainable=2_400_000)
    return packing(
        model, device, [arm(precision=precision)], shape, trials=trials, steps=60 * trials, ready=trials, limit=limit
    )


@pytest.mark.parametrize(
    ("model", "device", "tokens", "slots"),
    [
        (SMALL, CPU, 400, 9),  # reading and rearranging the weights takes a third of a step
        (SMALL, OLD_CPU, 400, 1),  # products in fp32 take nearly all of it
        (SMALL, CPU, 4096, 1),
        (SMALL, H100, 128, 29),  # kernels at their shortest do; one more would bring less than its optimizer costs
        (SMALL, H100, 20_000, 1),
        (LLAMA_7B, H100, 2048, 1),
    ],
)
def test_it_follows_where_the_time_goes(model: ModelFacts, device: DeviceFacts, tokens: float, slots: int) -> None:
    found = packed(model, device, tokens)
    assert found.slots == slots
    assert found.packed_seconds <= found.alone_seconds
    assert found.trials == 64


def test_short_rows_share_on_a_processor() -> None:
    found = packed(SMALL, CPU, 8)
    assert found.slots > 1
    assert found.alone_seconds > 1.1 * found.packed_seconds
    assert "times as fast" in found.because


@pytest.mark.parametrize("device", [CPU, OLD_CPU, H100], ids=lambda device: device.name)
@pytest.mark.parametrize("model", [SMALL, LLAMA_7B], ids=lambda model: model.place)
def test_masks_have_a_price(model: ModelFacts, device: DeviceFacts) -> None:
    precision = "bf16" if device.bf16 else "fp32"
    plain, masked = (
        step_seconds(model, device, precision, "lora", tokens=512, trainable=10**6, masked=masked)
        for masked in (False, True)
    )
    assert masked > plain


def test_a_saturated_device_takes_no_more() -> None:
    slots = [packed(SMALL, H100, tokens).slots for tokens in (64, 512, 1024, 2048, 4096, 16384)]
    assert slots == sorted(slots, reverse=True)
    assert slots[0] > 0.9 * MOST
    assert 1 < slots[2] < slots[0]


def test_memory_limits_it() -> None:
    free = packed(SMALL, H100, 128)
    tight = packed(SMALL, H100, 128, limit=3 << 30)
    assert 1 <= tight.slots < free.slots
    none = packed(SMALL, H100, 128, limit=1900 << 20)
    assert none.slots == 1
    assert "do not fit into memory" in none.because
    assert [found.fitting for found in (free, none)] == [MOST, 1]
    assert tight.slots <= tight.fitting < MOST


def test_one_training_is_alone() -> None:
    assert packed(SMALL, H100, 128, trials=1).slots == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (arm(4), arm(64), True),
        (arm(), arm(lora=Lora(rank=8, alpha=1, targets=("v_proj", "q_proj"))), True),
        (arm(), arm(lora=Lora(rank=8, alpha=16, targets=("q_proj",))), False),
        (arm(), arm(precision="bf16"), False),
        (arm(), arm(formulation="head"), False),
        (arm(), arm(formulation="generation", generation=TEXTS), False),
        (arm(formulation="generation", generation=TEXTS), arm(4, formulation="generation", generation=TEXTS), True),
    ],
)
def test_what_must_agree(one: Arm, other: Arm, *, same: bool) -> None:
    assert (key(one) == key(other)) is same
    assert key(one.model_copy(update={"adaptation": "full", "lora": None})) is None


def test_every_trained_arm_is_in_one_group() -> None:
    made = compiled({"methods": {"pin": {"rank": [2, 8]}}})
    grouped = [name for group in made.estimate.packing for name in group.arms]
    assert sorted(grouped) == sorted(one.name for one in made.plan.arms if one.trained)
    full = next(group for group in made.estimate.packing if group.arms == ("pattern + full",))
    assert (full.slots, full.packed_seconds) == (1, full.alone_seconds)
    assert "own weights" in full.because
    for group in made.estimate.packing:
        assert group.trials == sum(trial.arm in group.arms for trial in made.plan.trials)
    assert limit_bytes(made.plan.experiment, CPU) > made.estimate.peak_memory_bytes.high
