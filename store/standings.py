"""Intervals and comparisons of arms, computed from the predictions in the database.

Only the latest run of each experiment has standings. A row names its evidence: the very results and settings that
went into it. What has the same evidence as a row of before, in this run or another, is taken over from it.
"""

from collections.abc import Sequence
from dataclasses import asdict

from fewtune.compiler.fingerprint import fingerprint
from fewtune.store.answers import Answered, Contest, contests
from fewtune.store.database import Connection, insert
from fewtune.store.event_rows import Row
from fewtune.store.looks import share
from fewtune.store.statistics import compare_family, score_interval

Standings = dict[str, Row]
"""Evidence -> row."""
Shares = tuple[float, float]
"""Of the risk of a split: the share of a plan, and that of the next one."""


def refresh_standings(connection: Connection) -> None:
    """Bring intervals and comparisons up to date with the evaluations, in the open transaction."""
    before = {name: _standings(connection, name) for name in ("interval", "contrast")}
    intervals: list[Row] = []
    contrasts: list[Row] = []
    for run, level, chosen in _latest_runs(connection):
        found = standings_of(connection, run, level, chosen, before)
        intervals += found[0]
        contrasts += found[1]
    for name, rows in (("interval", intervals), ("contrast", contrasts)):
        connection.execute(f"DELETE FROM private.{name}")
        insert(connection, name, rows)


def standings_of(
    connection: Connection, run: str, level: float, chosen: str | None, before: dict[str, Standings]
) -> tuple[list[Row], list[Row]]:
    """Intervals and contrasts of one run.

    Args:
        connection: of the database or of a published copy.
        run: the run.
        level: coverage of its intervals.
        chosen: its chosen arm; None: nothing is compared.
        before: tables "interval" and "contrast" that rows of the same evidence are taken over from.
    """
    intervals: list[Row] = []
    contrasts: list[Row] = []
    shares = _shares(connection, run)
    for contest in contests(connection, run):
        intervals += _intervals(contest, level, before["interval"])
        contrasts += _contrasts(contest, level, shares.get(contest.split), chosen, before["contrast"])
    return intervals, contrasts


def _latest_runs(connection: Connection) -> list[tuple[str, float, str | None]]:
    """Run, level of its intervals, and its chosen arm."""
    return connection.execute(
        """
        SELECT r.run, p.level, c.arm
        FROM private.latest_run r
        JOIN private.plan p ON p.run = r.run
        LEFT JOIN private.choice c ON c.run = r.run
        ORDER BY r.run
        """
    ).fetchall()


def _shares(connection: Connection, run: str) -> dict[str, Shares]:
    """Split -> the share of its risk that the run's plan has, and the next plan would have."""
    looks = connection.execute("SELECT split, look, looks FROM private.look WHERE run = ?", [run]).fetchall()
    return {split: (share(look), share(total + 1)) for split, look, total in looks}


def _standings(connection: Connection, table: str) -> Standings:
    result = connection.execute(f"SELECT * FROM private.{table}")
    names = [column[0] for column in result.description or ()]
    rows = (dict(zip(names, row, strict=True)) for row in result.fetchall())
    return {row["evidence"]: row for row in rows}


def _intervals(contest: Contest, level: float, before: Standings) -> list[Row]:
    rows: list[Row] = []
    for metric in contest.metrics:
        for arm, trials in contest.arms.items():
            evidence = _evidence(metric, level, [trials])
            row = before.get(evidence)
            if row is None and contest.labels.size >= 2:
                runs = contest.runs(arm, metric)
                row = asdict(score_interval(metric, contest.labels, runs.predicted, runs.data_seeds, level))
            if row is not None:
                counts = {"trials": len(trials), "diverged": contest.diverged[arm]}
                rows.append(row | _place(contest) | counts | {"metric": metric, "arm": arm, "evidence": evidence})
    return rows


def _contrasts(
    contest: Contest, level: float, shares: Shares | None, chosen: str | None, before: Standings
) -> list[Row]:
    """The chosen arm against every other. They share the risk, so each row rests on the evidence of all."""
    others = [arm for arm in contest.arms if arm != chosen]
    if chosen not in contest.arms or not others:
        return []
    rows: list[Row] = []
    now, then = shares or (1.0, None)
    for metric in contest.metrics:
        family = _evidence(metric, [level, now, then], [contest.arms[chosen], *(contest.arms[arm] for arm in others)])
        names = [f"{family}-{place}" for place in range(len(others))]
        found = [before[name] for name in names if name in before]
        if len(found) < len(others) and contest.labels.size >= 2:
            rivals, own = [contest.runs(arm, metric) for arm in others], contest.runs(chosen, metric)
            judged = compare_family(metric, contest.labels, own, rivals, level, share=now, next_share=then)
            found = [asdict(each) for each in judged]
        for arm, name, row in zip(others, names, found, strict=False):
            names_of = {"metric": metric, "chosen": chosen, "arm": arm, "evidence": name}
            rows.append(row | _place(contest) | names_of)
    return rows


def _place(contest: Contest) -> Row:
    return {"run": contest.run, "split": contest.split, "n": contest.n}


def _evidence(metric: str, level: float | list[float | None], arms: Sequence[list[Answered]]) -> str:
    """Name what goes into a row: the metric, the level (and shares of the risk), each trial's seed and result."""
    return fingerprint(
        "evidence", [metric, level, [[[trial.data_seed, trial.last_seq] for trial in trials] for trials in arms]]
    )
