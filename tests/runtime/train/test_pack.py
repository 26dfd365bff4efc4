"""Trials that share their steps against plain peft loops, each alone; and what must not cross from slot to slot."""

import copy
import gc
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import plain_loop
import pytest
import torch
from peft import LoraConfig, PeftModel
from peft_oracle import examples, peft_model, peft_names
from safetensors.torch import save_file
from tiny import LABELS
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from fewtune.compiler.arm import Arm, Lora, Recipe
from fewtune.runtime.job import Corpus
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.loop import Course, Example, Learner, Training, Validation, step
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.pack import Pack, train_packed
from fewtune.runtime.train.prediction import Prediction
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.recorded import Recorder, Work

RATES = (0.01, 0.003, 0.02, 0.005, 0.001)


@dataclass(frozen=True)
class Trial:
    """What one slot trains."""

    arm: Arm
    recipe: Recipe
    data: Sequence[Example]
    seed: int
    validation: Sequence[float] | None = None
    """Accuracies, of four rows, that the validations will find."""
    states: list[dict[str, Tensor]] = field(default_factory=list)


Grid = Any


@pytest.fixture
def grid(models: Any, job: Any, corpus: Corpus) -> Grid:
    """Builds trials that differ in all that may differ."""

    def made(
        architecture: str = "opt", formulation: str = "pattern", *, clip: bool = True, count: int = 5
    ) -> list[Trial]:
        ranks, alphas = (1, 4, 16, 4, 8), (2, 8, 16, 5, 8)
        trials = []
        for place in range(count):
            task = job(formulation, "lora", architecture=architecture)
            lora = Lora(rank=ranks[place % 5], alpha=alphas[place % 5], targets=task.arm.lora.targets,
                        rslora=place % 5 == 3)  # fmt: skip
            arm = task.arm.model_copy(update={"lora": lora, "name": f"arm {place}"})
            recipe = task.recipe.model_copy(update={
                "steps": 20 - 3 * (place % 4), "batch_size": (8, 1, 3, 5, 2)[place % 5],
                "micro_batch": (8, 1, 2, 3, 2)[place % 5], "learning_rate": RATES[place % 5],
                "schedule": ("linear", "cosine", "constant")[place % 3], "warmup_steps": place % 4,
                "weight_decay": (0.0, 0.1)[place % 2], "max_grad_norm": (0.5, 1.0, 0.1)[place % 3] if clip else 1e9,
            })  # fmt: skip
            data = examples(models(architecture), arm, corpus, (20, 7, 12, 30, 4)[place % 5])
            data = [Example(each.tokens[-max(1, len(each.tokens) - 2 * place) :], each.label) for each in data]
            trials.append(Trial(arm, recipe, data, seed=30 + place))
        return trials

    return made


def packed(
    base: Base, trials: Sequence[Trial], tokens: Sequence[int], slots: int, record: Recorder | None = None
) -> list[Course]:
    """Train them together; their courses in the order of the trials."""
    pack = Pack(base, [trial.arm for trial in trials], tokens, len(LABELS), slots, record)

    def start(trial: Trial, slot: int) -> Training:
        learner = pack.seat(slot, trial.arm, trial.seed)
        validation = played(learner, trial) if trial.validation is not None else None
        pulse = Pulse(trial.arm.name, lambda _: None)
        return Training(learner, trial.recipe, trial.data, trial.seed, validation, pulse)

    found = {id(trial): course for trial, course, _ in train_packed(pack, trials, start)}
    return [found[id(trial)] for trial in trials]


def played(learner: Learner, trial: Trial) -> Validation:
    """Validations whose outcome is written down."""
    outcomes = iter(trial.validation or ())

    def predict() -> Prediction:
        trial.states.append(learner.snapshot())
        right = round(4 * next(outcomes))
        return Prediction(probabilities=tuple((0.9, 0.1) if row < right else (0.1, 0.9) for row in range(4)), seconds=0)

    return Validation(predict, [0] * 4)


def words(task: Any) -> list[int]:
    return list(task.tokens.values())


def by_peft(
    folder: Path, base: Base, trial: Trial, tokens: Sequence[int], dtype: torch.dtype
) -> tuple[Any, list[float]]:
    """The same trial, alone, in a plain peft loop: (its parameters, the loss of each step)."""
    tuned, head = peft_model(folder, trial.arm, dtype), trial.arm.formulation == "head"
    parameters = dict(tuned.named_parameters())
    for name, value in peft_names(adaptation.initial(base, trial.arm, len(LABELS), trial.seed)):
        parameters[name].data.copy_(value)

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        wide: Tensor = tuned(input_ids=ids, attention_mask=mask).logits
        return wide if head else plain_loop.last(wide, mask)[:, list(tokens)]

    moving = [parameter for parameter in parameters.values() if parameter.requires_grad]
    losses = plain_loop.train(moving, logits, trial.recipe, trial.data, trial.seed)
    return parameters, losses


