"""Contextual calibration and nearest demonstrations, beside numpy and a plain model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from asking_cases import asked, outcome
from tiny import LABELS
from transformers import AutoModelForCausalLM

from fewtune.compiler.wording import CONTENT_FREE
from fewtune.runtime.job import Corpus, ModelRef, Row, RowRef
from fewtune.runtime.train.contextual import calibrated
from fewtune.runtime.train.demonstrations import Demonstrations, Neighbours
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.sentences import Sentences
from fewtune.runtime.train.state import about
from fewtune.runtime.train.threads import Threads

SILENT = Pulse("job", lambda _: None)


@pytest.mark.parametrize(
    ("logits", "free", "expected"),
    [
        # p = 2/3, 1/3 over p_cf = 0.8, 0.2: 5/6 and 5/3
        ([np.log(2), 0.0], [[0.9, 0.1], [0.7, 0.3]], [1 / 3, 2 / 3]),
        # p_cf uniform: nothing changes
        ([np.log(6), np.log(3), 0.0], [[1 / 3, 1 / 3, 1 / 3]], [0.6, 0.3, 0.1]),
        # p = p_cf: it says no more than a text without content
        ([np.log(9), 0.0], [[0.9, 0.1]], [0.5, 0.5]),
    ],
)
def test_calibration_by_hand(logits: list[float], free: list[list[float]], expected: list[float]) -> None:
    p = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(calibrated(p.tolist(), free), expected, rtol=1e-12)


def test_a_label_that_is_never_said_does_no_harm() -> None:
    assert sum(calibrated([1.0, 0.0], [[1.0, 0.0]])) == pytest.approx(1.0)


@pytest.mark.parametrize("formulation", ["pattern", "in-context"])
def test_calibrated_predictions_are_those_of_a_plain_model(
    formulation: str, engine: Any, job: Any, models: Any, corpus: Corpus
) -> None:
    task = asked(job(formulation, demonstrations=4, scored=range(7)), calibration="contextual")
    task = task if formulation == "in-context" else task.model_copy(update={"fit": None})
    fitted, found = outcome(engine(), task)
    opening = Demonstrations.of(about(fitted.state)).opening if fitted else ""
    encoder = Encoder(load_tokenizer(str(models() / "tokenizer.json")))
    model = AutoModelForCausalLM.from_pretrained(models(), attn_implementation="eager").eval()
    ids = [task.tokens[label] for label in LABELS]

    def said(row: Row) -> Any:
        with torch.inference_mode():
            tokens = encoder.encode(Template(task.arm.pattern or "", opening=opening), row, 512)
            return model(torch.tensor([tokens])).logits[0, -1, ids].double().softmax(-1).numpy()

    leaning = np.mean([said(Row(fields={"text": text})) for text in CONTENT_FREE], axis=0)
    expected = np.array([said(row) for row in corpus.splits["test"][:7]]) / leaning
    np.testing.assert_allclose(found.probabilities, expected / expected.sum(1, keepdims=True), atol=1e-5)


@pytest.fixture
def own(models: Any, encoder: Path, corpus: Corpus) -> Engine:
    """An engine with a sentence encoder."""
    return Engine(ModelRef(path=str(models()), weights_hash="tiny", encoder=str(encoder)), corpus)


def cosines(encoder: Path, corpus: Corpus, texts: list[Row], queries: list[Row]) -> Any:
    """(queries, texts), by numpy, from vectors that are not of unit length any more."""
    network = Sentences(encoder, corpus, "cpu", Threads(1, steady=True))
    a, b = (3.0 * network.neighbourly([row.fields for row in rows], SILENT) for rows in (queries, texts))
    return (a @ b.T) / np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))


@pytest.mark.parametrize("split", ["train", "pairs"])
def test_the_nearest_examples_are_those_of_cosine(split: str, encoder: Path, corpus: Corpus) -> None:
    rows, queries = list(corpus.splits[split][:20]), list(corpus.splits[split][20:24])
    network = Sentences(encoder, corpus, "cpu", Threads(1, steady=True))
    vectors = network.neighbourly([row.fields for row in rows], SILENT)
    known = Neighbours(Demonstrations(tuple(map(str, range(20))), (0,) * 20, asked=5), vectors)
    expected = cosines(encoder, corpus, rows, queries)
    for query, row in zip(network.neighbourly([each.fields for each in queries], SILENT), expected, strict=True):
        assert known.nearest(query)[:5] == np.argsort(-row, kind="stable")[:5].tolist()


def test_each_row_is_asked_behind_its_nearest_examples_the_nearest_last(
    own: Engine, job: Any, encoder: Path, corpus: Corpus, models: Any
) -> None:
    task = asked(job("in-context", demonstrations=3, scored=range(6)), demonstrations_by="nearest")
    fitted, found = outcome(own, task)
    assert fitted is not None
    rows, queries = corpus.rows(RowRef(split="train", rows=tuple(range(32)))), corpus.splits["test"][:6]
    near = cosines(encoder, corpus, rows, list(queries))
    model = AutoModelForCausalLM.from_pretrained(models(), attn_implementation="eager").eval()
    tokens = Encoder(load_tokenizer(str(models() / "tokenizer.json")))
    ids, expected = [task.tokens[label] for label in LABELS], []
    for query, similar in zip(queries, near, strict=True):
        shown = [rows[place] for place in np.argsort(-similar, kind="stable")[:3][::-1]]
        text = "".join(f"{row.fields['text']}\nTopic: {LABELS[row.label]}\n\n" for row in shown)
        with torch.inference_mode():
            prompt = tokens.ids(f"{text}{query.fields['text']}\nTopic:")
            expected.append(model(torch.tensor([prompt])).logits[0, -1, ids].softmax(-1).numpy())
    np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
    others = Corpus(labels=LABELS, splits={"test": corpus.splits["test"]})
    asking = Engine(ModelRef(path=str(models()), weights_hash="tiny", encoder=str(encoder)), others)
    again = outcome(asking, task.model_copy(update={"fit": None}), fitted.state)[1]
    np.testing.assert_allclose(again.probabilities, found.probabilities, atol=1e-6)


def test_nearest_and_calibrated_is_calibrated_in_each_rows_own_prompt(own: Engine, job: Any) -> None:
    """A row alone and among others: the same, so no other row's prompt has a say."""
    task = asked(job("in-context", demonstrations=2, scored=range(5)), demonstrations_by="nearest",
                 calibration="contextual")  # fmt: skip
    fitted, found = outcome(own, task)
    assert fitted is not None
    one = task.scores[0].model_copy(update={"rows": RowRef(split="test", rows=(3,))})
    alone = outcome(own, task.model_copy(update={"fit": None, "scores": (one,)}), fitted.state)[1]
    np.testing.assert_allclose(alone.probabilities[0], found.probabilities[3], atol=1e-6)


def test_examples_that_do_not_fit_are_passed_over(models: Any) -> None:
    tokens = Encoder(load_tokenizer(str(models() / "tokenizer.json")))
    texts = ("short one", "word " * 40, "the other")
    known = Neighbours(Demonstrations(texts, (0, 1, 2), asked=2), np.array([[0.5], [1.0], [0.1]]))
    assert known.opening(np.array([1.0]), tokens, room=30) == "the other\n\nshort one\n\n"
    assert known.opening(np.array([1.0]), tokens, room=500) == f"short one\n\n{texts[1]}\n\n"
    assert known.opening(np.array([1.0]), tokens, room=0) == ""
