"""Contend for a lease, again and again, and shout when somebody else is inside.

Run as a program: `contender.py WORKSPACE PROCESSES ROUNDS`; prints a JSON object.
"""

import json
import os
import random
import sys
import time
from pathlib import Path

import kill_sweep
import pytest

from fewtune.specs.diagnostic import StoreError
from fewtune.store import lease


def contend(folder: Path, number: int, rounds: int) -> None:
    """Take the lease so many times; every time, be alone inside."""
    dice = random.Random(number)
    for _ in range(rounds):
        with lease.acquire(folder / "lease", wait_seconds=60) as held:
            inside = os.open(folder / "inside", os.O_CREAT | os.O_EXCL | os.O_WRONLY)  # fails if another is inside
            held.check()
            time.sleep(dice.uniform(0, 0.002))
            with (folder / "numbers").open("a") as numbers:
                numbers.write(f"{held.number}\n")
            os.close(inside)
            os.unlink(folder / "inside")


def refuse(folder: Path) -> None:
    """Without waiting, a loser is told who holds the lease, and soon."""
    began = time.monotonic()
    with pytest.raises(StoreError, match=f"process {os.getppid()} on") as caught, lease.acquire(folder / "lease"):
        pass
    assert caught.value.exit_status == 8
    assert time.monotonic() - began < 1


def main(folder: Path, processes: int, rounds: int) -> None:
    children = []
    for number in range(processes):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                contend(folder, number, rounds)
                status = 0
            finally:
                os._exit(status)
        children.append(child)
    failed = [os.waitpid(child, 0)[1] for child in children]
    numbers = [int(line) for line in (folder / "numbers").read_text().split()]
    with lease.acquire(folder / "lease"):
        refused = [kill_sweep.in_child(lambda: refuse(folder), folder / "log") for _ in range(processes)]
    print(json.dumps({"failed": failed, "numbers": numbers, "refused": refused}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
