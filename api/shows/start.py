"""A new spec for a reader: the columns, the labels, and the plan in short."""

from rich.console import Console
from rich.text import Text

from fewtune.api.shows.console import clock, diagnostics, safe, table
from fewtune.api.starting import MOST_COLUMNS, Made, short

MOST_LABELS = 12
"""Labels that are named."""


def show_start(talk: Console, made: Made) -> None:
    """Print what was found and what the spec's plan would be."""
    found = made.guess
    if found is not None:
        rows = [
            (safe(one.name[:60]), one.kind, f"{one.distinct:,}", one.missing or "", found.role(one.name) or "")
            for one in found.seen[:MOST_COLUMNS]
        ]
        table(talk, ("column", "looks like", "values", "empty", "used as"), rows, right=("values", "empty"))
        count = f"{found.rows:,} rows" + (" were read (there are more)" if found.more else "")
        if found.labels:
            named = sorted(found.labels.items(), key=lambda item: -item[1])
            listed = ", ".join(f"{safe(name[:60])} {times:,}" for name, times in named[:MOST_LABELS])
            more = f" and {len(named) - MOST_LABELS} more" if len(named) > MOST_LABELS else ""
            talk.print(Text(f"{count}, {len(named)} labels: {listed}{more}"))
        else:
            talk.print(count)
    diagnostics(talk, made.findings, made.path.name)
    if made.compiled is not None:
        talk.print(Text(_plan(made)))


def _plan(made: Made) -> str:
    """The plan in a sentence."""
    assert made.compiled is not None
    plan = short(made.compiled)
    tells = plan["detects"]
    apart = f"tells arms apart that differ by {tells:.2f} {plan['metric']}" if tells and tells < 1 else (
        "tells no two trained arms apart: too few rows or seeds")  # fmt: skip
    scored = f"scored on {plan['scored_on']}"
    return (
        f"its plan: {len(plan['arms'])} arms, {plan['trials']} trials with {plan['labels']} labels, {scored}; about "
        f"{clock(plan['seconds']['mid'])}; {apart}"
    )