@pytest.mark.parametrize("slots", [5, 2])
@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("formulation", ["pattern", "head"])
def test_each_trial_is_as_if_it_were_alone(
    slots: int, clip: bool, formulation: str, models: Any, bases: Any, grid: Grid, job: Any
) -> None:
    """Also with fewer slots than trials, so that freed slots are given to others."""
    base, tokens = bases("opt", "double"), words(job("pattern", architecture="opt"))
    trials = grid("opt", formulation, clip=clip)
    for trial, course in zip(trials, packed(base, trials, tokens, slots), strict=True):
        parameters, losses = by_peft(models("opt"), base, trial, tokens, torch.float64)
        assert course.steps == trial.recipe.steps
        assert [loss for _, loss in course.losses] == pytest.approx(losses, abs=1e-10)
        for name, value in peft_names(course.result):
            torch.testing.assert_close(value, parameters[name].data, atol=1e-10, rtol=1e-10)


def side_by_side(base: Base) -> Base:
    """The same base, read as on a GPU: rows padded on the right."""
    model = copy.deepcopy(base.model)
    model.set_attn_implementation("sdpa")
    return replace(base, model=model, end_to_end=False)


def again(work: Work) -> Work:
    """What a processor has in the place of a recording."""
    return work


@pytest.mark.parametrize("slots", [5, 2])
@pytest.mark.parametrize("formulation", ["pattern", "head"])
def test_steps_in_fixed_shapes_are_as_if_each_trial_were_alone(
    slots: int, formulation: str, models: Any, bases: Any, grid: Grid, job: Any
) -> None:
    """Shapes are filled up, slots are free at times, and the optimizers' numbers are tensors."""
    base, tokens = bases("opt", "double"), words(job("pattern", architecture="opt"))
    trials = grid("opt", formulation)
    for trial, course in zip(trials, packed(side_by_side(base), trials, tokens, slots, again), strict=True):
        parameters, losses = by_peft(models("opt"), base, trial, tokens, torch.float64)
        assert course.steps == trial.recipe.steps
        assert [loss for _, loss in course.losses] == pytest.approx(losses, abs=1e-10)
        for name, value in peft_names(course.result):
            torch.testing.assert_close(value, parameters[name].data, atol=1e-10, rtol=1e-10)


def test_a_diverging_trial_in_fixed_shapes_harms_nobody_and_leaves_a_clean_slot(
    bases: Any, grid: Grid, job: Any
) -> None:
    base, tokens = side_by_side(bases("llama")), words(job("pattern"))
    trials = grid("llama", count=4)
    wild = trials[1].recipe.model_copy(update={"learning_rate": 1e38, "warmup_steps": 0, "schedule": "constant"})
    expected = packed(base, trials, tokens, 2, again)
    found = packed(base, [trials[0], replace(trials[1], recipe=wild), *trials[2:]], tokens, 2, again)
    assert [course.diverged for course in found] == [False, True, False, False]
    for kept in (0, 2, 3):
        assert [x for _, x in found[kept].losses] == pytest.approx([x for _, x in expected[kept].losses], rel=1e-4)


@pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError])
def test_what_cannot_be_recorded_is_done_each_time_anew(
    error: type[Exception], bases: Any, grid: Grid, job: Any
) -> None:
    """After the first refusal nothing is tried again, and no step counts twice."""
    base, tokens = side_by_side(bases("llama")), words(job("pattern"))
    trials, tried = grid("llama"), list[Work]()

    def undone(work: Work) -> Work:
        tried.append(work)
        if len(tried) == 1:
            return work
        raise error("operation not permitted when stream is capturing")

    expected = packed(base, trials, tokens, 3, again)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = packed(base, trials, tokens, 3, undone)
    assert all(same(*each) for each in zip(found, expected, strict=True))
    assert len(tried) == 2
    assert [str(one.message) for one in told if one.category is RuntimeWarning] == [
        "steps cannot be recorded and are slower: operation not permitted when stream is capturing"
    ] * (error is RuntimeError)


