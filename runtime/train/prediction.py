"""What an arm says of some rows: a label or several, texts, or how likely given texts are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fewtune.runtime.job import RowRef
from fewtune.specs.evaluation import Metric
from fewtune.specs.task import Marks
from fewtune.store.judgements import Item
from fewtune.store.markings import Markings
from fewtune.store.text_metrics import item_scores

LEAST = 1e-12
"""Probabilities below are taken for it where their logarithm is."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """Probabilities of some rows, in their order."""

    probabilities: tuple[tuple[float, ...], ...]
    """(rows, labels)"""
    seconds: float
    spared_seconds: float = 0.0
    """What reading these rows had taken before, for another trial."""

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

    @property
    def columns(self) -> dict[str, Any]:
        """What is reported of each row, as `Scored` names it."""
        return {"predicted": self.predicted, "probabilities": self.probabilities}

    def quality(self, labels: Sequence[int]) -> tuple[float, float]:
        """What states are ranked by, higher is better: accuracy, and the loss where that is equal."""
        return self.accuracy(labels), -self.loss(labels)


@dataclass(frozen=True, kw_only=True)
class Written:
    """Texts of some rows, in their order."""

    texts: tuple[str, ...]
    metric: Metric
    """What they are ranked by."""
    seconds: float
    spared_seconds: float = 0.0

    @property
    def columns(self) -> dict[str, Any]:
        """What is reported of each row, as `Scored` names it."""
        return {"texts": self.texts}

    def quality(self, targets: Sequence[str]) -> tuple[float, float]:
        """What states are ranked by, higher is better: the mean score; of equals the first one stays."""
        return sum(item_scores(self.metric, self.texts, targets)) / max(1, len(targets)), 0.0


@dataclass(frozen=True, kw_only=True)
class Compared:
    """How likely the texts of some rows are, in their order."""

    items: tuple[Item, ...]
    seconds: float
    spared_seconds: float = 0.0

    @property
    def columns(self) -> dict[str, Any]:
        """What is reported of each row, as `Scored` names it."""
        return {"judged": self.items}

    def quality(self, _: Sequence[Any]) -> tuple[float, float]:
        """What states are ranked by, higher is better: preference accuracy, and the margin where that is equal."""
        count = max(1, len(self.items))
        return sum(item.right for item in self.items) / count, sum(item.margin for item in self.items) / count


GIVEN = 0.5
"""Share from which a label of a set is given: the usual one, as no rows are spared to choose another."""


def given(shares: Sequence[float]) -> tuple[int, ...]:
    """The labels of a set, in rising order.

    >>> given([0.2, 0.5, 0.9])
    (1, 2)
    """
    return tuple(label for label, share in enumerate(shares) if share >= GIVEN)


@dataclass(frozen=True, kw_only=True)
class Marked:
    """Several labels of some rows, in their order."""

    marks: tuple[tuple[int, ...], ...]
    """Labels of each row in rising order, or the tag of each of its words."""
    shares: tuple[tuple[float, ...], ...] = ()
    """(rows, labels) probability of each label by itself; none of tags."""
    metric: Metric
    """What they are ranked by."""
    kind: Marks
    names: tuple[str, ...] = ()
    """Of the tags."""
    seconds: float
    spared_seconds: float = 0.0

    @property
    def columns(self) -> dict[str, Any]:
        """What is reported of each row, as `Scored` names it."""
        return {"marks": self.marks, "probabilities": self.shares}

    def quality(self, wanted: Sequence[tuple[int, ...]]) -> tuple[float, float]:
        """What states are ranked by, higher is better: the metric, and of sets the loss where that is equal."""
        names = self.names or tuple(map(str, range(len(self.shares[0]) if self.shares else 0)))
        found = Markings(
            marks=self.kind, split="", rows=tuple(range(len(wanted))), names=names, wanted=tuple(wanted),
            said=self.marks,
        )  # fmt: skip
        return getattr(found.scores(), self.metric) or 0.0, -self._loss(wanted)

    def _loss(self, wanted: Sequence[tuple[int, ...]]) -> float:
        """Mean binary cross-entropy, in nats; 0 of tags."""
        each = [
            -math.log(max(share if label in right else 1 - share, LEAST))
            for right, row in zip(wanted, self.shares, strict=False) for label, share in enumerate(row)
        ]  # fmt: skip
        return sum(each) / max(1, len(each))


def in_sets(
    shares: tuple[tuple[float, ...], ...], metric: Metric, seconds: float, spared_seconds: float = 0.0
) -> Marked:
    """The sets of labels that probabilities (rows, labels) give."""
    return Marked(
        marks=tuple(map(given, shares)), shares=shares, metric=metric, kind="set", seconds=seconds,
        spared_seconds=spared_seconds,
    )  # fmt: skip


def pooled(parts: Sequence[Prediction]) -> Prediction:
    """What an ensemble of patterns says: the mean of their log-probabilities, as probabilities.

    PET sums the patterns' scores with equal weights and takes the softmax (arXiv 2001.07676, section 3.3); scores and
    log-probabilities differ by a number for each row, so that is the same. There each pattern has a model of its own.
    """
    rows = []
    for row in zip(*(part.probabilities for part in parts), strict=True):
        means = [sum(math.log(max(p, LEAST)) for p in column) / len(parts) for column in zip(*row, strict=True)]
        powers = [math.exp(mean - max(means)) for mean in means]
        rows.append(tuple(power / sum(powers) for power in powers))
    return Prediction(probabilities=tuple(rows), seconds=sum(part.seconds for part in parts))


Said = Prediction | Written | Compared | Marked
Predictor = Callable[[RowRef], Said]


def finite_rows(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """The rows as tuples; one that is not finite, as a diverged model gives, says nothing: it becomes uniform."""
    return [tuple(row) if all(map(math.isfinite, row)) else (1 / len(row),) * len(row) for row in rows]
