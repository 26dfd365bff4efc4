"""The measured multipliers: of the latest run of each experiment in a private table, of any run when asked."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from fewtune.specs.evaluation import Metric
from fewtune.store.database import Connection, insert
from fewtune.store.event_rows import Row
from fewtune.store.multiplier import Bound, Multiplier, Scores, multiplier
from fewtune.store.reader import Reader


@dataclass(frozen=True, kw_only=True)
class MultiplierRow:
    """What an arm's synthetic examples were worth; the view `effective_multiplier` explains the columns."""

    split: str
    metric: Metric
    arm: str
    twin: str
    n: int
    multiplier: float | None
    ci_low: float | None
    ci_high: float | None
    bound: Bound
    ci_low_bound: Bound
    ci_high_bound: Bound
    seeds: int
    says: str


def multipliers(reader: Reader, run: str) -> tuple[MultiplierRow, ...]:
    """Those of one run, of the latest of its experiment or of one before, from the published predictions."""
    from fewtune.store.snapshot import open_newest  # duckdb takes 0.2 s to import

    with open_newest(reader.workspace) as (connection, _):
        return tuple(_row(*measured) for measured in _measured(connection, "p.run = ?", run))


def refresh_multipliers(connection: Connection) -> None:
    """Measure anew, in the open transaction; arms without synthetic examples have none."""
    latest = "p.run IN (SELECT run FROM private.latest_run)"
    rows = [place | asdict(found) for place, found in _measured(connection, latest)]
    connection.execute("DELETE FROM private.multiplier")
    if rows:
        insert(connection, "multiplier", rows)


def _measured(connection: Connection, which: str, *given: str) -> Iterator[tuple[Row, Multiplier]]:
    """(run, split, metric, arm and twin; the multiplier) of all augmented arms of some runs."""
    twins = connection.execute(
        f"""
        SELECT p.run, p.metric, p.level, a.arm, a.twin FROM private.plan p JOIN private.plan_arm a ON a.run = p.run
        WHERE a.twin IS NOT NULL AND {which} ORDER BY p.run, a.place
        """,
        list(given),
    ).fetchall()
    for run, metric, level, arm, twin in twins:
        own, plain = (_scores(connection, run, metric, name) for name in (arm, twin))
        for split in own:
            for n in sorted(own[split]):
                place = {"run": run, "split": split, "metric": metric, "arm": arm, "twin": twin}
                yield place, multiplier(n, own[split][n], plain.get(split, {}), level)


def _row(place: Row, found: Multiplier) -> MultiplierRow:
    named = {name: place[name] for name in ("split", "metric", "arm", "twin")}
    return MultiplierRow(
        **named, n=found.n, multiplier=found.multiplier, ci_low=found.low, ci_high=found.high, bound=found.bound,
        ci_low_bound=found.low_bound, ci_high_bound=found.high_bound, seeds=found.seeds, says=found.says,
    )  # fmt: skip


def _scores(connection: Connection, run: str, metric: Metric, arm: str) -> dict[str, Scores]:
    """Split -> data size -> data seed -> mean score over model seeds."""
    found: dict[str, dict[int, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    scored = connection.execute(
        f"""
        SELECT v.split, t.n, t.data_seed, avg(v.{metric}) FROM private.evaluation v
        JOIN private.plan_trial t ON t.run = v.run AND t.trial = v.trial
        WHERE v.run = ? AND t.arm = ? AND v.split <> 'validation' AND v.{metric} IS NOT NULL
        GROUP BY ALL ORDER BY ALL
        """,
        [run, arm],
    ).fetchall()
    for split, n, seed, value in scored:
        found[split][n][seed] = value
    return {split: dict(sizes) for split, sizes in found.items()}
