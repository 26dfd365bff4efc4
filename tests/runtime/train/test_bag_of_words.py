"""Majority and TF-IDF."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from tiny import LABELS, tiny_rows

from fewtune.runtime.job import Corpus, Fitted, Job, Row, Scored
from fewtune.runtime.train.bag_of_words import joined, majority, opened, tfidf
from fewtune.runtime.train.engine import Engine


@pytest.mark.parametrize("kinds", [2, 4])
def test_tfidf_is_scikit_learns(kinds: int) -> None:
    rows = tiny_rows(60, labels=LABELS[:kinds], noise=0.2)
    texts, labels = [joined(row) for row in rows], [row.label for row in rows]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    oracle = LogisticRegression(max_iter=1000).fit(vectorizer.fit_transform(texts[:40]), labels[:40])
    ours = tfidf(texts[:40], labels[:40], kinds).probabilities(texts[40:])
    np.testing.assert_allclose(ours, oracle.predict_proba(vectorizer.transform(texts[40:])), atol=1e-12)


def test_the_state_gives_the_same_bits_without_pickle() -> None:
    rows = tiny_rows(40, pairs=True)
    texts = [joined(row) for row in rows]
    model = tfidf(texts, [row.label for row in rows], 4)
    state = model.saved({"formulation": "tfidf"})
    assert opened(state).probabilities(texts) == model.probabilities(texts)
    assert b"pickle" not in state
    assert b"sklearn" not in state


def test_labels_without_a_training_row_are_never_predicted() -> None:
    rows = tiny_rows(20, labels=LABELS[:2])
    model = tfidf([joined(row) for row in rows], [1 + 2 * row.label for row in rows], 5)
    for row in model.probabilities(["goal coach", "treaty", ""]):
        assert row[0] == row[2] == row[4] == 0.0
        assert sum(row) == pytest.approx(1)


@pytest.mark.parametrize("texts", [["goal", "coach"], ["a", "I ."], ["", ""]])
def test_one_label_or_no_words_gives_frequencies(texts: list[str]) -> None:
    labels = [2, 2] if texts[0] == "goal" else [0, 1]
    expected = (0.0, 0.0, 1.0) if labels == [2, 2] else (0.5, 0.5, 0.0)
    assert tfidf(texts, labels, 3).probabilities(["goal"]) == [pytest.approx(expected)]


def test_majority_takes_the_first_of_equals() -> None:
    ours = majority([3, 1, 3, 1, 0], 4).probabilities(["x", ""])
    assert ours == [pytest.approx((0.2, 0.4, 0.0, 0.4))] * 2
    assert ours[0].index(max(ours[0])) == 1


def test_pairs_are_joined() -> None:
    assert joined(Row(fields={"premise": "a", "hypothesis": "b"}, label=0)).split() == ["a", "b"]


@pytest.mark.parametrize("formulation", ["majority", "tfidf"])
def test_as_a_job(formulation: str, job: Callable[..., Job], engine: Callable[..., Engine], corpus: Corpus) -> None:
    answer = engine().run(job(formulation, pattern=None))
    assert answer.failure is None
    assert "torch" not in answer.versions
    fitted, scored = answer.outcomes
    assert isinstance(fitted, Fitted)
    assert isinstance(scored, Scored)
    right = [
        corpus.splits["test"][row].label == label for row, label in zip(scored.rows.rows, scored.predicted, strict=True)
    ]
    assert sum(right) == (10 if formulation == "majority" else 40)
    again = engine().run(job(formulation, pattern=None, fit=None), state=fitted.state)
    assert again.outcomes[0].probabilities == scored.probabilities  # type: ignore[union-attr]


def test_torch_is_not_imported(job: Callable[..., Job], corpus: Corpus, models: Callable[..., Path]) -> None:
    program = (
        "import sys\nfrom fewtune.runtime.job import Corpus, Job, ModelRef\n"
        "from fewtune.runtime.train.engine import Engine\n"
        "corpus, *jobs = sys.stdin.read().splitlines()\n"
        "engine = Engine(ModelRef(path='/nowhere', weights_hash=''), Corpus.model_validate_json(corpus))\n"
        "assert all(engine.run(Job.model_validate_json(job)).failure is None for job in jobs)\n"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)\n"
    )
    jobs = [job(formulation, pattern=None).model_dump_json() for formulation in ("majority", "tfidf")]
    lines = "\n".join([corpus.model_dump_json(), *jobs])
    subprocess.run([sys.executable, "-c", program], input=lines, text=True, check=True, timeout=60)
