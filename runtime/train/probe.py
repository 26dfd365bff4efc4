"""Probes: logistic regression on the features of a frozen network, each row read once for all trials of a worker."""

import time
from collections.abc import Callable, Hashable
from typing import Protocol

import numpy as np
from safetensors.numpy import load, save

from fewtune.runtime.job import Corpus, Fit, Fitted, Job, RowRef
from fewtune.runtime.train.linear import Floats, Linear, separate_standardised, standardised
from fewtune.runtime.train.memory import PeakMemory
from fewtune.runtime.train.prediction import Marked, Prediction, Predictor, in_sets
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.state import metadata

Vector = np.ndarray[tuple[int], np.dtype[np.float32]]


class Features(Protocol):
    """A frozen network that reads rows."""

    def key(self, job: Job) -> Hashable:
        """What of the job changes the features."""

    def read(self, job: Job, ref: RowRef, pulse: Pulse) -> list[Vector]:
        """The features of each row."""


class Probe:
    """Fits and applies the arms `probe` and `encoder`."""

    libraries = ("torch", "transformers", "tokenizers", "scikit-learn")

    def __init__(self, corpus: Corpus, network: Callable[[], Features]) -> None:
        self.corpus = corpus
        self._network = network
        self._features: Features | None = None
        self._known: dict[Hashable, dict[tuple[str, int], Vector]] = {}
        self._took: dict[Hashable, dict[tuple[str, int], float]] = {}
        """Seconds that reading each known row took."""

    def fit(self, job: Job, fit: Fit, pulse: Pulse) -> Fitted:
        """Fit on the training rows; validation rows have no use here."""
        if not fit.train.rows:
            raise ValueError("there are no training rows")
        start = time.perf_counter()
        with PeakMemory("cpu") as peak:
            features = self.features(job, fit.train, pulse)
            rows, kinds = self.corpus.rows(fit.train), len(self.corpus.labels)
            if job.arm.marks is not None:
                sets = [row.marks for row in rows]
                found = separate_standardised(features, sets, kinds, job.recipe.penalty)
            else:
                found = standardised(features, [row.label for row in rows], kinds, job.recipe.penalty)
        return Fitted(
            stage=fit.stage,
            fingerprint=fit.fingerprint,
            state=self._state(job, found),
            seconds=time.perf_counter() - start,
            peak_memory_bytes=peak.bytes,
        )

    def _state(self, job: Job, found: Linear) -> bytes:
        arrays = {"coefficients": found.coefficients, "intercept": found.intercept}
        facts = {"formulation": job.arm.formulation, "labels": self.corpus.labels, "pattern": job.arm.pattern}
        content: bytes = save(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata=metadata(facts)
        )
        return content

    def predictor(self, job: Job, state: bytes | None, pulse: Pulse) -> Predictor:
        """What predicts rows from a state.

        Raises:
            ValueError: without a state.
        """
        if not state:
            raise ValueError(f"{job.arm.name}: nothing was fitted, and no state is given")
        found = Linear(**load(state))

        def predict(ref: RowRef) -> Prediction | Marked:
            start, spared = time.perf_counter(), self._spared(job, ref)
            if job.arm.marks is not None:
                shares = found.shares(self.features(job, ref, pulse))
                return in_sets(shares, job.metric, time.perf_counter() - start, spared)
            probabilities = tuple(found.probabilities(self.features(job, ref, pulse)))
            return Prediction(probabilities=probabilities, seconds=time.perf_counter() - start, spared_seconds=spared)

        return predict

    def _spared(self, job: Job, ref: RowRef) -> float:
        """Seconds that reading these rows took earlier."""
        if self._features is None:
            return 0.0
        took = self._took.get(self._features.key(job), {})
        return sum(took.get((ref.split, row), 0.0) for row in ref.rows)

    def features(self, job: Job, ref: RowRef, pulse: Pulse) -> Floats:
        """(rows, features); rows that were read before, for whatever trial, are not read again."""
        if self._features is None:
            pulse.beat("loading", 0, 1)
            self._features = self._network()
        key = self._features.key(job)
        known = self._known.setdefault(key, {})
        missing = tuple(row for row in dict.fromkeys(ref.rows) if (ref.split, row) not in known)
        if missing:
            start = time.perf_counter()
            vectors = self._features.read(job, RowRef(split=ref.split, rows=missing), pulse)
            names = [(ref.split, row) for row in missing]
            known.update(zip(names, vectors, strict=True))
            each = (time.perf_counter() - start) / len(missing)
            self._took.setdefault(key, {}).update(dict.fromkeys(names, each))
        added: list[Vector] = []
        if ref.added:
            added = self._features.read(job, RowRef(split=ref.split, rows=(), added=ref.added), pulse)
        return np.array([*(known[ref.split, row] for row in ref.rows), *added], dtype=np.float64)
