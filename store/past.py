"""Leaderboard and comparisons of a run that a later one of its experiment has followed: the views have the latest."""

from typing import Any

from fewtune.store.database import Connection
from fewtune.store.event_rows import Row
from fewtune.store.history import Run
from fewtune.store.reader import ComparisonRow, LeaderboardRow, Reader
from fewtune.store.snapshot import open_newest
from fewtune.store.standings import standings_of


def past_standings(reader: Reader, run: Run) -> tuple[tuple[LeaderboardRow, ...], tuple[ComparisonRow, ...]]:
    """The rows that the views `leaderboard` and `comparisons` had while this run was the latest.

    Computed from the predictions as they are published now, with the same statistics.
    """
    with open_newest(reader.workspace) as (connection, _):
        found = connection.execute(
            "SELECT p.level, c.arm FROM private.plan p LEFT JOIN private.choice c ON c.run = p.run WHERE p.run = ?",
            [run.id],
        ).fetchone()
        if found is None:
            return (), ()
        level, chosen = found
        intervals, contrasts = standings_of(connection, run.id, level, chosen, {"interval": {}, "contrast": {}})
        arms = _arms(connection, run.id)
        looks = {split: {"look": look, "looks": total} for split, look, total in connection.execute(
            "SELECT split, look, looks FROM private.look WHERE run = ?", [run.id]).fetchall()}  # fmt: skip
    for row in (*intervals, *contrasts):
        row.update(looks.get(row["split"], {"look": None, "looks": None}))
    experiment = run.started.experiment
    order = list(arms)
    board = [_standing(row, experiment, arms, chosen, intervals) for row in intervals]
    board.sort(key=lambda row: (row.metric, row.split, row.n, row.rank, order.index(row.arm)))
    contrasts.sort(key=lambda row: (row["metric"], row["split"], row["n"], order.index(row["arm"])))
    return tuple(board), tuple(_comparison(row, experiment) for row in contrasts)


def _arms(connection: Connection, run: str) -> dict[str, tuple[str, str]]:
    """Arm -> method and role, in the plan's order."""
    rows = connection.execute(
        "SELECT arm, method, role FROM private.plan_arm WHERE run = ? ORDER BY place", [run]
    ).fetchall()
    return {arm: (method, role) for arm, method, role in rows}


def _standing(
    row: Row, experiment: str, arms: dict[str, tuple[str, str]], chosen: str | None, rows: list[Row]
) -> LeaderboardRow:
    method, role = arms[row["arm"]]
    rivals = [r for r in rows if (r["metric"], r["split"], r["n"]) == (row["metric"], row["split"], row["n"])]
    rank = 1 + sum(rival["mean"] > row["mean"] for rival in rivals)
    more = {"experiment": experiment, "method": method, "role": role, "chosen": row["arm"] == chosen, "rank": rank}
    return LeaderboardRow(**_fields(LeaderboardRow, row | more))


def _comparison(row: Row, experiment: str) -> ComparisonRow:
    return ComparisonRow(**_fields(ComparisonRow, row | {"experiment": experiment, "chosen_arm": row["chosen"]}))


def _fields(kind: type[Any], row: Row) -> dict[str, Any]:
    """The row's values under the names of the views."""
    named = row | {"ci_low": row["low"], "ci_high": row["high"]}
    return {name: named[name] for name in kind.__annotations__}
