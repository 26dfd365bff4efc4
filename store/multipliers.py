"""The measured multipliers of the latest run of each experiment, kept in a private table."""

from collections import defaultdict
from dataclasses import asdict

from fewtune.specs.evaluation import Metric
from fewtune.store.database import Connection, insert
from fewtune.store.event_rows import Row
from fewtune.store.multiplier import Scores, multiplier


def refresh_multipliers(connection: Connection) -> None:
    """Measure anew, in the open transaction; arms without synthetic examples have none."""
    rows: list[Row] = []
    twins = connection.execute(
        """
        SELECT r.run, p.metric, p.level, a.arm, a.twin FROM private.latest_run r
        JOIN private.plan p ON p.run = r.run JOIN private.plan_arm a ON a.run = r.run
        WHERE a.twin IS NOT NULL ORDER BY r.run, a.place
        """
    ).fetchall()
    for run, metric, level, arm, twin in twins:
        own, plain = (_scores(connection, run, metric, name) for name in (arm, twin))
        for split in own:
            for n in sorted(own[split]):
                found = multiplier(n, own[split][n], plain.get(split, {}), level)
                rows.append({"run": run, "split": split, "metric": metric, "arm": arm, "twin": twin, **asdict(found)})
    connection.execute("DELETE FROM private.multiplier")
    if rows:
        insert(connection, "multiplier", rows)


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
