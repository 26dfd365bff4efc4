"""The memory model against published measurements and worked predictions.

Measured rows are peaks that torch allocated for OPT in fp32 at 512 padded tokens (a replication's logs), of another
engine: the published formula lies 4 to 16 % above them, ours, fitted to our own steps (tests/bench/memory.md), within
8 % of the published one. On top of it the compiler adds 10 % for fragmentation and a fixed workspace, and for full
fine-tuning it counts the resident base beside the weights that move (24 bytes a parameter instead of the 12 that are
alive at that run's peak). So every prediction must lie above the measurement, LoRA's by at most 45 %, full
fine-tuning's of these small models by at most 85 %. Worked rows are Llama-2 at 512 tokens with full recomputation,
which the engine does not do: there the static part is compared.
"""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from situations import CPU, H100, LLAMA_7B, LLAMA_70B, MODELS, OPT_125M, OPT_350M, SMALL, compiled, experiment

from fewtune.compiler.facts import ModelFacts
from fewtune.compiler.memory import (
    ADAM,
    CONTEXT,
    HEADROOM,
    USABLE,
    WORKSPACE,
    Load,
    activation_bytes,
    base_bytes,
    element_bytes,
    limit_bytes,
    load_bytes,
    lora_parameters,
    peak_bytes,
)

GIB = 2**30
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "out_proj")


def every(model: ModelFacts) -> tuple[str, ...]:
    """All linear layers of the blocks."""
    return tuple(linear.name for linear in model.linears)


def load(model: ModelFacts, adaptation: Any, batch: int, *, tokens: int = 512, precision: Any = "fp32") -> Load:
    """A training load; LoRA of rank 8 on queries and values, the default of its time."""
    trainable = model.parameters if adaptation == "full" else lora_parameters(model, 8, ("q_proj", "v_proj"))
    return Load(adaptation, precision, trainable, batch, tokens)


@pytest.mark.parametrize(
    ("model", "rank", "targets", "millions", "share"),
    [
        (LLAMA_7B, 16, ATTENTION, 16.8, 0.249),
        (LLAMA_7B, 16, every(LLAMA_7B), 40.0, 0.593),
        (LLAMA_70B, 16, ATTENTION, 65.5, 0.095),
        (LLAMA_70B, 16, every(LLAMA_70B), 207.0, 0.300),
    ],
)
def test_parameters_of_lora(
    model: ModelFacts, rank: int, targets: tuple[str, ...], millions: float, share: float
) -> None:
    """The published counts: r (d_in + d_out) for each matrix, grouped heads and gates included."""
    count = lora_parameters(model, rank, targets)
    assert count / 1e6 == pytest.approx(millions, abs=0.1)
    assert 100 * count / model.parameters == pytest.approx(share, abs=0.002)


def test_parameters_of_lora_by_hand() -> None:
    per_block = 8 * ((576 + 576) * 2 + (576 + 192) * 2 + (576 + 1536) * 3)
    assert lora_parameters(SMALL, 8, every(SMALL)) == 30 * per_block
    assert lora_parameters(SMALL, 8, ("q_proj",)) == 30 * 8 * (576 + 576)
    assert lora_parameters(SMALL, 8, ("unknown",)) == 0


# Model, method, batch, measured GiB, the formula's GiB (12 or 4 bytes a parameter, and activations).
MEASURED = [
    (OPT_125M, "full", 2, 2.51, 2.61), (OPT_125M, "full", 4, 3.56, 3.82), (OPT_125M, "full", 8, 5.67, 6.25),
    (OPT_125M, "lora", 2, 1.52, 1.68), (OPT_125M, "lora", 4, 2.57, 2.89), (OPT_125M, "lora", 8, 4.64, 5.31),
    (OPT_350M, "full", 2, 6.50, 6.93), (OPT_350M, "full", 4, 9.24, 10.17),
    (OPT_350M, "lora", 2, 3.95, 4.47), (OPT_350M, "lora", 4, 6.65, 7.70),
]  # fmt: skip