def test_few_shapes_are_recorded(bases: Any, grid: Grid, job: Any) -> None:
    base, tokens = side_by_side(bases("llama")), words(job("pattern"))
    trials, made = grid("llama"), list[Work]()

    def record(work: Work) -> Work:
        made.append(work)
        return work

    found = packed(base, trials, tokens, 3, record)
    assert 2 <= len(made) < 20 < sum(course.steps for course in found)


def test_a_closed_pack_needs_no_collector(bases: Any, grid: Grid, job: Any) -> None:
    base, tokens, trials = side_by_side(bases("llama")), words(job("pattern")), grid("llama", count=2)
    pack = Pack(base, [trial.arm for trial in trials], tokens, len(LABELS), 2, again)
    running = [start_in(pack, trial, slot) for slot, trial in enumerate(trials)]
    for _ in range(3):
        pack.step(running, [0, 1])
    alive = weakref.ref(pack)
    gc.disable()
    try:
        pack.close()
        del pack, running
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gpt_neox"])
def test_losses_agree_in_fp32(architecture: str, models: Any, bases: Any, grid: Grid, job: Any) -> None:
    base, tokens = bases(architecture), words(job("pattern", architecture=architecture))
    trials = grid(architecture)
    for trial, course in zip(trials, packed(base, trials, tokens, 4), strict=True):
        _, losses = by_peft(models(architecture), base, trial, tokens, torch.float32)
        assert [loss for _, loss in course.losses] == pytest.approx(losses, rel=1e-4)


def same(left: Course, right: Course) -> bool:
    """Whether two trainings gave the same bits."""
    return left.losses == right.losses and all(torch.equal(left.result[n], right.result[n]) for n in left.result)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("neighbour", ["noise", "diverging"])
def test_neighbours_of_the_same_shape_change_no_bit(
    precision: str, neighbour: str, bases: Any, grid: Grid, job: Any
) -> None:
    base, tokens = bases("llama", precision), words(job("pattern"))
    trials = grid("llama", count=3)
    trials = [Trial(t.arm, t.recipe.model_copy(update={"steps": 8}), t.data, t.seed) for t in trials]
    first = packed(base, trials, tokens, 3)
    other = trials[1]
    if neighbour == "noise":
        data = [Example([(7 * token + 3) % 90 for token in each.tokens], 3 - each.label) for each in other.data]
        strange = Trial(other.arm, other.recipe, data, other.seed)
    else:
        wild = other.recipe.model_copy(update={"learning_rate": 1e38, "warmup_steps": 0, "schedule": "constant"})
        strange = Trial(other.arm, wild, other.data, other.seed)
    second = packed(base, [trials[0], strange, trials[2]], tokens, 3)
    assert second[1].diverged == (neighbour == "diverging")
    assert not same(first[1], second[1])
    if neighbour == "noise":
        assert same(first[0], second[0])
        assert same(first[2], second[2])
        return
    close = 1e-4 if precision == "fp32" else 0.05  # a free slot changes the shapes of products, and so the rounding
    for kept in (0, 2):
        assert not second[kept].diverged
        assert [x for _, x in second[kept].losses] == pytest.approx([x for _, x in first[kept].losses], rel=close)


def start_in(pack: Pack, trial: Trial, slot: int) -> Training:
    """Seat a trial without validation."""
    learner = pack.seat(slot, trial.arm, trial.seed)
    return Training(learner, trial.recipe, trial.data, trial.seed, None, Pulse(trial.arm.name, lambda _: None))


def test_only_those_that_step_are_moved_and_a_narrow_adapter_stays_in_its_corner(
    bases: Any, grid: Grid, job: Any
) -> None:
    base, tokens = bases("llama"), words(job("pattern"))
    trials = grid("llama", count=3)
    pack = Pack(base, [trial.arm for trial in trials], tokens, len(LABELS), 3)
    running = [start_in(pack, trial, slot) for slot, trial in enumerate(trials)]
    before = [training.learner.weights.master.detach().clone() for training in running]
    for _ in range(6):
        step(running[:1], lambda rows: pack.logits(rows, [0]))
    assert not torch.equal(running[0].learner.weights.master, before[0])
    for training, kept in zip(running[1:], before[1:], strict=True):
        assert torch.equal(training.learner.weights.master, kept)
        assert not training.learner.weights.master.grad.any()  # type: ignore[union-attr]
    weights = running[0].learner.weights
    assert weights.master.count_nonzero() == weights.count < weights.master.numel()


