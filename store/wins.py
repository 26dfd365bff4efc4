"""What the runs of a workspace have shown so far: who was ahead where, beyond chance, and how long it took."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from fewtune.compiler.adopted import Behind, Pace, Win
from fewtune.compiler.plan import CV, Plan
from fewtune.specs.methods import MethodName
from fewtune.store.reader import ComparisonRow, LeaderboardRow, Reader
from fewtune.store.snapshot import open_newest

SHORTEST = 60.0
"""Estimated seconds below which a run is mostly start-up."""


@dataclass(frozen=True)
class Contest:
    """The latest run of an experiment, on its main split at its largest n."""

    experiment: str
    run: str
    plan: Plan
    leader: LeaderboardRow
    """The arm with the highest mean, by chance or not."""
    win: Win | None
    """Whose lead is beyond chance; None: nobody's."""
    undecided: int
    """Arms that could not be told from the winner, or were not compared with it; without a winner, all others."""


def contests(reader: Reader) -> Iterator[Contest]:
    """The experiments whose latest run came to its end, in the order of their first run."""
    board, compared = reader.leaderboard(), reader.comparisons()
    for name in dict.fromkeys(run.started.experiment for run in reader.runs()):
        run = reader.latest_run(name)
        if run is None or run.ended is None or run.ended.state not in ("succeeded", "partial"):
            continue
        plan = reader.plan_of(run.id).plan
        split = "test" if "test" in plan.facts.rows else CV
        at = (name, plan.metric, split, plan.final_n)
        clean = {arm.name for arm in plan.arms if not arm.conditioned}
        found = contest(
            name, run.id, plan,
            [row for row in board if (row.experiment, row.metric, row.split, row.n) == at and row.arm in clean],
            [row for row in compared if (row.experiment, row.metric, row.split, row.n) == at and row.arm in clean],
        )  # fmt: skip
        if found is not None:
            yield found


def contest(
    name: str, run: str, plan: Plan, board: Sequence[LeaderboardRow], compared: Sequence[ComparisonRow]
) -> Contest | None:
    """Who won: the chosen arm over all that it beats, unless another arm beats it; None without a chosen arm.

    An arm that merely has the highest mean of many has won nothing: the best of k noisy means is too high.
    """
    rows = {row.arm: row for row in board}
    chosen = next((row for row in board if row.chosen), None)
    if chosen is None:
        return None
    better = [row for row in compared if row.verdict == "worse"]
    if better:
        best = min(better, key=lambda row: row.ci_high)
        winner = rows[best.arm]
        behind = [_behind(plan, chosen.arm, -best.difference, -best.ci_high, -best.ci_low)]
    else:
        winner = chosen
        behind = [
            _behind(plan, row.arm, row.difference, row.ci_low, row.ci_high)
            for row in compared
            if row.verdict == "better"
        ]
    ahead_of = {winner.arm, *(other.arm for other in behind)}
    undecided = [row.arm for row in board if row.arm not in ahead_of]
    win = Win(
        experiment=name, task=plan.experiment.task.type, model=plan.facts.model_hash, metric=plan.metric,
        n=plan.final_n, arm=winner.arm, method=plan.arm(winner.arm).method, mean=winner.mean, seeds=winner.seeds,
        items=winner.items, behind=tuple(behind), undecided=tuple(undecided),
    )  # fmt: skip
    leader = max(board, key=lambda row: (row.mean, row.chosen))
    return Contest(name, run, plan, leader, win if behind else None, len(undecided))


def _behind(plan: Plan, arm: str, difference: float, low: float, high: float) -> Behind:
    return Behind(arm=arm, method=plan.arm(arm).method, difference=difference, low=low, high=high)


def paces(reader: Reader) -> tuple[Pace, ...]:
    """How long whole runs took against estimates by the table of their device class, medians by class.

    A run in one process has fewer workers than the estimate assumes, and one that found results there has less to do.
    """
    query = """
        SELECT r.run, r.seconds, c.estimated_seconds FROM runs r JOIN costs c ON c.run = r.run AND c.arm IS NULL
        WHERE r.state = 'succeeded' AND r.reused = 0 AND r.failed = 0 AND r.engine <> 'in-process'
        AND c.basis = 'heuristic' AND c.estimated_seconds >= ?
    """
    with open_newest(reader.workspace) as (connection, _):
        found = connection.execute(query, [SHORTEST]).fetchall()
    ratios, methods = defaultdict[str, list[float]](list), defaultdict[str, set[MethodName]](set)
    for run, seconds, estimated in found:
        plan = reader.plan_of(run).plan
        ratios[plan.facts.device].append(seconds / estimated)
        methods[plan.facts.device].update(arm.method for arm in plan.arms)
    return tuple(
        Pace(device=name, ratio=round(median(each), 3), runs=len(each), methods=tuple(sorted(methods[name])))
        for name, each in ratios.items()
    )
