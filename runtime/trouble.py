"""What went wrong with a family so far, and whether it is tried again."""

from dataclasses import dataclass

MOST_ATTEMPTS = 3
"""Times a job is given to a worker that dies under it."""
MOST_HALVINGS = 3
"""Times a micro-batch is halved after running out of memory."""


@dataclass
class Trouble:
    """What went wrong with a family so far."""

    lost: int = 0
    """Workers that died under it."""
    halvings: int = 0
    micro_batch: int | None = None
    """A smaller one than the plan's, after running out of memory."""
    given_up: bool = False

    @property
    def alone(self) -> bool:
        """Whether it is given to a worker by itself: it may be what went wrong."""
        return self.lost > 0 or self.halvings > 0

    @property
    def attempt(self) -> int:
        """The number of its next attempt, counted from 1."""
        return self.lost + self.halvings + 1

    def ran_out(self, micro_batch: int) -> None:
        """It ran out of memory with this micro-batch: half of it is next, as long as there is something to halve."""
        self.halvings += 1
        self.given_up = micro_batch <= 1 or self.halvings > MOST_HALVINGS
        self.micro_batch = max(1, (micro_batch + 1) // 2)

    def lost_worker(self) -> None:
        """A worker died under it."""
        self.lost += 1
        self.given_up = self.lost >= MOST_ATTEMPTS