def test_early_stopping_is_each_trials_own(bases: Any, grid: Grid, job: Any) -> None:
    base, tokens = bases("llama"), words(job("pattern"))
    outcomes = ((0.5, 0.75, 0.5, 0.5, 1.0), (0.25, 0.25, 0.25), None)
    trials = [
        Trial(
            t.arm, t.recipe.model_copy(update={"steps": 9, "evaluate_every": 2, "patience": 2}), t.data, t.seed, found
        )
        for t, found in zip(grid("llama", count=3), outcomes, strict=True)
    ]
    first, second, third = packed(base, trials, tokens, 3)
    assert (first.steps, first.best_step) == (8, 4)
    assert (second.steps, second.best_step) == (6, 2)
    assert (third.steps, third.best_step, third.validation) == (9, 9, [])
    for course, trial, best in ((first, trials[0], 1), (second, trials[1], 0)):
        assert all(torch.equal(value, trial.states[best][name]) for name, value in course.result.items())


@pytest.mark.parametrize("formulation", ["pattern", "head"])
def test_a_packed_state_loads_in_plain_peft(
    formulation: str, tmp_path: Path, models: Any, bases: Any, grid: Grid, job: Any
) -> None:
    """At the trial's own rank, with the predictions that its learner gave."""
    base, tokens = bases("llama"), words(job("pattern"))
    trials = grid("llama", formulation, count=2)
    pack = Pack(base, [trial.arm for trial in trials], tokens, len(LABELS), 2)
    running = {trial.arm.name: start_in(pack, trial, slot) for slot, trial in enumerate(trials)}
    courses = {
        trial.arm.name: course for trial, course, _ in train_packed(pack, trials, lambda t, _: running[t.arm.name])
    }
    for trial in trials:
        lora = trial.arm.lora
        assert lora is not None
        head = formulation == "head"
        kind = AutoModelForSequenceClassification if head else AutoModelForCausalLM
        more: dict[str, Any] = {"num_labels": len(LABELS), "pad_token_id": 0} if head else {}
        config = LoraConfig(
            r=lora.rank, lora_alpha=lora.alpha, target_modules=list(lora.targets),
            task_type="SEQ_CLS" if head else "CAUSAL_LM",
        )  # fmt: skip
        folder = tmp_path / trial.arm.name
        folder.mkdir()
        config.save_pretrained(str(folder))
        save_file(courses[trial.arm.name].result, folder / "adapter_model.safetensors", metadata={"format": "pt"})
        model = PeftModel.from_pretrained(kind.from_pretrained(models("llama"), **more), str(folder)).eval()
        rows = [each.tokens for each in trial.data[:6]]
        tuned = running[trial.arm.name].learner.tuned
        with torch.inference_mode():
            for row, ours in zip(rows, tuned.logits(rows), strict=True):
                theirs = model(input_ids=torch.tensor([row])).logits
                theirs = theirs[0] if head else theirs[0, -1, list(tokens)]
                torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_arms_that_differ_in_what_they_wrap_do_not_share(bases: Any, job: Any) -> None:
    narrow = job("pattern", "lora", lora=Lora(rank=4, alpha=8, targets=("q_proj",))).arm
    for others in (
        [job("pattern", "lora").arm, narrow],
        [job("pattern", "full").arm],
        [job("pattern", "lora").arm, job("head", "lora").arm],
    ):
        with pytest.raises(ValueError, match="cannot share"):
            Pack(bases("llama"), others, [1, 2, 3, 4], len(LABELS), 2)


def test_seconds_are_those_of_the_steps(
    models: Any, bases: Any, grid: Grid, job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done with a finished trial before the next step takes none of the others' time."""
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    monkeypatch.setattr("fewtune.runtime.train.pack.time.perf_counter", clock)
    base, tokens = bases("opt", "double"), words(job("pattern", architecture="opt"))
    trials = [replace(trial, recipe=trial.recipe.model_copy(update={"steps": 3})) for trial in grid("opt", count=4)]
    pack = Pack(base, [trial.arm for trial in trials], tokens, len(LABELS), 4)

    def start(trial: Trial, slot: int) -> Training:
        learner = pack.seat(slot, trial.arm, trial.seed)
        return Training(learner, trial.recipe, trial.data, trial.seed, None, Pulse(trial.arm.name, lambda _: None))

    found = []
    for _, _, seconds in train_packed(pack, trials, start):
        found.append(seconds)
        now[0] += 1000.0
    assert found == [1.0 + 3 / 4] * 4  # its seating, and a quarter of each step
