"""A base in four bits against bitsandbytes' own layers and plain peft on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain_loop
import pytest
import torch
from peft_oracle import examples, peft_model, peft_names
from tiny import LABELS, tiny_model
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from fewtune.runtime.job import Corpus, Job, ModelRef
from fewtune.runtime.train import adaptation, tuner
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.loop import Course, Learner, Training, train
from fewtune.runtime.train.model import BLOCK, Base, load
from fewtune.runtime.train.pack import Pack, train_packed
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.quantised import FourBitLinear, dense, packed

Bases = Callable[..., Base]
SEED = 11
ARCHITECTURES = ("llama", "qwen2", "opt", "gpt_neox")


def theirs(folder: Path, dtype: torch.dtype) -> Any:
    """The model as transformers and bitsandbytes hold it."""
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, quantization_config=config).eval()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_blocks_are_quantised_and_nothing_else(
    architecture: str, precision: str, bases: Bases, models: Any
) -> None:
    from bitsandbytes.functional import dequantize_4bit

    base, plain = bases(architecture, f"{precision} nf4"), bases(architecture, precision)
    other = theirs(models(architecture), base.dtype)
    kinds = {type(module) for path, module in base.model.named_modules() if path in linears(plain.model)}
    assert kinds == {FourBitLinear}
    for path in linears(plain.model):
        mine, stored = base.model.get_submodule(path), other.get_submodule(path)
        assert torch.equal(dense(mine), dequantize_4bit(stored.weight.data, stored.weight.quant_state))
        exact = plain.model.get_submodule(path).weight
        assert torch.equal(packed(exact).dense(), dense(mine))
    exact = dict(plain.model.named_parameters())
    left = dict(base.model.named_parameters())
    assert left.keys() == {name for name in exact if name.removesuffix(".weight") not in linears(plain.model)}
    assert all(torch.equal(value, exact[name]) for name, value in left.items())
    assert base.end_to_end
    assert base.shares_beginnings


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(64, 64), (192, 576)])
def test_the_error_is_that_of_nf4(shape: tuple[int, int], dtype: torch.dtype) -> None:
    """Of normal numbers 9 %; below 4096 numbers the kernel of bitsandbytes for processors loses more."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    again = packed(weight).dense()
    assert again.dtype == dtype
    assert float((again - weight).norm() / weight.norm()) == pytest.approx(0.092, abs=0.003)


def linears(model: Any) -> list[str]:
    return [path for path, module in model.named_modules() if isinstance(module, nn.Linear) and BLOCK.search(path)]


def ours(base: Base, job: Job, data: Any) -> tuple[Course, Learner]:
    weights = adaptation.moving(base, job.arm, len(LABELS), seed=5)
    tokens = [] if job.arm.formulation == "head" else list(job.tokens.values())
    learner = Learner(lambda: adaptation.tuned(base, job.arm, tokens, weights.working), weights, keeps_masters=True)
    return train(Training(learner, job.recipe, data, SEED, None, Pulse("job", lambda _: None))), learner


def values(course: Course) -> list[float]:
    return [loss for _, loss in course.losses]


def by_peft(folder: Path, base: Base, task: Job, data: Any) -> tuple[dict[str, Tensor], list[float]]:
    """The same in a plain loop over peft's model: (its parameters, the loss of each step)."""
    model = peft_model(folder, task.arm, torch.float32)
    parameters = dict(model.named_parameters())
    for name, value in peft_names(adaptation.initial(base, task.arm, len(LABELS), 5)):
        parameters[name].data.copy_(value)

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        wide: Tensor = model(input_ids=ids, attention_mask=mask).logits
        return wide if task.arm.formulation == "head" else plain_loop.last(wide, mask)[:, list(task.tokens.values())]

    moving = [parameter for parameter in parameters.values() if parameter.requires_grad]
    return parameters, plain_loop.train(moving, logits, task.recipe, data, SEED)