@pytest.mark.parametrize(("model", "adaptation", "batch", "measured", "formula"), MEASURED)
def test_the_formula_is_near_the_published_one(
    model: ModelFacts, adaptation: str, batch: int, measured: float, formula: float
) -> None:
    static = (12 if adaptation == "full" else 4) * model.parameters
    moving = 0 if adaptation == "full" else ADAM * load(model, adaptation, batch).trainable
    predicted = (static + moving + activation_bytes(model, load(model, adaptation, batch))) / GIB
    assert predicted == pytest.approx(formula, rel=0.08)
    assert 1.03 <= predicted / measured <= 1.25


@pytest.mark.parametrize(("model", "adaptation", "batch", "measured", "formula"), MEASURED)
def test_a_prediction_is_above_what_was_measured(
    model: ModelFacts, adaptation: str, batch: int, measured: float, formula: float
) -> None:
    predicted = peak_bytes(model, CPU, load(model, adaptation, batch)) / GIB
    assert formula < predicted
    assert 1 <= predicted / measured <= (1.85 if adaptation == "full" else 1.45)


def test_activations_do_not_depend_on_what_moves() -> None:
    """LoRA takes away gradients and optimizer state, nothing else."""
    for model in MODELS.values():
        assert activation_bytes(model, load(model, "full", 4)) == activation_bytes(model, load(model, "lora", 4))


@pytest.mark.parametrize(
    ("model", "targets", "batch", "wanted"),
    [
        (LLAMA_7B, ATTENTION, 1, 15.1), (LLAMA_7B, every(LLAMA_7B), 1, 15.5),
        (LLAMA_7B, ATTENTION, 8, 17.8), (LLAMA_7B, every(LLAMA_7B), 8, 18.1),
        (LLAMA_70B, ATTENTION, 1, 141), (LLAMA_70B, every(LLAMA_70B), 1, 143),
        (LLAMA_70B, ATTENTION, 8, 148), (LLAMA_70B, every(LLAMA_70B), 8, 151),
    ],
)  # fmt: skip
def test_the_static_part_is_that_of_the_worked_predictions(
    model: ModelFacts, targets: tuple[str, ...], batch: int, wanted: float
) -> None:
    """Weights and LoRA at rank 16 are ours; a context of 1 GB, recomputed activations and logits are the table's."""
    s, h, layers, heads = 512, model.hidden, model.layers, model.heads
    recomputed = 2 * s * batch * h * layers + s * batch * h * (34 + 5 * heads * s / h) + batch * s * 32_000 * 8
    static = element_bytes("bf16") * model.parameters + ADAM * lora_parameters(model, 16, targets)
    assert (static + recomputed + 1e9) / 1e9 == pytest.approx(wanted, abs=0.6 if wanted > 100 else 0.06)
    trainable = lora_parameters(model, 16, targets)
    assert peak_bytes(model, H100, Load("lora", "bf16", trainable, batch, s)) / 1e9 > wanted, "nothing is recomputed"


def test_full_fine_tuning_keeps_the_base_beside_the_weights_that_move() -> None:
    """20 bytes a moving parameter (16 of AdamW, 4 of copies), and the resident base."""
    for precision, own in (("fp32", 4), ("bf16", 2)):
        one = Load("full", precision, LLAMA_7B.parameters, 1, 512)  # type: ignore[arg-type]
        held = (peak_bytes(LLAMA_7B, H100, one) - CONTEXT) / HEADROOM - activation_bytes(LLAMA_7B, one)
        assert held / LLAMA_7B.parameters == pytest.approx(20 + own, abs=0.001)


