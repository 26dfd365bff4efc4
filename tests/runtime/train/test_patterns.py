"""Several patterns: a pool is the mean, a search picks what a plain loop picks, and a state knows it."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking_cases import FIRST, asked, outcome
from tiny import LABELS, tiny_word_tokens
from transformers import AutoModelForCausalLM

from fewtune.compiler.arm import Generation, Verbalizer
from fewtune.runtime.job import Corpus, Fitted, Job, ModelRef, RowRef
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.patterns import Candidate, Rated, best, note
from fewtune.runtime.train.prediction import Prediction, pooled
from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer
from fewtune.runtime.train.state import about

PATTERNS = (FIRST, "Question: {text} Answer:", "{labels}\n{text}\nCategory:")
UPPER = {label: label.capitalize() for label in LABELS}


def plain(
    folder: Path, corpus: Corpus, ref: RowRef, pattern: str, words: dict[str, str], limit: int = 64
) -> np.ndarray[Any, Any]:
    """Each row alone through the whole model: (rows, labels), softmax over the words' tokens."""
    encoder = Encoder(load_tokenizer(str(folder / "tokenizer.json")))
    tokens = tiny_word_tokens(folder, tuple(words.values()))
    template = Template(pattern, options=", ".join(words[label] for label in LABELS))
    rows = encoder.rows(template, limit, corpus, ref)
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    ids = [tokens[words[label]] for label in LABELS]
    with torch.inference_mode():
        return torch.stack([model(torch.tensor([row])).logits[0, -1, ids].softmax(-1) for row in rows]).numpy()


def test_a_pool_is_the_mean_of_log_probabilities() -> None:
    """sqrt(0.8 x 0.5) : sqrt(0.2 x 0.5) = 2 : 1."""
    parts = [Prediction(probabilities=((0.8, 0.2),), seconds=1.0), Prediction(probabilities=((0.5, 0.5),), seconds=2.0)]
    found = pooled(parts)
    np.testing.assert_allclose(found.probabilities, [[2 / 3, 1 / 3]], rtol=1e-12)
    assert found.seconds == 3.0
    assert pooled([Prediction(probabilities=((1.0, 0.0),), seconds=0.0)] * 2).probabilities[0][0] == pytest.approx(1.0)


@pytest.mark.parametrize("formulation", ["pattern", "in-context"])
def test_an_ensemble_is_the_mean_of_its_patterns(formulation: str, engine: Any, job: Any) -> None:
    trained = formulation == "pattern"
    task = job(formulation, "none")
    if trained:
        task = task.model_copy(update={"fit": None})
    alone = [np.log(outcome(engine(), asked(task, pattern=text))[1].probabilities) for text in PATTERNS]
    expected = np.exp(np.mean(alone, axis=0))
    expected /= expected.sum(axis=1, keepdims=True)
    _, found = outcome(engine(), asked(task, pattern_use="ensemble", patterns=PATTERNS))
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-6)


def test_an_ensemble_learns_from_every_pattern_and_is_known_again(engine: Any, job: Any) -> None:
    task = asked(job("pattern", "lora", validated=True, evaluate_every=3, patience=9, steps=12),
                 pattern_use="ensemble", patterns=PATTERNS)  # fmt: skip
    fitted, found = outcome(engine(), task)
    assert fitted is not None
    alone, _ = outcome(engine(), asked(task, pattern_use="each", patterns=()))
    assert alone is not None
    assert fitted.state != alone.state
    assert len(fitted.validation) == 4
    again = outcome(engine(fresh=True), task.model_copy(update={"fit": None}), fitted.state)[1]
    np.testing.assert_allclose(again.probabilities, found.probabilities, atol=1e-6)
    parts = [outcome(engine(), asked(task.model_copy(update={"fit": None}), pattern=text), fitted.state)[1]
             for text in PATTERNS]  # fmt: skip
    expected = np.exp(np.mean([np.log(part.probabilities) for part in parts], axis=0))
    np.testing.assert_allclose(found.probabilities, expected / expected.sum(axis=1, keepdims=True), atol=1e-5)


@pytest.fixture
def searching(job: Any, models: Any) -> Callable[..., Job]:
    """A job that searches three patterns and two sets of words."""

    def made(formulation: str, adaptation: str = "none", **given: Any) -> Job:
        words = [{label: label for label in LABELS}, UPPER]
        known = tiny_word_tokens(models(), (*LABELS, *UPPER.values()))
        sets = [Verbalizer(words=each, tokens={label: known[word] for label, word in each.items()}) for each in words]
        task = job(formulation, adaptation, **given)
        return asked(task, pattern_use="search", patterns=PATTERNS, verbalizers=tuple(sets))

    return made


def loop(folder: Path, corpus: Corpus, task: Job) -> dict[tuple[str, str], float]:
    """(pattern, first word) -> mean log-likelihood of the training labels, written out."""
    assert task.fit is not None
    labels = [row.label for row in corpus.rows(task.fit.train)]
    return {
        (text, sets.words["world"]): float(np.mean([
            np.log(row[label])
            for row, label in zip(plain(folder, corpus, task.fit.train, text, sets.words), labels, strict=True)]))
        for text in PATTERNS for sets in task.arm.verbalizers
    }  # fmt: skip


