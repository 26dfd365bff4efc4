"""The arms that do without the language model: majority and TF-IDF with logistic regression.

Both are one linear model over words, logits = tfidf(text) . coefficients + intercept; majority is the one that knows no
words. So a training set with one label only, or without a single usable word, is no special case: its coefficients are
empty and the intercept is the logarithm of the label frequencies.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from fewtune.runtime.job import Corpus, Fit, Fitted, Job, Row, RowRef
from fewtune.runtime.train.linear import Floats, Linear, frequencies, logistic, separate, usual_set
from fewtune.runtime.train.memory import PeakMemory
from fewtune.runtime.train.prediction import Marked, Prediction, Predictor, in_sets
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.state import about, metadata

SEPARATOR = "\n\n"
"""Stands between the fields of a pair."""


@dataclass(frozen=True)
class WordModel:
    """A linear classifier over word n-grams."""

    terms: tuple[str, ...]
    idf: Floats
    """(terms,)"""
    linear: Linear

    def probabilities(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """Softmax of the logits of each text."""
        return self.linear.probabilities(self._features(texts))

    def shares(self, texts: Sequence[str]) -> tuple[tuple[float, ...], ...]:
        """Sigmoid of the logits of each text."""
        return self.linear.shares(self._features(texts))

    def _features(self, texts: Sequence[str]) -> Any:
        known = bool(self.terms and texts)
        return self._vectorizer().transform(texts) if known else np.zeros((len(texts), len(self.terms)))

    def _vectorizer(self) -> Any:
        vectorizer = _vectorizer(vocabulary={term: place for place, term in enumerate(self.terms)})
        vectorizer.idf_ = self.idf
        return vectorizer

    def saved(self, facts: dict[str, Any]) -> bytes:
        """The model as a safetensors file, its terms in the header."""
        arrays = {"idf": self.idf, "coefficients": self.linear.coefficients, "intercept": self.linear.intercept}
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        content: bytes = save(contiguous, metadata=metadata({**facts, "terms": self.terms}))
        return content


def opened(state: bytes) -> WordModel:
    """The model of a state."""
    arrays = load(state)
    return WordModel(tuple(about(state)["terms"]), arrays.pop("idf"), Linear(**arrays))


def _vectorizer(**settings: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, **settings)


def majority(labels: Sequence[int], kinds: int) -> WordModel:
    """Predicts the label frequencies, whatever the text."""
    return WordModel((), np.zeros(0), frequencies(labels, kinds, 0))


def tfidf(texts: Sequence[str], labels: Sequence[int], kinds: int, penalty: float = 1.0) -> WordModel:
    """Logistic regression on TF-IDF of words and pairs of words (scikit-learn's defaults otherwise)."""
    found = None if len(set(labels)) < 2 else _on_words(texts, lambda words: logistic(words, labels, kinds, penalty))
    return found or majority(labels, kinds)


def tfidf_sets(texts: Sequence[str], sets: Sequence[Sequence[int]], kinds: int, penalty: float = 1.0) -> WordModel:
    """A logistic regression for each label on the same features; the most frequent set where no word is usable."""
    return _on_words(texts, lambda words: separate(words, sets, kinds, penalty)) or usual(sets, kinds)


def usual(sets: Sequence[Sequence[int]], kinds: int) -> WordModel:
    """Gives the most frequent set of labels, whatever the text."""
    return WordModel((), np.zeros(0), usual_set(sets, kinds, 0))


def _on_words(texts: Sequence[str], fit: Callable[[Any], Linear]) -> WordModel | None:
    """What is fitted to the features of the texts; None where no word is usable."""
    vectorizer = _vectorizer()
    analyze = vectorizer.build_analyzer()
    if not any(analyze(text) for text in texts):
        return None
    features = vectorizer.fit_transform(texts)
    return WordModel(tuple(vectorizer.get_feature_names_out().tolist()), vectorizer.idf_, fit(features))


def joined(row: Row) -> str:
    """A row's fields as one text."""
    return SEPARATOR.join(row.fields.values())


class BagOfWords:
    """Fits and applies the arms `majority` and `tfidf`."""

    libraries = ("numpy", "scikit-learn")

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def fit(self, job: Job, fit: Fit, pulse: Pulse) -> Fitted:
        """Fit on the training rows; validation rows have no use here."""
        start = time.perf_counter()
        with PeakMemory("cpu") as peak:
            rows, kinds = self.corpus.rows(fit.train), len(self.corpus.labels)
            labels = [row.label for row in rows]
            if not rows:
                raise ValueError("there are no training rows")
            pulse.beat("training", 0, 1)
            known = job.arm.formulation == "tfidf"
            if job.arm.marks is not None:
                sets = [row.marks for row in rows]
                model = tfidf_sets([joined(row) for row in rows], sets, kinds) if known else usual(sets, kinds)
            else:
                model = tfidf([joined(row) for row in rows], labels, kinds) if known else majority(labels, kinds)
            state = model.saved({"formulation": job.arm.formulation, "labels": self.corpus.labels})
        pulse.beat("training", 1, 1)
        return Fitted(
            stage=fit.stage,
            fingerprint=fit.fingerprint,
            state=state,
            seconds=time.perf_counter() - start,
            peak_memory_bytes=peak.bytes,
        )

    def predictor(self, job: Job, state: bytes | None, pulse: Pulse) -> Predictor:
        """What predicts rows from a state.

        Raises:
            ValueError: without a state.
        """
        if not state:
            raise ValueError(f"{job.arm.name}: nothing was fitted, and no state is given")
        model = opened(state)

        def predict(ref: RowRef) -> Prediction | Marked:
            start = time.perf_counter()
            pulse.beat("scoring", 0, len(ref.rows))
            texts = [joined(row) for row in self.corpus.rows(ref)]
            if job.arm.marks is not None:
                return in_sets(model.shares(texts), job.metric, time.perf_counter() - start)
            probabilities = model.probabilities(texts)
            pulse.beat("scoring", len(ref.rows), len(ref.rows))
            return Prediction(probabilities=tuple(probabilities), seconds=time.perf_counter() - start)

        return predict
