"""Results for a reader."""

from typing import Any

from rich.console import Console
from rich.text import Text

from fewtune.api.answers import Results
from fewtune.api.shows.console import answer, heading, safe, table
from fewtune.api.shows.synthetic import show_synthetic
from fewtune.store.burdens import Burden
from fewtune.store.query import Answer
from fewtune.store.reader import LeaderboardRow
from fewtune.store.verdict import percent

NOTES = 6
"""Notes that are printed."""


def show_results(out: Console, found: Results) -> None:
    """Print the verdict and the leaderboard."""
    state = found.run.ended.state if found.run.ended else "running"
    out.print(Text(safe(f"{found.experiment}, run {found.run.id} ({state})"), style="bold"))
    if found.verdict is not None:
        out.print(Text(safe(found.verdict.sentence)))
    else:
        out.print("no verdict yet: the chosen arm has no complete result")
    if found.forecast is not None:
        out.print(Text(safe(found.forecast.sentence)))
    for note in found.notes[:NOTES]:
        out.print(Text(safe(note)))
    if found.notes[NOTES:]:
        out.print(f"and {len(found.notes) - NOTES} more notes; --json has all")
    interval = f"{percent(found.plan.experiment.evaluation.confidence)} interval"
    if found.board:
        heading(out, f"Leaderboard: {found.plan.metric} on {found.split} at n = {found.plan.final_n}")
        if found.look is not None:
            out.print(f"look {found.look.number} of {found.look.total} at this split; describe looks", style="dim")
        table(out, ("arm", "mean", interval, "seeds", "items", "covers", ""), [_row(row) for row in found.board],
              right=("mean", "seeds", "items"))  # fmt: skip
    if any(burden.trainable_parameters for burden in found.burdens.values()):
        heading(out, f"What it takes at n = {found.plan.final_n} (describe costs)")
        names = ("arm", "training", "memory", "parameters", "saved", "per item", "forgetting", "probe")
        table(out, names, [_burden(burden) for burden in found.burdens.values()], right=names[1:])
    if found.synthetic is not None:
        show_synthetic(out, found.synthetic, found.split)
    if found.others:
        heading(out, "Other splits and data sizes")
        rows = [(row.split, row.n, *_row(row)[:3]) for row in found.others]
        table(out, ("split", "n", "arm", "mean", interval), rows, right=("n", "mean"))


def _row(row: LeaderboardRow) -> tuple[Any, ...]:
    seeds = "seeds" if row.split != "cv" else "folds"
    covers = "items only" if row.basis == "items_only" else f"{seeds}, items"
    mark = "chosen" if row.chosen else ""
    if row.diverged:
        mark += f" {row.diverged} diverged"
    return row.arm, f"{row.mean:.3f}", f"{row.ci_low:.3f} to {row.ci_high:.3f}", row.seeds, row.items, covers, mark


def _burden(burden: Burden) -> tuple[str, ...]:
    values = (
        (burden.training_seconds, "{:.1f} s", 1.0), (burden.peak_memory_bytes, "{:.2f} GB", 1e-9),
        (burden.trainable_parameters, "{:,.0f}", 1.0), (burden.adapter_bytes, "{:,.0f} kB", 1e-3),
        (burden.latency_ms, "{:.1f} ms", 1.0), (burden.forgetting, "{:+.3f}", 1.0),
        (burden.probe_change, "{:+.2f}", 1.0),
    )  # fmt: skip
    return burden.arm, *("" if value is None else form.format(value * unit) for value, form, unit in values)


def show_answer(out: Console, found: Answer) -> None:
    """Print a query's rows."""
    names = [column.name for column in found.columns]
    answer(out, names, [["" if cell is None else _cell(cell) for cell in row] for row in found.rows])


def _cell(cell: Any) -> str:
    return f"{cell:.6g}" if isinstance(cell, float) else str(cell)
