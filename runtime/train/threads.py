"""How many threads the processor's products get: measured, because a busy neighbour turns two threads into a loss.

Threads wait for each other at the end of every product. When another process holds one of the cores, all of them wait
for that one, several thousand times a step. So a few numbers are tried on the model itself, and tried again later.
"""

import math
import time
from collections.abc import Callable, Iterator

import torch

TOKENS = 64
"""Tokens of a trial reading: about 0.1 s of a 135M model on one core."""
ROUNDS = 2
"""Trial readings with each number, in turn, so that a passing disturbance hits all of them."""
GAIN = 0.9
"""Share of the time with all threads that fewer of them must stay below: a near tie keeps the usual number."""
HOPELESS = 2.0
"""Times the fastest number's seconds above which a number is not tried again in this choice."""
FRESH = 20.0
"""Seconds after which a choice is made again, between two steps or batches: a neighbour may come in the middle."""


def candidates(most: int) -> Iterator[int]:
    """All threads, a half, a quarter ... and one."""
    while most > 1:
        yield most
        most //= 2
    yield 1


class Threads:
    """The number of torch's threads in this process."""

    def __init__(self, most: int, *, steady: bool, clock: Callable[[], float] = time.perf_counter) -> None:
        """Set the number.

        Args:
            most: threads where nothing disturbs.
            steady: keep this number, so that sums round the same way each time; or choose again and again.
            clock: gives seconds.
        """
        self.most = most
        self.steady = steady
        self._clock = clock
        self._chosen_at: float | None = None
        torch.set_num_threads(most)

    def allow(self, most: int | None) -> None:
        """Let the next job use so many; None: as many as before. A fixed number stays."""
        if most is not None and most != self.most and not self.steady:
            self.most, self._chosen_at = most, None
            torch.set_num_threads(most)

    def choose(self, read: Callable[[int], object]) -> int:
        """Set and return the number with which a trial reading goes fastest, if the last choice is no longer fresh.

        Args:
            read: reads so many tokens.
        """
        if self.steady or self.most == 1 or (self._chosen_at is not None and self._clock() - self._chosen_at < FRESH):
            return torch.get_num_threads()
        seconds = self._tried(read)
        best = min(seconds, key=lambda number: seconds[number])
        number = best if seconds[best] < GAIN * seconds.get(self.most, math.inf) else self.most
        torch.set_num_threads(number)
        self._chosen_at = self._clock()
        return number

    def _tried(self, read: Callable[[int], object]) -> dict[int, float]:
        """Number -> seconds of all rounds; those that are hopeless in one round are not in it."""
        seconds = dict.fromkeys(candidates(self.most), 0.0)
        for _ in range(ROUNDS):
            for number in seconds:
                torch.set_num_threads(number)
                began = self._clock()
                read(TOKENS)
                seconds[number] += self._clock() - began
            fastest = min(seconds.values())
            seconds = {number: spent for number, spent in seconds.items() if spent <= HOPELESS * fastest}
        return seconds
