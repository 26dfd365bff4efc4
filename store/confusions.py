"""Which label an arm takes for which, from its predictions."""

from collections import Counter
from dataclasses import dataclass

from fewtune.store.trial_predictions import ArmRuns


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """One kind of wrong answer, over all trials of the arm."""

    label: str
    predicted: str | None
    """None: no valid answer."""
    count: int
    """Answers of this kind."""
    answers: int
    """All answers to rows with this label."""
    items: tuple[int, ...]
    """Indices of the rows that it befell, in how many trials falling, then rising."""

    @property
    def share(self) -> float:
        """Of the answers to rows with this label."""
        return self.count / self.answers


def confusions(found: ArmRuns, names: tuple[str, ...]) -> tuple[Confusion, ...]:
    """Every kind of wrong answer, the most frequent first.

    Args:
        found: answers that are labels.
        names: of the labels.
    """
    kinds: dict[tuple[int, int], Counter[int]] = {}
    answers = Counter[int]()
    for trial in found.runs.predicted.tolist():
        for row, label, answer in zip(found.rows.tolist(), found.labels.tolist(), trial, strict=True):
            answers[label] += 1
            if answer != label:
                kinds.setdefault((label, max(int(answer), -1)), Counter())[row] += 1
    confused = [
        Confusion(
            label=names[label],
            predicted=names[answer] if answer >= 0 else None,
            count=rows.total(),
            answers=answers[label],
            items=tuple(sorted(rows, key=lambda row: (-rows[row], row))),
        )
        for (label, answer), rows in kinds.items()
    ]
    return tuple(sorted(confused, key=lambda one: (-one.count, one.label, one.predicted or "")))
