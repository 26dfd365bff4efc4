"""Who executes jobs: a protocol, and the one that does it in this process."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fewtune.runtime.job import Answer, Corpus, Job, ModelRef, Progress

Notify = Callable[[Progress], None]


@dataclass(frozen=True)
class Finished:
    """A worker answered."""

    worker: str
    job: str
    answer: Answer


@dataclass(frozen=True)
class Lost:
    """A worker died; the job it held was not answered."""

    worker: str
    job: str
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
    """Runs jobs on workers. A job is answered once, or its worker is reported lost; nothing is retried here."""

    name: str

    def idle(self) -> list[str]:
        """Workers that hold no job."""

    def submit(self, worker: str, job: Job, state: bytes | None) -> None:
        """Give a job, and the fitted state it starts from if it does not fit by itself, to an idle worker."""

    def wait(self, seconds: float, notify: Notify) -> list[Finished | Lost]:
        """Wait for answers, for so long at most; signs of life go to `notify` meanwhile."""

    def close(self) -> None:
        """End all workers and leave no process behind."""


class InProcess:
    """One worker, in this process: a job runs inside `wait`."""

    name = "in-process"

    def __init__(self, setting: Setting) -> None:
        """Build the engine; the model is loaded by the first job that needs it."""
        from fewtune.runtime.train.engine import Engine

        self._engine = Engine(
            setting.model, setting.corpus, device=setting.device,
            threads=setting.threads, steady=setting.steady,
        )  # fmt: skip
        self._held: tuple[Job, bytes | None] | None = None

    def idle(self) -> list[str]:
        """Return the one worker while it holds nothing."""
        return [] if self._held else ["in-process"]

    def submit(self, worker: str, job: Job, state: bytes | None) -> None:
        """Keep the job for the next `wait`."""
        self._held = (job, state)

    def wait(self, seconds: float, notify: Notify) -> list[Finished | Lost]:
        """Run the held job to its end."""
        if self._held is None:
            return []
        job, state = self._held
        answer = self._engine.run(job, state=state, notify=notify)
        self._held = None
        return [Finished("in-process", job.id, answer)]

    def close(self) -> None:
        """Nothing to end."""
        self._held = None
