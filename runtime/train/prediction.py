"""What an arm says of some rows: labels with probabilities, texts, or how likely given texts are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fewtune.runtime.job import RowRef
from fewtune.specs.evaluation import Metric
from fewtune.store.judgements import Item
from fewtune.store.text_metrics import item_scores


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


Said = Prediction | Written | Compared
Predictor = Callable[[RowRef], Said]


def finite_rows(rows: Sequence[Sequence[float]]) -> list[tuple[float, ...]]:
    """The rows as tuples; one that is not finite, as a diverged model gives, says nothing: it becomes uniform."""
    return [tuple(row) if all(map(math.isfinite, row)) else (1 / len(row),) * len(row) for row in rows]
