"""From values to places on an axis, and the round numbers that stand beside it."""

from dataclasses import dataclass
from math import ceil, floor, log10


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`, drawn from `start` to `end` (pixels)."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    """Equal factors are equal lengths."""

    def __call__(self, value: float) -> float:
        """Where the value lies, in pixels; at the nearer end where it is beyond it."""
        value = min(max(value, self.low), self.high)
        low, high, at = (log10(v) if self.log else v for v in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + share * (self.end - self.start), 1)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values within the axis, at most so many.

        >>> Scale(0.13, 0.92, 0, 100).ticks()
        [0.2, 0.4, 0.6, 0.8]
        >>> Scale(0.2, 300, 0, 100, log=True).ticks()
        [1.0, 10.0, 100.0]
        >>> Scale(0.9, 12, 0, 100, log=True).ticks()
        [1.0, 2.0, 5.0, 10.0]
        """
        if self.log:
            return _round_powers(self.low, self.high, most)
        return _round_steps(self.low, self.high, most)


def _round_powers(low: float, high: float, most: int) -> list[float]:
    powers = range(floor(log10(low)), floor(log10(high)) + 1)
    for digits in ((1, 2, 5), (1,)):
        found = [value for power in powers for digit in digits if low <= (value := digit * 10.0**power) <= high]
        if 2 <= len(found) <= most:
            return found
    return found[:: ceil(len(found) / most)] if found else [low, high]


def _round_steps(low: float, high: float, most: int) -> list[float]:
    span = high - low
    if span <= 0:
        return [low]
    unit = 10.0 ** floor(log10(span))
    for step in (unit / 10, unit / 5, unit / 4, unit / 2, unit, unit * 2, unit * 5):
        first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [round(number * step, 10) for number in range(first, last + 1)]
    return [low, high]


def around(values: list[float], share: float = 0.06) -> tuple[float, float]:
    """Ends of an axis that shows all values with some air.

    >>> around([1.0, 2.0], share=0.1)
    (0.9, 2.1)
    """
    low, high = min(values), max(values)
    air = (high - low) * share or abs(high) * share or 1.0
    return round(low - air, 10), round(high + air, 10)
