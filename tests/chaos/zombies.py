"""Stop a writer before one of its operations on the disk, take its workspace over, let it go on, and judge.

Run as a program: `zombies.py FOLDER EVERY`; prints a JSON object. A stopped process still has its lock, so that nothing
can be taken over while it is there. Here somebody removes the lease's folder from under it, as an operator may.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import kill_sweep


def stopped(folder: Path, place: int) -> int | None:
    """A process that stands before its operation number `place`; None: it ended before."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            kill_sweep.apply(folder, f"stop-before:{place}", publishing=False)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, os.WUNTRACED)
    return child if os.WIFSTOPPED(status) else None


def raced(folder: Path, place: int) -> str | None:
    """One zombie: what went wrong, or None."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    workspace, log = folder / "workspace", folder / "log"
    zombie = stopped(folder, place)
    if zombie is None:
        return f"{place}: it did not stop"
    shutil.rmtree(workspace / "lease", ignore_errors=True)
    acknowledged = (folder / "ack").read_text().split() if (folder / "ack").exists() else []
    if kill_sweep.in_child(lambda: kill_sweep.apply(folder, None, publishing=False), log) != 0:
        os.kill(zombie, signal.SIGKILL)
        os.waitpid(zombie, 0)
        return f"{place}: the new holder failed: {log.read_text()[-600:]}"
    before = (workspace / "journal.jsonl").read_bytes()
    os.kill(zombie, signal.SIGCONT)
    os.waitpid(zombie, 0)
    after = (workspace / "journal.jsonl").read_bytes()
    if not after.startswith(before):
        return f"{place}: the zombie changed the journal"
    if forged(before, after):
        return f"{place}: the zombie added a row"
    if kill_sweep.in_child(lambda: kill_sweep.judge(workspace, acknowledged, database=False), log) != 0:
        return f"{place}: {log.read_text()[-600:]}"
    return None


def forged(before: bytes, after: bytes) -> bool:
    """Whether a row was added under a lease that is not newer: who comes back may only begin anew, with a new one."""
    last = json.loads(before.splitlines()[-1])["fence"]
    return any(json.loads(line)["fence"] <= last for line in after[len(before) :].splitlines())


def main(folder: Path, every: int) -> None:
    kill_sweep.lighten()
    began = time.monotonic()
    places = range(1, len(kill_sweep.operations(folder / "recorded", publishing=False)) + 1)
    found = [said for place in places[::every] if (said := raced(folder / "race", place))]
    print(
        json.dumps({"zombies": len(places[::every]), "violations": found, "seconds": round(time.monotonic() - began)})
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
