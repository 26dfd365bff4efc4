"""General ability: the same numbers as transformers' own forward, of the base and of what a state holds."""

from typing import Any

import pytest
import torch
from adaptation_cases import CASES, Case
from safetensors.torch import load as load_tensors
from tiny import LABELS
from torch import nn
from transformers import AutoModelForCausalLM

from fewtune.runtime.job import Fit, Fitted, General, Job
from fewtune.runtime.train.general import Exam, content, exam
from fewtune.runtime.train.prompt import Encoder, load_tokenizer

POSITIONS = 512


def measured(job: Job) -> Job:
    assert isinstance(job.fit, Fit)
    return job.model_copy(update={"fit": job.fit.model_copy(update={"general": True})})


def fitted(engine: Any, job: Job) -> Fitted:
    answer = engine.run(measured(job))
    assert answer.failure is None, answer.message
    found: Fitted = answer.outcomes[0]
    return found


def general(found: Fitted) -> General:
    assert found.general is not None
    return found.general


def asked(models: Any, architecture: str, positions: int = POSITIONS) -> Exam:
    return exam(Encoder(load_tokenizer(str(models(architecture) / "tokenizer.json"))), positions)


def plain(model: Any, found: Exam) -> tuple[float, float]:
    """Loss and accuracy by transformers alone, row by row."""
    with torch.inference_mode():
        losses = [
            nn.functional.cross_entropy(
                model(torch.tensor([row])).logits[0, :-1], torch.tensor(row[1:]), reduction="sum"
            )
            for row in found.paragraphs
        ]
        last = [model(torch.tensor([row])).logits[0, -1] for row in found.items]
    tokens = sum(len(row) - 1 for row in found.paragraphs)
    right = [
        bool(x[words[0]] > max(x[other] for other in words[1:])) for x, words in zip(last, found.options, strict=True)
    ]
    return float(sum(losses)) / tokens, sum(right) / len(right)


def untuned(folder: Any) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "opt", "gpt_neox"])
@pytest.mark.parametrize("formulation", ["pattern", "head"])
def test_it_is_what_transformers_says_of_base_and_state(
    architecture: str, formulation: str, models: Any, job: Any, engine: Any
) -> None:
    """Full fine-tuning: the state is a model that transformers can load."""
    task = job(formulation, "full", architecture=architecture, learning_rate=0.02)
    found, model, rows = fitted(engine(architecture), task), untuned(models(architecture)), asked(models, architecture)
    before = plain(model, rows)
    assert (general(found).loss_before, general(found).accuracy_before) == pytest.approx(before, abs=1e-5)
    tensors = load_tensors(found.state)
    tensors.pop("score.weight", None)
    missing = model.load_state_dict(tensors, strict=False)
    assert not missing.unexpected_keys
    after = plain(model, rows)
    assert (general(found).loss, general(found).accuracy) == pytest.approx(after, abs=1e-5)
    assert abs(after[0] - before[0]) > 1e-3
    assert general(found).items == len(rows.items) > 5
    assert general(found).tokens == sum(len(row) - 1 for row in rows.paragraphs)


@pytest.mark.parametrize("formulation", ["pattern", "head"])
def test_an_update_of_nothing_forgets_nothing(formulation: str, job: Any, engine: Any) -> None:
    still = general(fitted(engine(), job(formulation, "lora", learning_rate=0.0)))
    moved = general(fitted(engine(), job(formulation, "lora", learning_rate=0.05)))
    assert still.loss == pytest.approx(still.loss_before, abs=1e-6)
    assert still.accuracy == still.accuracy_before
    assert abs(moved.loss - moved.loss_before) > 1e-3
    assert moved.loss_before == still.loss_before


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_every_adaptation_is_measured_in_its_state(case: Case, job: Any, engine: Any) -> None:
    """Most start from the base itself, and no step forgets nothing; trained tokens are read before the text."""
    task = job("pattern", "full", architecture=case.architecture, learning_rate=0.0)
    arm = case.of(task.arm)
    still = general(fitted(engine(case.architecture), task.model_copy(update={"arm": arm})))
    recipe = task.recipe.model_copy(update={"learning_rate": 0.02})
    moved = general(fitted(engine(case.architecture), task.model_copy(update={"arm": arm, "recipe": recipe})))
    assert (abs(still.loss - still.loss_before) < 1e-4) is (arm.virtual_tokens == 0)
    assert abs(moved.loss - still.loss) > 1e-4


@pytest.mark.parametrize("formulation", ["in-context", "probe", "tfidf"])
def test_where_nothing_moves_nothing_is_measured(formulation: str, job: Any, engine: Any) -> None:
    assert fitted(engine(), job(formulation, penalty=1.0)).general is None


def test_it_is_measured_where_it_is_asked_for(job: Any, engine: Any) -> None:
    answer = engine().run(job("pattern", "lora"))
    assert answer.outcomes[0].general is None


def test_a_short_context_cuts_the_text(models: Any) -> None:
    whole, cut = asked(models, "llama"), asked(models, "llama", 20)
    assert [len(row) for row in cut.paragraphs] == [20] * len(whole.paragraphs)
    assert all(len(row) <= 20 for row in cut.items)
    assert len(cut.items) < len(whole.items)


def test_words_that_begin_with_the_same_token_are_not_asked(models: Any) -> None:
    found = asked(models, "llama")
    assert all(len(set(words)) == len(words) == 4 for words in found.options)
    assert len(found.items) < len(content()["items"]) == 20


def test_the_text_is_fixed() -> None:
    """Results are comparable within a version: who changes the text raises it, and changes this test."""
    found = content()
    assert found["version"] == 1
    assert sum(text.count(". ") + 1 for text in found["paragraphs"]) == 36
    assert all(len(item) == 5 and len(set(item)) == 5 for item in found["items"])
    assert not any(label in text.split() for label in LABELS for text in found["paragraphs"])
