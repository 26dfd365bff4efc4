"""The section about synthetic examples: what was made and left out, and what it was worth in real ones."""

from fewtune.api.report.findings import Findings
from fewtune.api.report.forest import Bar, forest
from fewtune.api.report.markup import Html, element
from fewtune.api.report.tables import table
from fewtune.api.shows.synthetic import NAMES, NUMBERS, cells
from fewtune.api.synthetic import SAID_TO_PASS
from fewtune.store.augmentations import Augmentation
from fewtune.store.multipliers import MultiplierRow

SIGNS = {"": "", "at most": "≤ ", "at least": "≥ "}
"""How the plot writes a bound."""
AIR = 1.15
"""Factor between the outermost values and the ends of the axis."""


def synthetic(found: Findings) -> Html | None:
    """Nothing where the plan has no synthetic examples."""
    made = found.results.synthetic
    if made is None:
        return None
    split = found.results.split
    said = (
        f"Passed is the share of what was written that passed the tests of the filter; Vereonix's page says "
        f"{SAID_TO_PASS}. All labelled examples of a sample stay beside what is kept."
    )
    lines = [*made.gates(), *made.notes()]
    return element(
        "section",
        element("h2", "Synthetic examples"),
        element("p", said, class_="soft"),
        _made(made.made),
        element("p", " ".join(made.analysis)) if made.analysis else None,
        element("ul", *(element("li", line) for line in lines)) if lines else None,
        _worth(made.worth(split), split),
    )  # fmt: skip


def _made(rows: tuple[Augmentation, ...]) -> Html:
    """What was made, without the columns that would be empty."""
    cut = len(NAMES) if any(one.cost for one in rows) else -1 if any(one.tokens for one in rows) else -2
    return table(
        "All samples of a data size together", NAMES[:cut], [cells(one)[:cut] for one in rows], numbers=NUMBERS,
        classes={"left out": "why"},
    )  # fmt: skip


def _worth(rows: tuple[MultiplierRow, ...], split: str) -> Html | None:
    """The multipliers as a plot for each arm; those that cannot be told as a list."""
    if not rows:
        return None
    said = (
        f"How many real examples would give an arm's score on {split}, over those that it had: above 1 the synthetic "
        "ones help. Read off the learning curve of the arm without them, with intervals over data seeds; an arrow says "
        "that the value lies beyond the curve, which tells a bound only."
    )
    told: dict[str, list[Bar]] = {}
    for row in rows:
        if (bar := _bar(row)) is not None:
            told.setdefault(row.arm, []).append(bar)
    axis = _axis([bar for bars in told.values() for bar in bars])
    plots = [
        part for arm, bars in told.items()
        for part in (element("h4", arm), forest(bars, *axis, title=f"{arm}: real examples for each labelled one",
                                                form=lambda value: f"{value:g}", log=True, zero=1.0))
    ]  # fmt: skip
    untold: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.multiplier is None:
            untold.setdefault((row.arm, row.says), []).append(f"{row.n}")
    lines = [f"{arm}, n = {', '.join(sizes)}: {says}" for (arm, says), sizes in untold.items()]
    return element(
        "div",
        element("h3", "What they were worth"),
        element("p", said, class_="soft"),
        *plots,
        element("ul", *(element("li", line) for line in lines)) if lines else None,
    )  # fmt: skip


def _bar(row: MultiplierRow) -> Bar | None:
    if row.multiplier is None or row.ci_low is None or row.ci_high is None:
        return None
    found = ((row.bound, row.multiplier), (row.ci_low_bound, row.ci_low), (row.ci_high_bound, row.ci_high))
    value, low, high = (f"{SIGNS[bound]}{number:.1f}" for bound, number in found)
    return Bar(
        name=f"n = {row.n}", low=row.ci_low, high=row.ci_high, value=None if row.bound else row.multiplier,
        said=f"{value} [{low}, {high}]", open_low=row.ci_low_bound == "at most",
        open_high=row.ci_high_bound == "at least",
    )  # fmt: skip


def _axis(bars: list[Bar]) -> tuple[float, float]:
    """Both ends, with 1 between them."""
    return min([1.0, *(bar.low for bar in bars)]) / AIR, max([1.0, *(bar.high for bar in bars)]) * AIR
