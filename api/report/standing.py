"""The sections about scores: leaderboard, learning curves, training."""

from itertools import groupby
from math import inf

from fewtune.api.report.findings import Findings, Row
from fewtune.api.report.forest import Bar, forest
from fewtune.api.report.markup import Html, element, together
from fewtune.api.report.panels import Line, Panel, Point, panels
from fewtune.api.report.scale import around
from fewtune.api.report.tables import table
from fewtune.store.reader import LeaderboardRow

BOUNDS = {"mcc": (-1.0, 1.0), "margin": (-inf, inf)}
"""What a metric can be, where that is not 0 to 1."""


def leaderboard(found: Findings) -> Html | None:
    """All arms at the largest data size, as a plot and as a table."""
    results = found.results
    if not results.board:
        return None
    where = "by cross-validation" if results.split == "cv" else f"on {results.split}"
    level = results.plan.experiment.evaluation.confidence
    items = results.board[0].items
    caption = f"{results.plan.metric} {where} at n = {results.plan.final_n}, {items} items, {level:.0%} intervals"
    return element(
        "section",
        element("h2", "Leaderboard"),
        element("p", f"{caption[0].upper()}{caption[1:]}. The chosen arm is marked; it was chosen before these scores "
                "were read.", class_="soft"),
        forest(_bars(results.board), *_axis([*results.board]), title=caption, form=lambda value: f"{value:g}"),
        _board_table(found, caption),
        _others(found),
    )  # fmt: skip


def _bars(rows: tuple[LeaderboardRow, ...]) -> list[Bar]:
    return [
        Bar(name=row.arm, low=row.ci_low, high=row.ci_high, value=row.mean, said=_interval(row), marked=row.chosen)
        for row in rows
    ]


def _axis(rows: list[LeaderboardRow]) -> tuple[float, float]:
    """From the lowest end to the highest, within what the metric can be."""
    low, high = around([value for row in rows for value in (row.ci_low, row.ci_high)])
    least, most = BOUNDS.get(rows[0].metric, (0.0, 1.0))
    return max(low, least), min(high, most)


def _interval(row: LeaderboardRow) -> str:
    return f"{row.mean:.2f} [{row.ci_low:.2f}, {row.ci_high:.2f}]"


def _board_table(found: Findings, caption: str) -> Html:
    results = found.results
    against = {row.arm: row for row in results.comparisons}
    rows: list[tuple[str, ...]] = []
    for row in results.board:
        other = against.get(row.arm)
        gap = _signed(-other.difference, -other.ci_high, -other.ci_low) if other else ""
        said = {"better": "worse", "worse": "better"}.get(other.verdict, other.verdict) if other else "chosen"
        seeds = f"{row.seeds}, items only" if row.basis == "items_only" else f"{row.seeds}"
        name = row.arm + (f" ({row.diverged} diverged)" if row.diverged else "")
        rows.append((name, f"{row.mean:.3f}", f"{row.ci_low:.3f} to {row.ci_high:.3f}", gap,
                     said if other or row.chosen else "", seeds, row.role))  # fmt: skip
    columns = ("arm", "mean", "interval", "less the chosen", "verdict", "seeds", "role")
    marked = [place for place, row in enumerate(results.board) if row.chosen]
    return table(caption, columns, rows, numbers=("mean", "interval", "less the chosen", "seeds"),
                 classes={"verdict": "short"}, marked=marked)  # fmt: skip


def _signed(value: float, low: float, high: float) -> str:
    """A difference with its interval, with minus signs."""
    return f"{value:+z.3f} [{low:+z.3f}, {high:+z.3f}]".replace("-", "−")


def _others(found: Findings) -> Html | None:
    rows = [
        (row.arm, row.split, str(row.n), f"{row.mean:.3f}", f"{row.ci_low:.3f} to {row.ci_high:.3f}", str(row.seeds))
        for row in found.results.others
    ]
    if not rows:
        return None
    columns = ("arm", "split", "n", "mean", "interval", "seeds")
    return table("Other splits and data sizes", columns, rows, numbers=("n", "mean", "interval", "seeds"))


def learning(found: Findings) -> Html | None:
    """How scores grow with labels, where there are several data sizes."""
    results = found.results
    rows = [row for row in (*results.board, *results.others) if row.split == results.split]
    sizes = sorted({row.n for row in rows})
    if len(sizes) < 2:
        return None
    arms = list(dict.fromkeys(row.arm for row in rows))
    shown = [_curve(arm, [row for row in rows if row.arm == arm]) for arm in arms]
    return element(
        "section",
        element("h2", "Learning curves"),
        element("p", f"The mean {results.plan.metric} on {results.split} against the number of labels n, with "
                "intervals; the other arms are pale.", class_="soft"),
        panels(shown, x_ticks=sizes, x_form=lambda n: f"{n:g}", y_form=lambda value: f"{value:g}", log=True,
               behind=True),
    )  # fmt: skip


def _curve(arm: str, rows: list[LeaderboardRow]) -> Panel:
    line = tuple(Point(row.n, row.mean, row.ci_low, row.ci_high) for row in sorted(rows, key=lambda row: row.n))
    said = "; ".join(f"{row.n} labels: {_interval(row)}" for row in sorted(rows, key=lambda row: row.n))
    return Panel(name=arm, said=said, lines=(line,), marked=any(row.chosen for row in rows))


def training(found: Findings) -> Html | None:
    """What was measured while arms were fitted, a line for each trial."""
    parts = []
    for name, rows in groupby(sorted(found.metrics, key=lambda row: row["name"] != "train_loss"), lambda r: r["name"]):
        shown = _loss_panels([row for row in rows if row["value"] is not None], found)
        if shown:
            steps = [int(point.x) for panel in shown for line in panel.lines for point in line]
            parts.append(element("h3", str(name).replace("_", " ")))
            parts.append(panels(shown, x_ticks=[min(steps), max(steps)], x_form=lambda step: f"step {step:g}",
                                y_form=lambda value: f"{value:g}", log=False, behind=False))  # fmt: skip
    if not parts:
        return None
    said = "A line for each trial, or each fold of one, against optimizer steps."
    return element("section", element("h2", "Training"), element("p", said, class_="soft"), together(*parts))


def _loss_panels(rows: list[Row], found: Findings) -> list[Panel]:
    shown = []
    chosen = {row.arm for row in found.results.board if row.chosen}
    for arm in dict.fromkeys(row["arm"] for row in rows):
        mine = [row for row in rows if row["arm"] == arm]
        lines: dict[tuple[str, str], list[Row]] = {}
        for row in mine:
            lines.setdefault((str(row["trial"]), str(row["fold"])), []).append(row)
        drawn: tuple[Line, ...] = tuple(
            tuple(Point(row["step"], row["value"]) for row in sorted(line, key=lambda row: row["step"]))
            for line in lines.values()
        )
        lasts = [line[-1].y for line in drawn]
        said = f"{len(drawn)} lines, that end between {min(lasts):.3g} and {max(lasts):.3g}"
        shown.append(Panel(name=arm, said=said, lines=drawn, marked=arm in chosen))
    return shown
