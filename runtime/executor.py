"""Who executes jobs: a protocol, and the one that does it in this process."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from fewtune.runtime.job import Answer, Batch, Corpus, ModelRef, Progress

Notify = Callable[[Progress], None]


@dataclass(frozen=True)
class Finished:
    """A worker answered."""

    worker: str
    job: str
    answer: Answer


@dataclass(frozen=True)
class Lost:
    """A worker died; the jobs that it held were not answered."""

    worker: str
    message: str


@dataclass(frozen=True)
class Setting:
    """What every worker of a run needs."""

    model: ModelRef
    corpus: Corpus
    device: str
    """cpu or cuda."""
    workers: int
    threads: int
    """Threads of each worker, at most."""
    steady: bool = True
    """Always so many; else fewer while that is faster."""


def threads_each(cores: int, workers: int = 1) -> tuple[int, bool]:
    """(threads of each worker, whether they are fixed): $OMP_NUM_THREADS fixes them, else the cores are shared out."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # a list is for nested regions
    asked = int(first) if first.isdecimal() else 0
    return (asked, True) if asked else (max(1, cores // workers), False)


class Executor(Protocol):
    """Runs batches of jobs on workers.

    Each job is answered once, as soon as it ends, or reported lost with its worker; nothing is retried here.
    """

    name: str

    def idle(self) -> list[str]:
        """Workers that hold no job."""

    def submit(self, worker: str, batch: Batch) -> None:
        """Give jobs to an idle worker."""

    def wait(self, seconds: float, notify: Notify) -> list[Finished | Lost]:
        """Wait for answers, for so long at most; signs of life go to `notify` meanwhile."""

    def close(self) -> None:
        """End all workers and leave no process behind."""


class InProcess:
    """One worker, in this process: jobs run inside `wait`, until one of them ends."""

    name = "in-process"

    def __init__(self, setting: Setting) -> None:
        """Build the engine; the model is loaded by the first job that needs it."""
        from fewtune.runtime.train.engine import Engine

        self._engine = Engine(
            setting.model, setting.corpus, device=setting.device,
            threads=setting.threads, steady=setting.steady,
        )  # fmt: skip
        self._answers: Iterator[Answer] | None = None
        self._left = 0
        self._notify: Notify = lambda _: None

    def idle(self) -> list[str]:
        """Return the one worker while it holds nothing."""
        return [] if self._left else ["in-process"]

    def submit(self, worker: str, batch: Batch) -> None:
        """Keep the jobs for the next calls of `wait`."""
        self._left = len(batch.jobs)
        self._answers = self._engine.run_batch(batch, notify=self._tell)

    def _tell(self, progress: Progress) -> None:
        self._notify(progress)

    def wait(self, seconds: float, notify: Notify) -> list[Finished | Lost]:
        """Run until the next of the held jobs ends."""
        if self._answers is None or not self._left:
            return []
        self._notify = notify
        answer = next(self._answers)
        self._left -= 1
        return [Finished("in-process", answer.job, answer)]

    def close(self) -> None:
        """Nothing to end."""
        self._answers, self._left = None, 0