def test_a_base_in_four_bits_is_the_published_size() -> None:
    """Llama-2-7B: 6.476e9 numbers in 4.127 bits, 0.26e9 in 16 bit: 3.87 GB, and one layer dequantised."""
    one = Load("qlora", "bf16", 0, 1, 512)
    largest = 2 * 4096 * 11008
    assert (base_bytes(LLAMA_7B, one) - largest) / 1e9 == pytest.approx(3.87, abs=0.02)
    whole = Load("lora", "bf16", 0, 1, 512)
    assert load_bytes(LLAMA_7B, H100, one) < peak_bytes(LLAMA_7B, H100, one) < peak_bytes(LLAMA_7B, H100, whole)


def test_inference_holds_the_weights_and_two_layers() -> None:
    one = Load("none", "bf16", 0, 1, 128)
    held = (peak_bytes(LLAMA_7B, H100, one) - CONTEXT) / HEADROOM
    assert held == pytest.approx(2 * LLAMA_7B.parameters + activation_bytes(LLAMA_7B, one) / 16, rel=1e-6)
    assert peak_bytes(SMALL, CPU, one) > 2 * SMALL.parameters * HEADROOM + WORKSPACE


def test_the_usual_statements_of_hardware_tables() -> None:
    """A 7B model: LoRA in 24 GB at a short sequence, full fine-tuning not in 80."""
    short = Load("lora", "bf16", lora_parameters(LLAMA_7B, 16, every(LLAMA_7B)), 1, 128)
    assert peak_bytes(LLAMA_7B, H100, short) < 24e9
    assert peak_bytes(LLAMA_7B, H100, Load("full", "bf16", LLAMA_7B.parameters, 1, 128)) > 80e9


# Gigabytes of a vendor's table; ours for one text of 128 tokens and for eight of 512, which it should lie between.
VENDOR = [
    (LLAMA_7B, "full", 112, False),  # 16 bytes a parameter: model states without activations, context or the base
    (LLAMA_70B, "full", 1120, False),  # the same, times ten
    (LLAMA_7B, "lora", 18, True), (LLAMA_70B, "lora", 180, True),
    (LLAMA_7B, "qlora", 6, False),  # 3.9 of weights: the context and a short text take more than the rest
    (LLAMA_70B, "qlora", 48, False),  # 48.2 for the shortest text
    (LLAMA_7B, "adapter", 24, True), (LLAMA_70B, "adapter", 240, True),
]  # fmt: skip


@pytest.mark.parametrize(("model", "adaptation", "told", "reachable"), VENDOR)
def test_the_vendors_table(model: ModelFacts, adaptation: Any, told: float, reachable: bool) -> None:
    """What it says of LoRA and adapters some load takes; of the others no load so little."""
    trainable = {"full": model.parameters, "adapter": round(0.036 * model.parameters)}.get(
        adaptation, lora_parameters(model, 16, ATTENTION)
    )
    least, most = (
        peak_bytes(model, H100, Load(adaptation, "bf16", trainable, rows, tokens)) / 1e9
        for rows, tokens in ((1, 128), (8, 512))
    )
    assert (least <= told <= most) if reachable else told < least


def test_the_vendors_columns_are_of_different_loads() -> None:
    """Full is 16 bytes of each of 7.0e9; between LoRA and QLoRA lie the weights' bits, 9.6 and 101.6 GB, not 12, 132.

    And a load that takes 18 GB at 7B takes less than 180 at 70B.
    """
    assert round(ADAM * 7.0) == 112
    for model, apart, told in ((LLAMA_7B, 9.6, 12), (LLAMA_70B, 101.6, 132)):
        whole, four = (base_bytes(model, Load(kind, "bf16", 0, 1, 512)) for kind in ("lora", "qlora"))
        largest = 2 * max(linear.d_in * linear.d_out for linear in model.linears)
        assert (whole - four + largest) / 1e9 == pytest.approx(apart, rel=0.01)
        assert (whole - four) / 1e9 < told
    tokens = next(
        tokens for tokens in range(512, 8, -8)
        if peak_bytes(LLAMA_7B, H100, Load("lora", "bf16", lora_parameters(LLAMA_7B, 16, ATTENTION), 1, tokens)) < 18e9
    )  # fmt: skip
    large = Load("lora", "bf16", lora_parameters(LLAMA_70B, 16, ATTENTION), 1, tokens)
    assert peak_bytes(LLAMA_70B, H100, large) < 170e9


