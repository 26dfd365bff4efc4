"""Predictions side by side: the arms that compete on one split at one n, on the rows that all of them scored."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fewtune.specs.evaluation import ITEM_METRICS, Metric
from fewtune.store.database import Connection
from fewtune.store.evaluations import answer_columns, answers_in
from fewtune.store.statistics import Runs

IntArray = npt.NDArray[np.int64]


class Answered(NamedTuple):
    """One trial with all its predictions on one split."""

    trial: str
    data_seed: int | None
    """None: the arm sees no labels."""
    model_seed: int | None
    last_seq: int
    """Names the result: the number of the last event that belongs to it."""


class _Column(NamedTuple):
    rows: IntArray
    labels: IntArray
    answers: dict[Metric, npt.NDArray[Any]]
    """Metric -> predicted labels, the scores of texts, or tallies of several labels."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """The arms that compete on one split at one n, each with its trials, in the plan's order."""

    connection: Connection
    run: str
    split: str
    n: int
    arms: dict[str, list[Answered]]
    diverged: dict[str, int]
    """Arm -> its trials that are left out because their loss was not finite."""

    @property
    def labels(self) -> IntArray:
        """The right label of each row that all trials scored."""
        return self._table[0]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of these answers."""
        return tuple(next(iter(self._table[1].values())))

    def runs(self, arm: str, metric: Metric) -> Runs:
        """What the arm's trials answered on these rows, as the metric takes it."""
        trials = self.arms[arm]
        seeds = tuple(trial.data_seed for trial in trials if trial.data_seed is not None)
        return Runs(
            predicted=np.stack([self._table[1][trial.trial][metric] for trial in trials]),
            data_seeds=seeds if len(seeds) == len(trials) else None,
        )

    @cached_property
    def _table(self) -> tuple[IntArray, dict[str, dict[Metric, npt.NDArray[Any]]]]:
        """Labels, and trial -> answers; read when first needed."""
        wanted = {trial.trial for trials in self.arms.values() for trial in trials}
        columns = {t: c for t, c in _columns(self.connection, self.run, self.split) if t in wanted}
        common = reduce(np.intersect1d, [column.rows[column.labels >= 0] for column in columns.values()])
        answers = {
            trial: {metric: each[np.searchsorted(column.rows, common)] for metric, each in column.answers.items()}
            for trial, column in columns.items()
        }
        first = next(iter(columns.values()))
        return first.labels[np.searchsorted(first.rows, common)], answers


def contests(connection: Connection, run: str) -> list[Contest]:
    """All contests of a run. An arm that sees no labels takes part at each n; validation is no contest."""
    levels = [n for (n,) in connection.execute("SELECT n FROM private.plan_level WHERE run = ?", [run]).fetchall()]
    diverged = _diverged(connection, run)
    found: dict[tuple[str, int], dict[str, list[Answered]]] = {}
    for split, arm, n, answered in _answered(connection, run):
        for level in levels if n == 0 else [n]:
            found.setdefault((split, level), {}).setdefault(arm, []).append(answered)
    return [
        Contest(
            connection=connection,
            run=run,
            split=split,
            n=n,
            arms=arms,
            diverged={arm: diverged.get((arm, n), 0) for arm in arms},
        )
        for (split, n), arms in sorted(found.items())
    ]


def _answered(connection: Connection, run: str) -> list[tuple[str, str, int, Answered]]:
    rows = connection.execute(
        """
        SELECT v.split, t.arm, t.n, t.trial, t.data_seed, t.model_seed, v.last_seq
        FROM private.evaluation v
        JOIN private.plan_trial t ON t.run = v.run AND t.trial = v.trial
        JOIN private.plan_arm a ON a.run = t.run AND a.arm = t.arm
        JOIN private.progress p ON p.run = v.run AND p.trial = v.trial
        WHERE v.run = ? AND v.split <> 'validation' AND NOT p.diverged
        ORDER BY v.split, a.place, t.data_seed, t.model_seed, t.place
        """,
        [run],
    ).fetchall()
    return [(split, arm, n, Answered(*answered)) for split, arm, n, *answered in rows]


def _diverged(connection: Connection, run: str) -> dict[tuple[str, int], int]:
    rows = connection.execute(
        """
        SELECT t.arm, t.n, count(*) FROM private.plan_trial t
        JOIN private.progress p ON p.run = t.run AND p.trial = t.trial
        WHERE t.run = ? AND p.diverged
        GROUP BY t.arm, t.n
        """,
        [run],
    ).fetchall()
    return {(arm, n): count for arm, n, count in rows}


def _columns(connection: Connection, run: str, split: str) -> Iterable[tuple[str, _Column]]:
    """Trial -> its predictions on the split, by row."""
    table = connection.execute(
        f"""
        SELECT t.place, p.row_index, p.label, p.predicted, p.tallies,
            {", ".join(f"p.{metric}" for metric in ITEM_METRICS)}
        FROM private.plan_stage s
        JOIN private.plan_trial t ON t.run = s.run AND t.trial = s.trial
        JOIN private.last_evaluated e ON e.fingerprint = s.fingerprint
        JOIN private.prediction p ON p.seq = e.seq
        WHERE s.kind = 'evaluate' AND s.run = ? AND s.split = ?
        ORDER BY t.place, p.row_index
        """,
        [run, split],
    ).fetchnumpy()
    places, starts = np.unique(table["place"], return_index=True)
    names = dict(connection.execute("SELECT place, trial FROM private.plan_trial WHERE run = ?", [run]).fetchall())
    answers = answer_columns(table)

    def parts(name: str) -> list[npt.NDArray[Any]]:
        return np.split(answers_in(table, name), starts[1:])

    by_trial = {name: parts(name) for name in ("row_index", "label", *answers.values())}
    return [
        (
            names[int(place)],
            _Column(
                by_trial["row_index"][at],
                by_trial["label"][at],
                {metric: by_trial[name][at] for metric, name in answers.items()},
            ),
        )
        for at, place in enumerate(places)
    ]
