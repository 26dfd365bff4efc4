"""How long the longest specs take to be answered: bombs just within the limits, and 2,000 seeded mutants.

    python tests/bench/hostile_specs.py

Prints the slowest of each in CPU milliseconds of one core, the best of three readings.
"""

import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from hostile import BOMBS, mutants

from fewtune.specs.diagnostic import SpecError
from fewtune.specs.load import load

MUTANTS = 2_000
SHOWN = 3


def main() -> None:
    """Measure and print."""
    bombs = slowest((name, text.encode()) for name, text in BOMBS.items())
    changed = slowest((f"mutant {number}", content) for number, content in enumerate(mutants(Random(20), MUTANTS)))
    for title, found in ((f"{len(BOMBS)} bombs", bombs), (f"{MUTANTS} mutants", changed)):
        print(title)
        for milliseconds, name, size in found:
            print(f"{milliseconds:8.1f} ms  {name} ({size} bytes)")


def slowest(texts: Iterable[tuple[str, bytes]]) -> list[tuple[float, str, int]]:
    """CPU milliseconds, name and size of those that take longest."""
    measured = [(min(milliseconds(content) for _ in range(3)), name, len(content)) for name, content in texts]
    return sorted(measured, reverse=True)[:SHOWN]


def milliseconds(content: bytes) -> float:
    """Read a spec in a new thread.

    It has a new stack: how deep the caller stands would decide whether the hot loops cross a boundary between the
    interpreter's frame chunks, where each call costs a system call.
    """

    def read() -> float:
        start = time.thread_time()
        with suppress(SpecError):
            load(content)
        return 1000 * (time.thread_time() - start)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(read).result()


if __name__ == "__main__":
    main()
