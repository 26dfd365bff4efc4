"""The predictions of one arm of one run on one split, gathered from the journal and the artefacts.

What `compare` needs for arms of different runs: the published tables compare arms of one run only.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fewtune.compiler.plan import Plan, Stage, Trial
from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.specs.evaluation import Metric
from fewtune.store.metrics import Answers
from fewtune.store.predictions import AnyAnswers, answers_to, parse_predictions, right_labels
from fewtune.store.reader import Reader
from fewtune.store.statistics import Runs

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
    parts = [part for part in (_predictions(reader, stage) for stage in stages) if part is not None]
    if not parts or len(parts) < len(stages):
        return None
    rows = np.concatenate([np.asarray(said.rows, np.int64) for said, _ in parts])
    labels = np.concatenate([right_labels(said) for said, _ in parts])
    answers = np.concatenate([answers_to(said, metric) for said, _ in parts])
    order = np.argsort(rows)
    return rows[order], labels[order], answers[order], tuple(content for _, content in parts)


def _predictions(reader: Reader, stage: Stage) -> tuple[AnyAnswers, str] | None:
    event = reader.history().evaluated.get(stage.fingerprint)
    return (parse_predictions(reader.read(event.artefact)), event.content) if event else None
