"""What more labels would bring: the learning curve of one arm, carried a step further.

Errors of trained models fall with the number of labels about as a power law (Hestness et al. 2017, arXiv 1712.00409;
Kaplan et al. 2020). Two sizes of a run give its exponent, their difference's interval that of the forecast. A curve
that bends is not seen by two points: one step, to about twice the labels, is as far as this goes.
"""

from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING

from fewtune.specs.evaluation import Metric

if TYPE_CHECKING:
    from fewtune.store.statistics import Comparison  # scipy takes 0.2 s to import

STEP = 2.0
"""The sizes that are compared lie at least this factor apart, where the run has such."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What so many more labels would add to an arm's score."""

    arm: str
    metric: Metric
    sizes: tuple[int, int]
    """The data sizes of the run that it rests on."""
    more: int
    """Labels more than the larger size."""
    gain: float
    low: float
    high: float
    level: float
    """Coverage of the interval, were the power law true."""

    @property
    def sentence(self) -> str:
        """For a reader."""
        return (
            f"{self.more} more labels: about {self.gain:+.2f} [{self.low:+.2f}, {self.high:+.2f}] {self.metric} for "
            f"{self.arm}, by its step from {self.sizes[0]} to {self.sizes[1]}."
        )


def anchor(sizes: list[int]) -> int | None:
    """The size that the largest one is compared with: the nearest that is at most half of it, else the smallest.

    None where there is one size only.
    """
    *smaller, largest = sorted(sizes)
    far = [size for size in smaller if size * STEP <= largest]
    return far[-1] if far else smaller[0] if smaller else None


def forecast(arm: str, metric: Metric, sizes: tuple[int, int], score: float, step: "Comparison") -> Forecast:
    """Carry the curve on, by as many labels as the larger size has.

    Args:
        arm: whose curve.
        metric: at most 1, which is no error.
        sizes: smaller and larger.
        score: at the larger size.
        step: the score at the larger size less that at the smaller one.
    """
    gain, low, high = (
        round(gained(1 - score, difference, sizes, sizes[1]), 4)
        for difference in (step.difference, step.low, step.high)
    )
    return Forecast(arm=arm, metric=metric, sizes=sizes, more=sizes[1], gain=gain, low=low, high=high, level=step.level)


def gained(error: float, difference: float, sizes: tuple[int, int], more: int) -> float:
    """What a power law through two errors promises; where the error grew, a straight line in log n.

    Args:
        error: at the larger size.
        difference: by how much it is below that at the smaller size.
        sizes: smaller and larger.
        more: labels more than the larger size.

    >>> round(gained(0.4, 0.1, (16, 32), 32), 3)
    0.08
    """
    steps = log2((sizes[1] + more) / sizes[1]) / log2(sizes[1] / sizes[0])
    if difference <= 0:
        return difference * steps
    return error * (1 - float((error / (error + difference)) ** steps))
