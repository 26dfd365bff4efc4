"""Prediction in batches, with a beginning that rows share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import LABELS
from transformers import AutoModelForCausalLM

from fewtune.runtime.job import Corpus, Fitted, Job, Progress, RowRef, Scored
from fewtune.runtime.train import scoring
from fewtune.runtime.train.adaptation import Tuned, tuned
from fewtune.runtime.train.demonstrations import Demonstrations
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.scoring import batched, predict
from fewtune.runtime.train.state import about

SILENT = Pulse("job", lambda _: None)


def plain(folder: Path, rows: list[list[int]], tokens: list[int]) -> np.ndarray[Any, Any]:
    """Each prompt alone through the whole model, softmax over the labels' tokens."""
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        return torch.stack([model(torch.tensor([row])).logits[0, -1, tokens].softmax(-1) for row in rows]).numpy()


def zero_shot(base: Base, job: Job) -> Tuned:
    return tuned(base, job.arm, list(job.tokens.values()), {})


def prompts(folder: Path, corpus: Corpus, template: Template, split: str = "test") -> list[list[int]]:
    encoder = Encoder(load_tokenizer(str(folder / "tokenizer.json")))
    return encoder.rows(template, 512, corpus, RowRef(split=split, rows=tuple(range(len(corpus.splits[split])))))


@pytest.mark.parametrize("architecture", ["llama", "opt"])
@pytest.mark.parametrize("budget", [1, 64, 4096])
def test_order_and_batches_do_not_matter(
    architecture: str, budget: int, models: Any, bases: Any, job: Any, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scoring.BUDGET, "cpu", budget)
    folder, task = models(architecture), job("pattern", architecture=architecture)
    rows = prompts(folder, corpus, Template("{text}\nTopic:"))
    found = predict(zero_shot(bases(architecture), task), rows, SILENT).probabilities
    np.testing.assert_allclose(found, plain(folder, rows, list(task.tokens.values())), atol=1e-5)


def test_batches_hold_the_budget_and_every_row_once() -> None:
    lengths = [5, 100, 7, 33, 33, 900, 2]
    batches = batched(lengths, 100)
    assert sorted(place for batch in batches for place in batch) == list(range(7))
    assert all(len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= 100 for batch in batches)
    assert batches[0] == [5]
    assert len(batched([4] * 64, 256, prefix=0)) == 1
    assert len(batched([4] * 64, 256, prefix=96)) == 4


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "opt", "gpt_neox"])
def test_a_shared_beginning_is_read_once(
    architecture: str, models: Any, bases: Any, job: Any, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, task = models(architecture), job("pattern", architecture=architecture)
    pattern = "the new report says that on monday after long talks with people in the " * 3 + "{text}\nTopic:"
    rows = prompts(folder, corpus, Template(pattern))
    subject = zero_shot(bases(architecture), task)
    read: list[int] = []
    forward = subject.reader.backbone.forward
    monkeypatch.setattr(
        subject.reader.backbone, "forward", lambda **given: read.append(given["input_ids"].numel()) or forward(**given)
    )
    found = predict(subject, rows, SILENT).probabilities
    np.testing.assert_allclose(found, plain(folder, rows, list(task.tokens.values())), atol=1e-5)
    assert read[0] >= 42
    assert sum(read) < 0.5 * sum(map(len, rows))


@pytest.mark.parametrize("count", [1, 8, 100])
def test_in_context_is_the_plain_prompt(
    count: int, models: Any, bases: Any, job: Any, corpus: Corpus, engine: Any
) -> None:
    task = job("in-context", demonstrations=count)
    answer = engine().run(task)
    fitted, scored = answer.outcomes
    facts = about(fitted.state)
    shown = Demonstrations.of(facts)
    assert facts["asked"] == count
    assert facts["used"] == len(shown.texts) == min(count, 32)
    counts = [shown.labels.count(label) for label in range(4)]
    assert max(counts) - min(counts) <= 1
    for text, label in zip(shown.texts, shown.labels, strict=True):
        assert text.endswith(f"\nTopic: {LABELS[label]}")
    opening = "\n\n".join(shown.texts) + "\n\n"
    rows = prompts(models(), corpus, Template("{text}\nTopic:", opening=opening))
    np.testing.assert_allclose(scored.probabilities, plain(models(), rows, list(task.tokens.values())), atol=1e-5)


def test_demonstrations_that_do_not_fit_are_dropped_and_queries_are_cut(job: Any, engine: Any, corpus: Corpus) -> None:
    task = job("in-context", demonstrations=200, rows=range(96), max_tokens=32)
    fitted, scored = engine().run(task).outcomes
    facts = about(fitted.state)
    assert facts["asked"] == 200
    assert 20 < facts["used"] < 96
    assert len(scored.predicted) == 40


def test_demonstrations_depend_on_the_seed(job: Any, engine: Any) -> None:
    subject = engine()
    states = [subject.run(job("in-context", order_seed=seed, scores=())).outcomes[0].state for seed in (1, 1, 2)]
    assert states[0] == states[1] != states[2]


def test_a_batch_that_does_not_fit_is_halved(
    models: Any, bases: Any, job: Any, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, task = models(), job("pattern")
    rows = prompts(folder, corpus, Template("{text}\nTopic:"))
    subject = zero_shot(bases(), task)
    expected = predict(subject, rows, SILENT).probabilities
    logits, sizes = Tuned.logits, list[int]()

    def small(self: Tuned, rows: Any, prefix: Any = None) -> torch.Tensor:
        sizes.append(len(rows))
        if len(rows) > 6:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"
            )
        return logits(self, rows, prefix)

    monkeypatch.setattr(Tuned, "logits", small)
    np.testing.assert_allclose(predict(subject, rows, SILENT).probabilities, expected, atol=1e-5)
    assert max(sizes) > 6


def test_logits_that_are_not_finite_become_uniform(models: Any, bases: Any, job: Any, corpus: Corpus) -> None:
    subject = zero_shot(bases(), job("pattern"))
    broken = Tuned(subject.reader, lambda hidden: subject.readout(hidden) * torch.nan, shares_beginnings=False)
    prediction = predict(broken, prompts(models(), corpus, Template("{text}")), SILENT)
    assert set(prediction.probabilities) == {(0.25,) * 4}
    assert set(prediction.predicted) == {0}


def test_progress_is_told_for_every_batch(
    job: Any, engine: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scoring.BUDGET, "cpu", 64)
    told: list[Progress] = []
    answer = engine(fresh=True).run(job("pattern", fit=None), notify=told.append)
    assert isinstance(answer.outcomes[0], Scored)
    done = [sign.done for sign in told if sign.phase == "scoring"]
    assert done == sorted(done)
    assert done[-1] == 40
    assert len(done) > 5
    assert told[0].phase == "loading"


def test_zero_shot_may_be_fitted_and_leaves_nothing(job: Any, engine: Callable[..., Engine]) -> None:
    fitted, scored = engine().run(job("pattern")).outcomes
    assert isinstance(fitted, Fitted)
    assert fitted.state == b""
    alone = engine().run(job("pattern", fit=None)).outcomes[0]
    assert alone.probabilities == scored.probabilities  # type: ignore[union-attr]