models = st.sampled_from(list(MODELS.values()))
adaptations = st.sampled_from(["none", "lora", "qlora", "full"])
precisions = st.sampled_from(["bf16", "fp32"])


@given(models, adaptations, precisions, st.integers(1, 64), st.integers(8, 1024))
def test_more_at_once_and_longer_texts_take_more(
    model: ModelFacts, adaptation: Any, precision: Any, micro: int, tokens: int
) -> None:
    few = lora_parameters(model, 8, every(model))
    trainable = {"none": 0, "lora": few, "qlora": few, "full": model.parameters}[adaptation]
    here = peak_bytes(model, H100, Load(adaptation, precision, trainable, micro, tokens))
    assert here < peak_bytes(model, H100, Load(adaptation, precision, trainable, micro + 1, tokens))
    assert here < peak_bytes(model, H100, Load(adaptation, precision, trainable, micro, tokens + 8))


@given(models, precisions, st.integers(1, 200), st.integers(8, 512))
def test_a_higher_rank_takes_more_and_full_takes_most(
    model: ModelFacts, precision: Any, rank: int, tokens: int
) -> None:
    counts = [0, lora_parameters(model, rank, every(model)), lora_parameters(model, rank + 1, every(model))]
    kinds: list[Any] = ["none", "lora", "lora", "full"]
    loads = [Load(kind, precision, n, 4, tokens) for kind, n in zip(kinds, [*counts, model.parameters], strict=True)]
    if counts[2] < model.parameters:
        assert all(peak_bytes(model, H100, a) < peak_bytes(model, H100, b) for a, b in pairwise(loads))


@given(models, st.integers(1, 64), st.integers(8, 1024))
def test_half_the_bytes_of_a_number_take_less(model: ModelFacts, micro: int, tokens: int) -> None:
    loads = [Load("lora", precision, 10**6, micro, tokens) for precision in ("bf16", "fp32")]
    assert peak_bytes(model, H100, loads[0]) < peak_bytes(model, H100, loads[1])


@pytest.mark.parametrize(
    ("limit", "wanted"), [(None, USABLE * 80 * GIB), ("24 GB", 24e9), ("24 GiB", 24 * GIB), ("9 TB", USABLE * 80 * GIB)]
)
def test_the_limit_is_the_smaller_one(limit: str | None, wanted: float) -> None:
    asked = experiment(constraints={"gpu_memory": limit})
    assert limit_bytes(asked, H100) == round(wanted)


@pytest.mark.parametrize(("gigabytes", "micro"), [("19 GB", 8), ("11 GB", 4), ("7 GB", 2), ("5 GB", 1)])
def test_the_batch_is_halved_until_it_fits(gigabytes: str, micro: int) -> None:
    """The batch itself stays: what a step learns from does not follow from the memory."""
    tables = {"data": {"label_budget": 32}, "constraints": {"gpu_memory": gigabytes},
              "model": {"precision": "fp32"}}  # fmt: skip
    made = compiled(tables, tokens=500, model="opt-350m", device="h100")
    (recipe,) = next(arm for arm in made.plan.arms if arm.method == "pattern+lora").recipes
    assert (recipe.batch_size, recipe.micro_batch) == (8, micro)


def test_the_estimate_is_the_largest_arm() -> None:
    estimate = compiled(model="opt-125m", device="h100").estimate
    peaks = {cost.arm: cost.peak_memory_bytes.high for cost in estimate.arms}
    assert estimate.peak_memory_bytes.high == max(peaks.values()) == peaks["pattern + full"]
    assert peaks["majority"] == 0
    assert 0 < peaks["zero-shot"] < peaks["pattern + LoRA r=8"] < peaks["pattern + full"]
