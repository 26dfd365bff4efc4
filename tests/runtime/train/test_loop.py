"""The training loop against plain loops: peft for LoRA, the whole model for full fine-tuning."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import plain_loop
import pytest
import torch
from peft_oracle import examples, peft_model, peft_names
from tiny import LABELS
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from fewtune.compiler.arm import Arm
from fewtune.runtime.job import Corpus, Job
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.loop import Course, Example, Learner, Training, Validation, backward, train
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.prediction import Prediction
from fewtune.runtime.train.pulse import Pulse

Examples = Sequence[Example]
SEED = 11


def learner(base: Base, job: Job) -> Learner:
    arm = job.arm
    weights = adaptation.moving(base, arm, len(LABELS), seed=5)
    tokens = [] if arm.formulation == "head" else list(job.tokens.values())
    tuned = adaptation.tuned(base, arm, tokens, weights.working)
    return Learner(lambda: tuned, weights, keeps_masters=arm.adaptation == "lora")


def with_scaling(arm: Arm, *, rslora: bool) -> Arm:
    assert arm.lora is not None
    return arm.model_copy(update={"lora": arm.lora.model_copy(update={"rslora": rslora})})


def ours(base: Base, job: Job, data: Examples) -> tuple[Course, Learner]:
    learning = learner(base, job)
    return train(Training(learning, job.recipe, data, SEED, None, Pulse("job", lambda _: None))), learning


@pytest.mark.parametrize("formulation", ["pattern", "head"])
@pytest.mark.parametrize(
    ("architecture", "dtype"),
    [
        ("llama", torch.float32),
        ("qwen2", torch.float32),
        ("gpt_neox", torch.float32),
        ("llama", torch.float64),
        ("opt", torch.float64),
    ],
)
def test_lora_is_pefts(
    architecture: str, formulation: str, dtype: torch.dtype, models: Any, bases: Any, job: Any, corpus: Corpus
) -> None:
    folder = models(architecture)
    task = job(formulation, "lora", architecture=architecture, steps=10, weight_decay=0.1, micro_batch=3)
    task = task.model_copy(update={"arm": with_scaling(task.arm, rslora=formulation == "head")})
    data = examples(folder, task.arm, corpus)
    base = bases(architecture, "fp32" if dtype == torch.float32 else "double")
    course, _ = ours(base, task, data)

    model = peft_model(folder, task.arm, dtype)
    parameters = dict(model.named_parameters())
    start = {name: value.to(dtype) for name, value in adaptation.initial(base, task.arm, len(LABELS), 5).items()}
    for name, value in peft_names(start):
        parameters[name].data.copy_(value)
    moving = [parameter for parameter in parameters.values() if parameter.requires_grad]
    assert len(moving) == len(start)
    tokens = list(task.tokens.values())

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        wide: Tensor = model(input_ids=ids, attention_mask=mask).logits
        return wide if formulation == "head" else plain_loop.last(wide, mask)[:, tokens]

    plain_loop.train(moving, logits, task.recipe, data, SEED)
    # Norms and rotary angles stay in fp32 in a double model: exactness ends near 1e-7, except for OPT.
    close = 1e-4 if dtype == torch.float32 else 1e-10 if architecture == "opt" else 1e-6
    for name, value in peft_names(course.result):
        torch.testing.assert_close(value, parameters[name].data, atol=close, rtol=close)


@pytest.mark.parametrize("architecture", ["llama", "gpt_neox"])
@pytest.mark.parametrize("formulation", ["pattern", "head"])
def test_full_is_the_whole_models(
    architecture: str, formulation: str, models: Any, bases: Any, job: Any, corpus: Corpus
) -> None:
    folder = models(architecture)
    task = job(formulation, "full", architecture=architecture, steps=8, weight_decay=0.1, learning_rate=1e-3)
    data = examples(folder, task.arm, corpus)
    base = bases(architecture, "double")
    course, _ = ours(base, task, data)

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").double().eval()
    score = nn.Parameter(
        adaptation.initial(base, task.arm, len(LABELS), 5).get("score.weight", torch.zeros(1)).double()
    )
    tokens = list(task.tokens.values())

    def logits(ids: Tensor, mask: Tensor) -> Tensor:
        if formulation == "pattern":
            return plain_loop.last(model(input_ids=ids, attention_mask=mask).logits, mask)[:, tokens]
        return plain_loop.last(model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state, mask) @ score.T

    moving = list(model.parameters()) if formulation == "pattern" else [*model.base_model.parameters(), score]
    plain_loop.train(moving, logits, task.recipe, data, SEED)
    parameters = dict(model.named_parameters()) | {"score.weight": score}
    assert set(course.result) == set(parameters) - ({"score.weight"} if formulation == "pattern" else set()) - (
        {"lm_head.weight"} if formulation == "head" and architecture == "gpt_neox" else set()
    )
    for name, value in course.result.items():
        # Norms and rotary angles stay in fp32 in a double model. A key's bias moves all scores of a query alike: its
        # gradient is rounding, which AdamW makes as large as any other.
        noise = name.endswith("query_key_value.bias")
        torch.testing.assert_close(value, parameters[name].data, atol=2e-3 if noise else 1e-5, rtol=1e-3)


@pytest.mark.parametrize(("formulation", "moves"), [("pattern", "lora"), ("head", "lora"), ("pattern", "full")])
def test_the_size_of_micro_batches_changes_rounding_only(
    formulation: str, moves: str, models: Any, bases: Any, job: Any, corpus: Corpus
) -> None:
    folder = models("opt")
    base = bases("opt", "double")
    results = []
    for size in (8, 4, 3, 1):
        task = job(formulation, moves, architecture="opt", micro_batch=size, steps=3, learning_rate=1e-3)
        course, _ = ours(base, task, examples(folder, task.arm, corpus))
        results.append(torch.cat([value.flatten() for value in course.result.values()]))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("formulation", "moves"), [("pattern", "lora"), ("head", "full"), ("pattern", "full")])
def test_the_base_stays_as_it_is_to_the_bit(
    precision: Any, formulation: str, moves: str, models: Any, bases: Any, job: Any, corpus: Corpus
) -> None:
    base = bases("llama", precision)
    before = copy.deepcopy(base.model.state_dict())
    tree = str(base.model)
    ours(base, job(formulation, moves, precision=precision, steps=3), examples(models(), job("head").arm, corpus))
    assert str(base.model) == tree
    for name, value in base.model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_batch_may_be_larger_than_the_training_set(models: Any, bases: Any, job: Any, corpus: Corpus) -> None:
    task = job("pattern", "lora", steps=2)
    data = examples(models(), task.arm, corpus, 3)
    course, _ = ours(bases(), task, data)
    drawn = [place for _, batch in zip(range(2), batches(3, 8, SEED), strict=False) for place in batch]
    assert course.tokens == sum(len(data[place].tokens) for place in drawn)
    assert course.steps == 2


class Played:
    """Validations whose outcome is written down, and the states that were validated."""

    def __init__(self, learning: Learner, outcomes: Sequence[tuple[float, float]]) -> None:
        """Take (accuracy of four rows, probability of the right label)."""
        self.learning, self.outcomes, self.states = learning, iter(outcomes), list[dict[str, Tensor]]()

    def __call__(self) -> Prediction:
        self.states.append(self.learning.snapshot())
        accuracy, sure = next(self.outcomes)
        right = round(4 * accuracy)
        rows = [(sure, 1 - sure) if place < right else (1 - sure, sure) for place in range(4)]
        return Prediction(probabilities=tuple(rows), seconds=0.0)


@pytest.mark.parametrize(
    ("outcomes", "patience", "best", "steps"),
    [
        ([(0.5, 0.9), (0.75, 0.9), (0.5, 0.9), (0.5, 0.9)], None, 4, 7),
        ([(0.75, 0.9), (0.5, 0.9), (0.5, 0.9)], 2, 2, 6),
        ([(0.5, 0.9), (0.5, 0.6), (0.5, 0.9), (0.5, 0.8)], None, 4, 7),
        ([(0.5, 0.9), (0.5, 0.9), (1.0, 0.9), (0.5, 0.9)], 2, 6, 7),
        ([(0.25, 0.9), (0.5, 0.9), (0.75, 0.9), (1.0, 0.9)], 1, 7, 7),
    ],
)
def test_the_best_validated_state_is_the_result(
    outcomes: list[tuple[float, float]],
    patience: int | None,
    best: int,
    steps: int,
    models: Any,
    bases: Any,
    job: Any,
    corpus: Corpus,
) -> None:
    base = bases()
    task = job("pattern", "lora", steps=7, evaluate_every=2, patience=patience)
    learning = learner(base, task)
    played = Played(learning, outcomes)
    validation = Validation(played, [0, 0, 0, 0])
    data = examples(models(), task.arm, corpus)
    course = train(Training(learning, task.recipe, data, SEED, validation, Pulse("job", lambda _: None)))
    assert (course.best_step, course.steps) == (best, steps)
    expected = [2, 4, 6, 7][: len(outcomes)]
    assert course.validation == [(step, accuracy) for step, (accuracy, _) in zip(expected, outcomes, strict=True)]
    kept = played.states[expected.index(best)]
    assert all(torch.equal(value, kept[name]) for name, value in course.result.items())


@pytest.mark.parametrize("validated", [False, True])
def test_divergence_stops_with_the_last_finite_state(
    validated: bool, models: Any, bases: Any, job: Any, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = bases()
    task = job("pattern", "lora", steps=9, evaluate_every=100 if validated else None)
    learning = learner(base, task)
    loop = "fewtune.runtime.train.loop.backward"
    seen: list[dict[str, Tensor]] = []

    def failing(*given: Any) -> Tensor:
        seen.append(learning.snapshot())
        loss = backward(*given)
        return loss if len(seen) < 4 else loss * math.nan

    monkeypatch.setattr(loop, failing)
    validation = Validation(Played(learning, [(0.5, 0.9)]), [0] * 4) if validated else None
    data = examples(models(), task.arm, corpus)
    course = train(Training(learning, task.recipe, data, SEED, validation, Pulse("job", lambda _: None)))
    assert course.diverged
    assert (course.steps, course.best_step) == (3, 3)
    assert all(torch.equal(value, seen[3][name]) for name, value in course.result.items())
    assert all(value.isfinite().all() for value in course.result.values())
    assert all(math.isfinite(loss) for _, loss in course.losses)
