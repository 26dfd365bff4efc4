"""A small process that outlives its parent by a moment, to end what the parent started.

Ray's own processes end with their driver, but some take half a minute to notice a killed one, and they change their
title, so that nothing in them tells whose they are. So the guard watches its parent's descendants from the start;
when the parent is gone, or closes the pipe, it kills them. Where there is no /proc, Ray's own clean-up is all there is.
"""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
OFTEN, SELDOM = 0.2, 2.0
"""Seconds between two looks (a few milliseconds each): Ray starts most of its processes in the first minute."""
STARTING = 60.0

Process = tuple[int, str]
"""A process and its time of birth in clock ticks: together they name it once and for all."""


class Guard:
    """Holds a pipe; closing it (or dying) ends every process that this one started since."""

    def __init__(self) -> None:
        """Start the watcher."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid())],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def close(self) -> None:
        """End what is left, and wait until it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def status(process: int) -> tuple[int, str] | None:
    """(parent, time of birth) of a process; None where it is gone."""
    try:
        fields = (PROC / str(process) / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return int(fields[1]), fields[19]


def descendants(root: int) -> set[Process]:
    """Everything that a process started, and what that started; this process left out."""
    entries = os.listdir(PROC) if PROC.exists() else []
    known = {int(entry): status(int(entry)) for entry in entries if entry.isdigit()}
    children: dict[int, list[int]] = {}
    for process, found in known.items():
        if found is not None and process != os.getpid():
            children.setdefault(found[0], []).append(process)
    below, waiting = set[Process](), [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found = known[child]
            below.add((child, found[1] if found else ""))
            waiting.append(child)
    return below


def watch(parent: int) -> set[Process]:
    """Look after the parent until it closes the pipe; return what it started."""
    seen, began = set[Process](), time.monotonic()
    while True:
        seen |= descendants(parent)
        pause = OFTEN if time.monotonic() - began < STARTING else SELDOM
        ready, _, _ = select.select([sys.stdin], [], [], pause)
        if ready:
            return seen


def end(seen: set[Process]) -> None:
    """Kill each process that is still the one that was seen, and what it started."""
    for process, born in seen:
        found = status(process)
        if found is not None and found[1] == born:
            for victim in [process, *(child for child, _ in descendants(process))]:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(victim, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end(watch(int(sys.argv[1])))
