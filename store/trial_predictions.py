"""The predictions of one arm of one run on one split, gathered from the journal and the artefacts.

What `compare` needs for arms of different runs: the published tables compare arms of one run only.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewtune.compiler.plan import Plan, Stage, Trial
from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.specs.evaluation import Metric
from fewtune.store.judgements import Judgements
from fewtune.store.metrics import Answers
from fewtune.store.predictions import Predictions, parse_predictions
from fewtune.store.reader import Reader
from fewtune.store.statistics import Runs
from fewtune.store.writings import Writings

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ArmRuns:
    """An arm's complete trials on one split."""

    rows: IntArray
    """Row indices, rising."""
    labels: IntArray
    runs: Runs
    contents: frozenset[str]
    """Digests of what was scored; equal digests mean the same items."""


def arm_runs(reader: Reader, plan: Plan, arm: str, n: int, split: str, metric: Metric) -> ArmRuns:
    """Gather the arm's predictions, as the metric takes them.

    Raises:
        StoreError: E-nothing-to-show where no trial is complete.
    """
    trials = [trial for trial in plan.trials if trial.arm == arm and trial.n in (0, n)]
    scores = ((trial, _scored(reader, plan, trial, split, metric)) for trial in trials)
    found = [(trial, scored) for trial, scored in scores if scored is not None]
    if not found:
        message = f"{arm!r} has no complete result on {split} at n = {n}"
        raise StoreError(Diagnostic(code="E-nothing-to-show", message=message), exit_status=7)
    rows, labels = found[0][1][0], found[0][1][1]
    seeds = tuple(trial.data_seed for trial, _ in found if trial.data_seed is not None)
    return ArmRuns(
        rows=rows,
        labels=labels,
        runs=Runs(
            predicted=np.stack([scored[2] for _, scored in found]),
            data_seeds=seeds if len(seeds) == len(found) else None,
        ),
        contents=frozenset(content for _, scored in found for content in scored[3]),
    )


def _scored(
    reader: Reader, plan: Plan, trial: Trial, split: str, metric: Metric
) -> tuple[IntArray, IntArray, Answers, tuple[str, ...]] | None:
    """(rows, labels, answers, contents) of a trial, its folds put together; None where one is missing."""
    stages = [s for s in plan.stages if s.trial == trial.id and s.kind == "evaluate" and s.split == split]
    parts = [_predictions(reader, stage) for stage in stages]
    if not parts or any(part is None for part in parts):
        return None
    columns: dict[str, list[float]] = defaultdict(list)
    for part in parts:
        if part is not None:
            columns["rows"] += part[0].rows
            said = part[0]
            columns["labels"] += [0] * len(said.rows) if isinstance(said, Writings | Judgements) else said.labels
            columns["predicted"] += said.items[metric] if isinstance(said, Writings | Judgements) else said.predicted
    order = np.argsort(columns["rows"])
    rows, labels, predicted = (np.asarray(columns[name])[order] for name in ("rows", "labels", "predicted"))
    return rows, labels, predicted, tuple(part[1] for part in parts if part is not None)


def _predictions(reader: Reader, stage: Stage) -> tuple[Predictions | Writings | Judgements, str] | None:
    event = reader.history().evaluated.get(stage.fingerprint)
    return (parse_predictions(reader.read(event.artefact)), event.content) if event else None
