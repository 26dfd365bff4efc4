"""Signs of life from a job, no more often than they are useful; and what is to be done between its pieces of work."""

import time
from collections.abc import Callable
from typing import Literal

from fewtune.runtime.job import Notify, Progress

Phase = Literal["loading", "pre-training", "training", "validating", "scoring"]
SECONDS = 0.3
"""Shortest time between two signs from training steps."""


def nothing() -> None:
    """Do nothing between the pieces."""


class Pulse:
    """Reports one job's progress.

    Attributes:
        between: called after every step and batch.
    """

    def __init__(self, job: str, notify: Notify) -> None:
        self.job = job
        self.notify = notify
        self.between: Callable[[], object] = nothing
        self._last = 0.0

    def beat(self, phase: Phase, done: int, total: int, loss: float | None = None) -> None:
        """Report now."""
        self._last = time.monotonic()
        self.notify(Progress(job=self.job, phase=phase, done=done, total=total, loss=loss))
        self.between()

    def step(self, done: int, total: int, loss: float, phase: Phase = "training") -> None:
        """Report a training step, unless the last report is very fresh."""
        if done == total or time.monotonic() - self._last >= SECONDS:
            self.beat(phase, done, total, loss)
        else:
            self.between()
