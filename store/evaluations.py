"""The score of each trial on each split, as soon as all its predictions are there.

The folds of a cross-validation are scored as one set of rows: each row was predicted once, by a model that never saw
it, and a mean of fold scores would be another statistic (for F1 and MCC a biased one).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from fewtune.specs.evaluation import (
    ITEM_METRICS,
    LABEL_METRICS,
    PREFERENCE_METRICS,
    SET_METRICS,
    TAG_METRICS,
    TEXT_METRICS,
    Metric,
)
from fewtune.store.database import Connection, insert
from fewtune.store.event_rows import Row
from fewtune.store.metrics import BOUNDS, Answers, score
from fewtune.store.tally import tallies

_COMPLETE = f"""
    SELECT s.run, s.trial, s.split, count(*) AS stages, max(e.seq) AS last_seq, sum(e.items) AS items,
        sum(e.seconds) AS seconds, {", ".join(f"any_value(e.{metric}) AS {metric}" for metric in BOUNDS)}
    FROM private.plan_stage s
    LEFT JOIN private.last_evaluated e ON e.fingerprint = s.fingerprint
    LEFT JOIN (SELECT seq, count(*) AS found FROM private.prediction GROUP BY seq) p ON p.seq = e.seq
    WHERE s.kind = 'evaluate' AND s.trial IS NOT NULL
    GROUP BY s.run, s.trial, s.split
    HAVING count(*) = count(e.seq) FILTER (WHERE coalesce(p.found, 0) = e.items)
"""
"""Trials and splits with all their predictions."""


class _Pair(NamedTuple):
    run: str
    trial: str
    split: str


def refresh_evaluations(connection: Connection) -> None:
    """Bring the evaluations up to date with the predictions, in the open transaction."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE fresh AS SELECT c.* FROM ({_COMPLETE}) c
        ANTI JOIN private.evaluation v
        ON v.run = c.run AND v.trial = c.trial AND v.split = c.split AND v.last_seq = c.last_seq
        """
    )
    connection.execute(
        """
        DELETE FROM private.evaluation v USING fresh f
        WHERE v.run = f.run AND v.trial = f.trial AND v.split = f.split
        """
    )
    connection.execute(
        f"""
        INSERT INTO private.evaluation (run, trial, split, last_seq, {", ".join(BOUNDS)}, items, seconds)
        SELECT run, trial, split, last_seq, {", ".join(BOUNDS)}, items, seconds FROM fresh WHERE stages = 1
        """
    )
    folded = "SELECT run, trial, split, last_seq, items, seconds FROM fresh WHERE stages > 1 ORDER BY ALL"
    rows: list[Row] = [
        {"run": run, "trial": trial, "split": split, "last_seq": last_seq, "items": items, "seconds": seconds}
        | _pooled(connection, _Pair(run, trial, split))
        for run, trial, split, last_seq, items, seconds in connection.execute(folded).fetchall()
    ]
    insert(connection, "evaluation", rows)
    connection.execute("DROP TABLE fresh")


def _pooled(connection: Connection, pair: _Pair) -> Row:
    """Score all folds of a trial as one set of rows."""
    columns = connection.execute(
        f"""
        SELECT p.label, p.predicted, p.tallies, {", ".join(f"p.{metric}" for metric in ITEM_METRICS)}
        FROM private.plan_stage s
        JOIN private.last_evaluated e ON e.fingerprint = s.fingerprint
        JOIN private.prediction p ON p.seq = e.seq
        WHERE s.kind = 'evaluate' AND s.run = ? AND s.trial = ? AND s.split = ?
        """,
        list(pair),
    ).fetchnumpy()
    labels = np.asarray(columns["label"])
    if labels.size < 2:
        return {}
    return {
        metric: float(score(metric, labels, answers_in(columns, answer)))
        for metric, answer in answer_columns(columns).items()
    }


TALLIES = "tallies"


def answer_columns(columns: Mapping[str, Any]) -> dict[Metric, str]:
    """Metric -> the column of predictions that it is computed from: of a label or several, of texts or preferences."""
    for known in (TEXT_METRICS, PREFERENCE_METRICS):
        if _given(columns[known[0]]):
            return {metric: metric for metric in known}
    if _given(columns["subset_accuracy"]):
        return {metric: metric if metric in ITEM_METRICS else TALLIES for metric in SET_METRICS}
    return (
        dict.fromkeys(TAG_METRICS, TALLIES) if _given(columns[TALLIES]) else dict.fromkeys(LABEL_METRICS, "predicted")
    )


def answers_in(columns: Mapping[str, Any], name: str) -> Answers:
    """A column of predictions as metrics take it."""
    return tallies(list(columns[name])) if name == TALLIES else np.asarray(columns[name])


def _given(column: Any) -> bool:
    """Whether any row has a value."""
    return not np.ma.getmaskarray(np.ma.asarray(column)).all()
