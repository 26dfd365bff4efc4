"""An executor that answers at once: predictions drawn by each arm's skill, and a supervisor that uses it.

Run as a program it supervises a submission: `fake_engine.py FOLDER WORKSPACE`. $FEWTUNE_FAKE_SECONDS says how long a
job takes, $FEWTUNE_FAKE_FAILURE how the jobs of trained arms fail, $FEWTUNE_FAKE_SKILL what every arm knows.
"""

import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fewtune.api.runs.supervisor import supervise
from fewtune.runtime.executor import Finished, Lost, Notify, Setting
from fewtune.runtime.job import Answer, Batch, Corpus, Fitted, Job, Outcome, Progress, Score, Scored
from fewtune.store.submissions import Submitted

SKILL = {"majority": 0.0, "zero-shot": 0.3, "tfidf": 0.3, "encoder": 0.5}
"""Method -> the share of rows that it knows; the others know 0.6. What is not known is guessed."""


class FakeEngine:
    """One worker; a job takes `seconds` and never reads a model."""

    name = "fake"

    def __init__(self, setting: Setting, seconds: float = 0.0) -> None:
        self.corpus, self.seconds = setting.corpus, seconds
        self.jobs: list[Job] = []

    def idle(self) -> list[str]:
        return [] if self.jobs else ["fake"]

    def submit(self, worker: str, batch: Batch) -> None:
        self.jobs = list(batch.jobs)

    def wait(self, seconds: float, notify: Notify) -> list[Finished | Lost]:
        if not self.jobs:
            return []
        job = self.jobs.pop(0)
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            notify(Progress(job=job.id, phase="training", done=1, total=2))
            time.sleep(0.02)
        return [Finished("fake", job.id, answer(job, self.corpus, os.environ.get("FEWTUNE_FAKE_FAILURE", "")))]

    def close(self) -> None:
        self.jobs = []


def answer(job: Job, corpus: Corpus, failure: str = "") -> Answer:
    """What a worker would answer."""
    if failure and job.arm.method not in SKILL:
        kind = "out_of_memory" if failure == "out_of_memory" else "error"
        return Answer(job=job.id, outcomes=(), failure=kind, message="the fake engine was asked to fail")
    outcomes: list[Outcome] = []
    if job.fit is not None:
        outcomes.append(
            Fitted(
                stage=job.fit.stage,
                fingerprint=job.fit.fingerprint,
                state=b"",
                seconds=0.01,
                steps=4,
                best_step=4,
                losses=((2, 1.0), (4, 0.5)),
                validation=((4, 0.5),),
                peak_memory_bytes=1_000_000,
            )
        )
    outcomes += [scored(job, score, corpus) for score in job.scores]
    return Answer(job=job.id, outcomes=tuple(outcomes), device="fake")


def scored(job: Job, score: Score, corpus: Corpus) -> Scored:
    """Predictions that depend on the trial alone."""
    chance = random.Random(score.fingerprint)
    skill = float(os.environ.get("FEWTUNE_FAKE_SKILL", SKILL.get(job.arm.method, 0.6)))
    labels = range(len(corpus.labels))
    rows = corpus.rows(score.rows)
    predicted = tuple(row.label if chance.random() < skill else chance.choice(labels) for row in rows)
    return Scored(
        stage=score.stage, fingerprint=score.fingerprint, split=score.split, rows=score.rows, predicted=predicted,
        probabilities=tuple(tuple(0.7 if label == said else 0.3 / max(1, len(labels) - 1) for label in labels)
                            for said in predicted),
        seconds=0.01,
    )  # fmt: skip


def launch(submitted: Submitted, workspace: Path) -> Sequence[str]:
    """The command that supervises with this engine."""
    return [sys.executable, __file__, str(submitted.folder), str(workspace)]


if __name__ == "__main__":
    pause = float(os.environ.get("FEWTUNE_FAKE_SECONDS", "0"))
    supervise(Path(sys.argv[1]), Path(sys.argv[2]), lambda setting: FakeEngine(setting, pause))
