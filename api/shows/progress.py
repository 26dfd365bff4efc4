"""What a run tells while it goes on: a live line on a terminal, plain lines elsewhere. All of it on standard error."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from fewtune.api.shows.console import clock, safe
from fewtune.runtime.job import Progress

EVERY = 15.0
"""Seconds between two plain lines about a running job."""


class Lines:
    """Plain lines, for logs and pipes."""

    def __init__(self, out: Console) -> None:
        """Write to this console."""
        self._out = out
        self._said = 0.0

    def began(self, run: str, jobs: int, seconds: float) -> None:
        """Say how much there is to do."""
        work = f"{jobs} job{'' if jobs == 1 else 's'}, about {clock(seconds)}" if jobs else "nothing to compute"
        self._out.print(f"run {run}: {work}")

    def progress(self, progress: Progress) -> None:
        """Say where a job is, now and then."""
        if time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            self._out.print(f"  {safe(progress.job)}: {describe(progress)}")

    def ended(self, job: str, outcome: str, done: int, jobs: int, left: float) -> None:
        """Say what came of a job."""
        self._said = time.monotonic()
        eta = f", about {clock(left)} left" if left > 1 else ""
        self._out.print(f"[{done}/{jobs}] {safe(job)}: {safe(outcome)}{eta}")

    def said(self, text: str) -> None:
        """Say it."""
        self._out.print(safe(text))

    def close(self) -> None:
        """Nothing to take down."""


class Live:
    """Lines for what has ended above one live line: jobs done, what runs, time left."""

    def __init__(self, out: Console) -> None:
        """Take over the terminal's last line."""
        self._lines = Lines(out)
        self._bar = Bar(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(),
            TextColumn("{task.fields[now]}"), console=out, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("jobs", total=None, now="starting")
        self._running: dict[str, str] = {}
        self._left = ""

    def began(self, run: str, jobs: int, seconds: float) -> None:
        """Start the live line."""
        self._lines.began(run, jobs, seconds)
        self._bar.update(self._task, total=jobs)
        self._bar.start()

    def progress(self, progress: Progress) -> None:
        """Show where each running job is."""
        self._running[progress.job] = describe(progress)
        self._show()

    def ended(self, job: str, outcome: str, done: int, jobs: int, left: float) -> None:
        """Put the ended job above the live line."""
        self._running.pop(job, None)
        self._left = f", about {clock(left)} left" if left > 1 else ""
        self._bar.update(self._task, completed=done)
        self._bar.console.print(f"{safe(job)}: {safe(outcome)}")
        self._show()

    def _show(self) -> None:
        now = "; ".join(f"{safe(job)} {how}" for job, how in self._running.items())
        self._bar.update(self._task, now=now + self._left)

    def said(self, text: str) -> None:
        """Say it above the live line; whatever still runs tells so soon."""
        self._running.clear()
        self._lines.said(text)

    def close(self) -> None:
        """Take the live line down."""
        self._bar.stop()


def describe(progress: Progress) -> str:
    """Where a job is."""
    loss = f", loss {progress.loss:.3f}" if progress.loss is not None else ""
    return f"{progress.phase} {progress.done}/{progress.total}{loss}"


def reporter(out: Console) -> Lines | Live:
    """The way of reporting that fits where the output goes."""
    return Live(out) if out.is_terminal else Lines(out)
