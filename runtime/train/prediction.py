"""What a classifier says of some rows."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fewtune.runtime.job import RowRef


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Probabilities of some rows, in their order."""

    probabilities: tuple[tuple[float, ...], ...]
    """(rows, labels)"""
    seconds: float

    @property
    def predicted(self) -> tuple[int, ...]:
        """The likeliest label of each row; the lowest index of equals."""
        return tuple(row.index(max(row)) for row in self.probabilities)

    def accuracy(self, labels: Sequence[int]) -> float:
        """Share of rows whose likeliest label is right."""
        return sum(map(int.__eq__, self.predicted, labels)) / max(1, len(labels))

    def loss(self, labels: Sequence[int]) -> float:
        """Mean negative log-probability of the right labels, in nats."""
        chosen = [row[label] for row, label in zip(self.probabilities, labels, strict=True)]
        return sum(-math.log(p) if p > 0 else math.inf for p in chosen) / max(1, len(chosen))


Predictor = Callable[[RowRef], Prediction]


def finite_rows(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """The rows as tuples; one that is not finite, as a diverged model gives, says nothing: it becomes uniform."""
    return [tuple(row) if all(map(math.isfinite, row)) else (1 / len(row),) * len(row) for row in rows]