@pytest.mark.parametrize("rows", [range(32), range(5, 20)])
def test_a_search_picks_what_a_plain_loop_picks(
    rows: Sequence[int], searching: Any, engine: Any, corpus: Corpus, models: Any
) -> None:
    task = searching("pattern", "lora", rows=rows, steps=3)
    expected = loop(models(), corpus, task)
    fitted, scored = outcome(engine(), task)
    assert fitted is not None
    facts = about(fitted.state)
    assert (facts["pattern"], facts["words"][0]) == max(expected, key=lambda one: expected[one])
    assert {(one["pattern"], one["words"]["world"]): one["score"] for one in facts["search"]} == pytest.approx(
        expected, abs=1e-4
    )
    assert fitted.note.startswith(f"pattern search on {len(rows)} labelled texts: {facts['pattern']!r} with ")
    chosen = next(sets for sets in task.arm.verbalizers if sets.words["world"] == facts["words"][0])
    direct = Candidate(facts["pattern"], chosen).of(task)
    alone, same = outcome(engine(), direct)
    assert alone is not None
    assert same.probabilities == scored.probabilities, "and trains what it picked"
    again = outcome(engine(fresh=True), task.model_copy(update={"fit": None}), fitted.state)[1]
    np.testing.assert_allclose(again.probabilities, scored.probabilities, atol=1e-6)


def test_a_search_sees_no_row_but_those_it_trains_on(searching: Any, models: Any, corpus: Corpus) -> None:
    task = searching("pattern", "lora", rows=range(8), steps=1, validated=True)
    where = ModelRef(path=str(models()), weights_hash="tiny")
    turned = {name: tuple(row.model_copy(update={"label": 0}) if name != "train" or place >= 8 else row
                          for place, row in enumerate(rows)) for name, rows in corpus.splits.items()}  # fmt: skip
    both = dict(corpus.splits), turned
    found = [outcome(Engine(where, Corpus(labels=LABELS, splits=splits)), task)[0] for splits in both]
    assert found[0] is not None
    assert found[1] is not None
    assert about(found[0].state)["search"] == about(found[1].state)["search"]


def test_in_context_shows_its_examples_in_the_pattern_that_was_found(searching: Any, engine: Any) -> None:
    fitted, _ = outcome(engine(), searching("in-context", demonstrations=4))
    assert fitted is not None
    facts = about(fitted.state)
    ends = facts["pattern"].rpartition("{text}")[2]
    assert len(facts["demonstrations"]) == 4
    assert all(any(text.endswith(f"{ends} {word}") for word in facts["words"]) for text in facts["demonstrations"])


def test_texts_are_searched_by_the_likelihood_of_a_token(models: Any, job: Any, texts: Corpus) -> None:
    engine = Engine(ModelRef(path=str(models()), weights_hash="tiny"), texts)
    how = Generation(max_new_tokens=8, end_tokens=(0,), stop_at_newline=True)
    task = asked(job("generation", "lora", steps=2, rows=range(6)), pattern_use="search", patterns=PATTERNS[:2],
                 generation=how)  # fmt: skip
    task = task.model_copy(update={"words": {}, "tokens": {}, "scores": (), "metric": "rouge_l"})
    answer = engine.run(task)
    assert answer.failure is None, answer.message
    (fitted,) = answer.outcomes
    assert isinstance(fitted, Fitted)
    model = AutoModelForCausalLM.from_pretrained(models(), attn_implementation="eager").eval()
    encoder = Encoder(load_tokenizer(str(models() / "tokenizer.json")))
    expected = {}
    for text in PATTERNS[:2]:
        means = []
        for row in texts.splits["train"][:6]:
            begins = encoder.encode(Template(text), row, 64)
            target = [*encoder.continuation(" " + row.target), 0][:8]
            with torch.inference_mode():
                logs = model(torch.tensor([[*begins, *target]])).logits[0].log_softmax(-1)
            places = range(len(begins) - 1, len(begins) - 1 + len(target))
            means.append(np.mean([float(logs[place, token]) for place, token in zip(places, target, strict=True)]))
        expected[text] = float(np.mean(means))
    found = about(fitted.state)
    assert {one["pattern"]: one["score"] for one in found["search"]} == pytest.approx(expected, abs=1e-4)
    assert found["pattern"] == max(expected, key=lambda text: expected[text])


def test_the_first_of_equals_is_best_and_the_note_is_short() -> None:
    found = [
        Rated(Candidate(f"{{text}} {place}:"), score) for place, score in enumerate([-2.0, -1.0, -1.0, -3.0, -9.0])
    ]
    assert best(found) is found[1]
    assert note(found, 8).count("{text}") == 4
    assert note(found, 8).endswith("and 1 more")
    json.dumps([replace(found[0], accuracy=0.5).facts()])
