"""What a run's synthetic examples came to: made, left out, paid, and worth in real ones."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from fewtune.compiler.plan import Plan
from fewtune.store.augmentations import Augmentation, analysis, augmentations
from fewtune.store.multipliers import MultiplierRow, multipliers
from fewtune.store.reader import Reader

SAID_TO_PASS = "60 to 70 %"
"""Vereonix's page, of what passes a filter at the default threshold."""


@dataclass(frozen=True)
class Synthetic:
    """One run's."""

    made: tuple[Augmentation, ...]
    analysis: tuple[str, ...]
    """What the labelled examples are like, in at most two sentences."""
    multipliers: tuple[MultiplierRow, ...]

    def data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "made": [asdict(one) for one in self.made],
            "said_to_pass": SAID_TO_PASS,
            "analysis": self.analysis,
            "gate": list(self.gates()),
            "multipliers": [
                asdict(row) | {name: getattr(row, name) or None for name in ("bound", "ci_low_bound", "ci_high_bound")}
                for row in self.multipliers
            ],
        }

    def gates(self) -> Iterator[str]:
        """What the gate decided at each data size, in words; nothing where no teacher was planned."""
        said: dict[str, list[str]] = {}
        for one in self.made:
            if one.source == "teacher":
                said.setdefault(gate_of(one), []).append(f"{one.n}")
        yield from (f"n = {', '.join(sizes)}: {what}" for what, sizes in said.items())

    def worth(self, split: str) -> tuple[MultiplierRow, ...]:
        """The multipliers on one split."""
        return tuple(row for row in self.multipliers if row.split == split)

    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the data sets, each once."""
        said = [note for one in self.made for note in one.notes]
        return tuple(dict.fromkeys([*(note for one in self.made if (note := nothing_of(one))), *said]))


def synthetic(reader: Reader, plan: Plan, run: str) -> Synthetic | None:
    """What is known of a run's synthetic examples; None: its plan has none."""
    made = augmentations(reader, plan)
    if not made:
        return None
    return Synthetic(made, analysis(reader, plan), multipliers(reader, run))


def gate_of(one: Augmentation) -> str:
    """What the gate decided at one data size."""
    if not one.made:
        return "not reached yet"
    if not one.gated:
        return "the spec leaves the gate open"
    known = ": the ceiling left no room to ask the teacher for labels" if one.teacher_accuracy is None else ""
    if one.teacher_accuracy is not None and one.student_accuracy is not None:
        known = (
            f": the teacher labels {one.teacher_accuracy:.0%} of the examples rightly, the student unasked "
            f"{one.student_accuracy:.0%}"
        )
    if one.opened == one.gated:
        return f"the gate opened for {_samples(one.gated)}{known}"
    shut = "all" if not one.opened else f"{one.gated - one.opened} of"
    return f"the gate stayed closed for {shut} {_samples(one.gated)}, whose arms were dropped{known}"


def nothing_of(one: Augmentation) -> str:
    """That no example stayed, in words; empty: some did."""
    if not one.empty:
        return ""
    where = f"n = {one.n}, {one.source}: no synthetic example stayed for {one.empty} of {_samples(one.made)}"
    if one.empty < one.made:
        return f"{where}, where the arm learns what its twin learns"
    return f"{where}: the arm is its twin once more, and is not chosen"


def _samples(count: int) -> str:
    return f"{count} sample{'s' * (count != 1)}"
