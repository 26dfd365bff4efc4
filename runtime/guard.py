"""A small process that outlives its parent by a moment, to end what the parent started.

Ray's own processes end with their driver, but some take half a minute to notice a killed one, and they change their
title, so that nothing in them tells whose they are. The driver therefore tells the guard its descendants through a
pipe that only the driver holds; when the pipe closes, for whatever reason, they are killed. Where there is no /proc,
Ray's own clean-up is all there is.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


class Guard:
    """Holds the pipe; closing it (or dying) ends every process that was told."""

    def __init__(self) -> None:
        """Start the watcher."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).resolve())], stdin=subprocess.PIPE, start_new_session=True
        )

    def tell(self) -> None:
        """Name all present descendants of this process."""
        names = [f"{process} {born}\n" for process, born in descendants(os.getpid()) if process != self._process.pid]
        if self._process.stdin is not None:
            self._process.stdin.write("".join(names).encode())
            self._process.stdin.flush()

    def close(self) -> None:
        """End what is left, and wait until it is gone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()


def _status(process: str) -> tuple[int, str] | None:
    """(parent, time of birth in clock ticks) of a process; None where it is gone."""
    try:
        fields = (PROC / process / "stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return int(fields[1]), fields[19]


def descendants(root: int) -> list[tuple[int, str]]:
    """(process, time of birth) of everything that a process started, and what that started."""
    known = {int(entry.name): _status(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()}
    children: dict[int, list[int]] = {}
    for process, status in known.items():
        if status is not None:
            children.setdefault(status[0], []).append(process)
    found, waiting = [], [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            status = known[child]
            found.append((child, status[1] if status else ""))
            waiting.append(child)
    return found


def end(told: set[str]) -> None:
    """Kill each named process that is still the one that was named, and what it started."""
    for name in told:
        process, born = name.split()
        status = _status(process)
        if status is None or status[1] != born:
            continue
        for victim in [int(process), *(child for child, _ in descendants(int(process)))]:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(victim, signal.SIGKILL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end({line for line in sys.stdin.read().splitlines() if line})
