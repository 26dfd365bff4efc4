"""Synthetic examples of a run for a reader at a terminal."""

from rich.console import Console
from rich.text import Text

from fewtune.api.shows.console import heading, safe, table
from fewtune.api.synthetic import SAID_TO_PASS, Synthetic
from fewtune.store.augmentations import Augmentation

NAMES = ("source", "n", "samples", "asked", "written", "kept", "passed", "left out", "tokens", "cost")
NUMBERS = ("n", "asked", "written", "kept", "passed", "tokens", "cost")


def show_synthetic(out: Console, found: Synthetic, split: str) -> None:
    """Print what was made and left out, what the gate said, and what it was worth on the main split."""
    heading(out, "Synthetic examples (describe augmentation)")
    table(out, NAMES, [cells(one) for one in found.made], right=NUMBERS)
    lines = [f"passed: the tests of the filter; Vereonix's page says {SAID_TO_PASS}", *found.gates(), *found.analysis]
    for line in (*lines, *found.notes()):
        out.print(Text(safe(line)))
    rows = found.worth(split)
    if rows:
        heading(out, f"What they were worth in real examples, on {split}")
        table(out, ("arm", "n", "in words"), [(row.arm, row.n, row.says) for row in rows], right=("n",))


def cells(one: Augmentation) -> tuple[str, ...]:
    """A row of the table, in words."""
    made = f"{one.made}" if one.made == one.planned else f"{one.made} of {one.planned}"
    asked, written, kept = (f"{count:,}" for count in (one.asked, one.written, one.kept))
    share = "" if one.passed_share is None else f"{one.passed_share:.0%}"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in one.rejected.items())
    paid = (f"{one.tokens:,}", f"{one.cost:.4g}" if one.cost else "") if one.source == "teacher" else ("", "")
    return one.source, f"{one.n}", made, asked, written, kept, share, reasons, *paid
