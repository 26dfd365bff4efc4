"""The sections about the work: what it cost, what failed, what must be known."""

from collections.abc import Callable

from fewtune.api.report.findings import Findings, Row
from fewtune.api.report.forest import Bar, forest
from fewtune.api.report.markup import Html, element
from fewtune.api.report.tables import table
from fewtune.api.shows.console import clock, size

LEAST_SECONDS = 0.1
"""Start of the axis of times."""


def costs(found: Findings) -> Html | None:
    """The estimate against what it took."""
    rows = [row for row in found.costs if row["estimated_seconds"] is not None]
    if not rows:
        return None
    basis = ", ".join(sorted({str(row["basis"]) for row in rows}))
    whole = next((row for row in rows if row["arm"] is None), None)
    said = f"The estimate rests on {basis} figures."
    if whole is not None:
        expected = f"{span(whole['estimated_seconds'])} were expected, {_range(whole)}"
        said = f"{expected}. {said}" if whole["seconds"] is None else (
            f"The run took {span(whole['seconds'])}; {expected}. {said}"
        )  # fmt: skip
    return element(
        "section",
        element("h2", "Costs"),
        element("p", f"{said} A line is the range of the estimate, the point what it took; arms whose results were "
                "known took nothing.", class_="soft"),
        _plot([row for row in rows if row["estimated_seconds_high"] > LEAST_SECONDS]),
        _table(rows),
    )  # fmt: skip


def span(seconds: float) -> str:
    """A time, with tenths where it is short.

    >>> span(1.25), span(40)
    ('1.2 s', '40 s')
    """
    return f"{seconds:.1f} s" if seconds < 9.95 else clock(seconds)


def _name(row: Row) -> str:
    return "the whole run" if row["arm"] is None else str(row["arm"])


def _range(row: Row) -> str:
    return f"{span(row['estimated_seconds_low'])} to {span(row['estimated_seconds_high'])}"


def _table(rows: list[Row]) -> Html:
    lost = any(row["lost_seconds"] for row in rows)
    columns = ("what", "time", "range expected", *(["lost to failures"] if lost else []), "memory", "disk")
    cells = [
        (
            _name(row),
            _both(row["seconds"], row["estimated_seconds"], span),
            _range(row),
            *([span(row["lost_seconds"]) if row["lost_seconds"] else ""] if lost else []),
            _both(row["peak_memory_bytes"], row["estimated_peak_memory_bytes"], size),
            _both(row["disk_bytes"], row["estimated_disk_bytes"], size),
        )
        for row in rows
    ]
    return table("What it took, and in brackets what was expected", columns, cells, numbers=columns[1:])


def _both(taken: float | None, expected: float | None, form: Callable[[float], str]) -> str:
    said = "" if taken is None else form(taken)
    return f"{said} ({form(expected)})" if expected else said


def _plot(rows: list[Row]) -> Html | None:
    if not rows:
        return None
    taken = [row["seconds"] for row in rows if row["seconds"]]
    high = max([row["estimated_seconds_high"] for row in rows] + taken)
    bars = [
        Bar(
            name=_name(row), low=max(row["estimated_seconds_low"], LEAST_SECONDS), high=row["estimated_seconds_high"],
            value=max(row["seconds"], LEAST_SECONDS) if row["seconds"] else None,
            said=f"{span(row['seconds'])} of {span(row['estimated_seconds'])}" if row["seconds"] else "took nothing",
            marked=row["arm"] is None,
        )
        for row in rows
    ]  # fmt: skip
    low = min(bar.low if bar.value is None else min(bar.low, bar.value) for bar in bars)
    return forest(bars, low, high * 1.1, title="Seconds, estimated and taken", form=_tick, log=True)


def _tick(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else clock(seconds)


def trouble(found: Findings) -> Html | None:
    """Failures, warnings and notes."""
    plan, results = found.results.plan, found.results
    warnings = [f"{w.message} ({w.code})" + (f": {w.remedy}" if w.remedy else "") for w in plan.warnings]
    rows = [
        (row["trial"] or row["arm"] or "the run", row["attempt"] or "", row["failure"] or "", row["message"] or "",
         "" if row["seconds"] is None else span(row["seconds"]))
        for row in found.failures
    ]  # fmt: skip
    if not rows and not warnings and not results.notes:
        return None
    columns = ("trial", "attempt", "kind", "message", "after")
    return element(
        "section",
        element("h2", "Failures and warnings"),
        table("Attempts that failed", columns, rows, classes={"message": "why"}, stacked=True) if rows else None,
        element("ul", *(element("li", warning) for warning in warnings)) if warnings else None,
        element("h3", "Notes on single trials") if results.notes else None,
        element("ul", *(element("li", note) for note in results.notes)) if results.notes else None,
    )
