"""The first sentence, and targets in prompts."""

from typing import Any

import pytest

from fewtune.compiler.arm import Generation
from fewtune.runtime.job import Corpus
from fewtune.runtime.train.demonstrations import Demonstrations
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.lead import first_sentence
from fewtune.runtime.train.state import about


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("One. Two.", "One."),
        (" Is it so? Yes.", "Is it so?"),
        ("Size 3.5 cm, seen by Dr. Lee. Stable.", "Size 3.5 cm, seen by Dr. Lee."),
        ("SUBJECT: cough\nMESSAGE: since May", "SUBJECT: cough"),
        ('He said "stop." Then left.', 'He said "stop."'),
        ("no end", "no end"),
        ("", ""),
    ],
)
def test_the_first_sentence(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


@pytest.mark.parametrize(("pattern", "line"), [("{text}\nTopic:", True), ("Say the topic: {text}\n", False)])
def test_demonstrations_show_targets_as_they_are_to_be_written(
    pattern: str, line: bool, job: Any, models: Any, texts: Corpus
) -> None:
    generation = Generation(max_new_tokens=6, end_tokens=(0,), stop_at_newline=line)
    task = job("in-context", pattern=pattern, demonstrations=3)
    task = task.model_copy(update={"arm": task.arm.model_copy(update={"generation": generation}), "metric": "rouge_l"})
    answer = Engine(task_model(models), texts).run(task)
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    shown = Demonstrations.of(about(fitted.state)).texts
    assert len(shown) == 3
    for text in shown:
        opening, _, target = text.rpartition("about ")
        assert opening.endswith("Topic: " if line else "\n")
        assert target.endswith("" if line else "<|endoftext|>")
    assert len(scored.texts) == 40
    assert scored.predicted == ()
    assert all("\n" not in text for text in scored.texts) or not line


def task_model(models: Any) -> Any:
    from fewtune.runtime.job import ModelRef

    return ModelRef(path=str(models()), weights_hash="tiny")


def test_what_is_learnt_is_written(job: Any, models: Any, texts: Corpus) -> None:
    """A trained arm writes what targets say, and ends by itself."""
    generation = Generation(max_new_tokens=12, end_tokens=(0,), stop_at_newline=False)
    task = job("generation", "lora", steps=60, learning_rate=0.02, evaluate_every=20, validated=True)
    task = task.model_copy(update={"arm": task.arm.model_copy(update={"generation": generation}), "metric": "token_f1"})
    answer = Engine(task_model(models), texts).run(task)
    assert answer.failure is None, answer.message
    fitted, scored = answer.outcomes
    assert len(fitted.validation) == 3
    assert max(score for _, score in fitted.validation) > 0.4
    assert sum(text.startswith("about ") for text in scored.texts) > 35
    assert sum(len(text.split()) <= 3 for text in scored.texts) > 30, "most texts end by themselves"