@pytest.mark.parametrize("targets", [None, 1])
@pytest.mark.parametrize("formulation", ["pattern", "head"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_training_is_pefts_on_a_base_in_four_bits(
    architecture: str, formulation: str, targets: int | None, models: Any, bases: Bases, job: Any, corpus: Corpus
) -> None:
    """Also where a layer before has no update and only hands gradients on."""
    folder, task = models(architecture), job(formulation, "qlora", architecture=architecture, steps=8, micro_batch=3)
    lora = task.arm.lora.model_copy(update={"targets": task.arm.lora.targets[:targets]})
    task = task.model_copy(update={"arm": task.arm.model_copy(update={"lora": lora})})
    data, base = examples(folder, task.arm, corpus), bases(architecture, "fp32 nf4")
    course, _ = ours(base, task, data)
    parameters, losses = by_peft(folder, base, task, data)
    assert values(course) == pytest.approx(losses, rel=1e-4)
    for name, value in peft_names(course.result):
        torch.testing.assert_close(value, parameters[name].data, atol=1e-4, rtol=1e-4)


def test_it_is_another_model_than_in_full(models: Any, bases: Bases, job: Any, corpus: Corpus) -> None:
    """The oracle would also hold if nothing were quantised; the losses say that something is."""
    task = job("pattern", "qlora", steps=8)
    data = examples(models(), task.arm, corpus)
    four, full = (values(ours(bases("llama", name), task, data)[0]) for name in ("fp32 nf4", "fp32"))
    assert max(abs(one - other) for one, other in zip(four, full, strict=True)) > 1e-3


@pytest.mark.parametrize("sizes", [(8, 8), (8, 3)])
def test_packed_trials_share_a_base_in_four_bits(
    sizes: tuple[int, int], models: Any, bases: Bases, job: Any, corpus: Corpus
) -> None:
    """Slots of equal and of different length."""
    base, tasks = bases("llama", "fp32 nf4"), [job("pattern", "qlora", batch_size=size, steps=5) for size in sizes]
    data = examples(models(), tasks[0].arm, corpus)
    data = [type(each)(each.tokens[-6:], each.label) for each in data]
    tokens = list(tasks[0].tokens.values())
    pack = Pack(base, [task.arm for task in tasks], tokens, len(LABELS), 2)

    def start(task: Job, slot: int) -> Training:
        learner = pack.seat(slot, task.arm, 5)
        return Training(learner, task.recipe, data, SEED, None, Pulse("job", lambda _: None))

    together = {id(task): course for task, course, _ in train_packed(pack, tasks, start)}
    for task in tasks:
        alone, _ = ours(base, task, data)
        assert values(together[id(task)]) == pytest.approx(values(alone), rel=1e-4)


def test_no_dense_weight_outlives_its_use(bases: Bases, job: Any) -> None:
    """What a forward pass keeps for the backward pass holds no tensor of a weight's shape and precision."""
    base, task = bases("llama", "fp32 nf4"), job("pattern", "qlora")
    weights = adaptation.moving(base, task.arm, len(LABELS), seed=5)
    tuned = adaptation.tuned(base, task.arm, list(task.tokens.values()), weights.working)
    shapes = {tuple(module.packed.state.shape) for module in base.model.modules() if isinstance(module, FourBitLinear)}
    kept: list[tuple[int, ...]] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    # 87 tokens, which are rounded up to 96: no activation has the shape of a weight.
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        tuned.logits([[3, 5, 7, 5, 2, 9, 4] * 12 + [3, 5, 7]]).sum().backward()
    assert kept
    assert not shapes & set(kept)


def test_a_view_shares_the_packed_weights(bases: Bases) -> None:
    base = bases("llama", "fp32 nf4")
    mine, theirs_ = (
        [module.packed for module in model.modules() if isinstance(module, FourBitLinear)]
        for model in (base.view({}), base.model)
    )
    assert len(mine) == 14
    assert all(one is other for one, other in zip(mine, theirs_, strict=True))


def test_a_missing_tensor_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny_model(tmp_path / "m")
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"missing model\.layers\.1\.mlp\.up_proj\.weight"):
        load(str(folder), "fp32", "cpu", four_bit=True)


@pytest.mark.parametrize("formulation", ["pattern", "head"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_engine_learns_and_a_reloaded_state_gives_the_same_bits(
    formulation: str, precision: str, job: Any, engine: Any
) -> None:
    task = job(formulation, "qlora", precision=precision, steps=30, learning_rate=0.02)
    first = engine().run(task)
    assert first.failure is None, first.message
    assert "bitsandbytes" in first.versions
    losses = first.outcomes[0].losses
    assert losses[-1][1] < 0.7 * losses[0][1]
    again = engine(fresh=True).run(task.model_copy(update={"fit": None}), state=first.outcomes[0].state)
    assert again.outcomes[0].probabilities == first.outcomes[1].probabilities


def test_other_bases_go_where_memory_is_short(
    models: Any, corpus: Corpus, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(ModelRef(path=str(models()), weights_hash=""), corpus)
    size = (models() / "model.safetensors").stat().st_size
    for free, held in ((tuner.ROOM * size, 2), (tuner.ROOM * size - 1, 1)):
        monkeypatch.setattr(tuner, "free_bytes", lambda _, free=free: free)
        subject = Engine(ModelRef(path=str(models()), weights_hash=""), corpus)
        for moves in ("lora", "qlora"):
            assert subject.run(job("pattern", moves, steps=1)).failure is None
        assert len(subject._methods["model"]._bases) == held  # type: ignore[attr-defined]
    assert engine is not subject
