"""What synthetic examples are worth in real ones: read off the learning curve of the arm without them.

The twin's mean scores at its data sizes, made monotone (a curve that falls with more labels is noise), are joined by
straight lines in log n. The size at which this curve reaches the augmented arm's score, over the size that the arm had,
is the multiplier. Its interval comes from the score's: each data seed's distance of the augmented arm from the seed's
own curve at that size, their mean by Student's distribution (a bootstrap of three seeds would cover 72 % where it says
95), and what the curve says at the two ends. A score beyond the curve, of the arm or of an end of its interval, gives a
bound instead of a value: at most the curve's start, or at least its end. Where the curve does not rise, or not by more
than the data seeds scatter, nothing can be read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
RISE = 2.0
"""Of a curve that rises by less than so many standard errors of its ends' difference nothing is read."""
Bound = Literal["", "at most", "at least"]
"""Empty: the number is a value. Else it is the curve's start or end, and the value lies below or above."""
Scores = Mapping[int, Mapping[int, float]]
"""Data size -> data seed -> score, model seeds averaged."""


@dataclass(frozen=True, kw_only=True)
class Multiplier:
    """How many real examples would give the augmented arm's score, over those that it had."""

    n: int
    multiplier: float | None
    """None: it cannot be told; with a bound, the curve's end over `n`."""
    low: float | None
    high: float | None
    bound: Bound
    """Of the multiplier."""
    low_bound: Bound
    """Of the interval's lower end."""
    high_bound: Bound
    """Of its upper end."""
    seeds: int
    says: str


def multiplier(n: int, own: Mapping[int, float], twin: Scores, level: float) -> Multiplier:
    """Measure it.

    Args:
        n: the augmented arm's data size.
        own: data seed -> the augmented arm's score.
        twin: the scores of the arm without synthetic examples, at all sizes.
        level: of the interval.
    """
    sizes = sorted(twin)
    seeds = sorted(set(own).intersection(*(twin[size] for size in sizes)))
    unknown = Multiplier(
        n=n, multiplier=None, low=None, high=None, bound="", low_bound="", high_bound="", seeds=len(seeds), says="",
    )  # fmt: skip
    if len(sizes) < 2:
        return _saying(unknown, "cannot tell: the curve needs two data sizes")
    if len(seeds) < 2:
        return _saying(unknown, "cannot tell: one data seed has no spread")
    curve = np.array([[twin[size][seed] for size in sizes] for seed in seeds])
    if unclear := _unclear(curve, sizes):
        return _saying(unknown, f"cannot tell: without synthetic examples {unclear}")
    values = np.array([own[seed] for seed in seeds])
    found, bound = _reached(curve.mean(axis=0), sizes, float(values.mean()))
    (low, under), (high, over) = _interval(curve, values, sizes, found, level)
    times = f"worth {_bounded(bound, f'{found:.0f}')} real examples, {_bounded(bound, f'{found / n:.1f}')} times {n}"
    ends = f"{100 * level:g} % interval: {_bounded(under, f'{low / n:.1f}')} to {_bounded(over, f'{high / n:.1f}')}"
    return Multiplier(
        n=n, multiplier=found / n, low=low / n, high=high / n, bound=bound, low_bound=under, high_bound=over,
        seeds=len(seeds), says=f"{times} ({ends})",
    )  # fmt: skip


def _bounded(bound: Bound, number: str) -> str:
    """A number in words.

    >>> _bounded("at least", "4.0"), _bounded("", "1.3")
    ('at least 4.0', '1.3')
    """
    return f"{bound} {number}".strip()


def _saying(unknown: Multiplier, says: str) -> Multiplier:
    return replace(unknown, says=says)


def _unclear(curve: Floats, sizes: Sequence[int]) -> str:
    """Why the largest size is not clearly better than the smallest one, over (seeds, sizes); empty: it is.

    >>> _unclear(np.array([[0.5, 0.52], [0.5, 0.7]]), (8, 64))
    'the score rises by 0.11 from n = 8 to 64, and scatters by 0.09 (standard error over 2 data seeds)'
    """
    steps = curve[:, -1] - curve[:, 0]
    rise, error = float(steps.mean()), float(steps.std(ddof=1) / len(steps) ** 0.5)
    if rise <= 0:
        return (
            f"the score does not rise from n = {sizes[0]} to {sizes[-1]} (by {rise:.2g} over {len(steps)} data seeds)"
        )
    if rise < RISE * error:
        spread = f"scatters by {error:.2g} (standard error over {len(steps)} data seeds)"
        return f"the score rises by {rise:.2g} from n = {sizes[0]} to {sizes[-1]}, and {spread}"
    return ""


def _reached(means: Floats, sizes: Sequence[int], score: float) -> tuple[float, Bound]:
    """(size at which the curve reaches the score, what kind of bound it is)."""
    rising, places = np.maximum.accumulate(means), np.log(sizes)
    if score >= rising[-1]:
        return float(sizes[-1]), "at least" if score > rising[-1] else ""
    if score <= rising[0]:
        return float(sizes[0]), "at most" if score < rising[0] else ""
    above = int(np.searchsorted(rising, score, side="left"))
    share = (score - rising[above - 1]) / (rising[above] - rising[above - 1])
    return float(np.exp(places[above - 1] + share * (places[above] - places[above - 1]))), ""


def _interval(
    curve: Floats, values: Floats, sizes: Sequence[int], found: float, level: float
) -> tuple[tuple[float, Bound], tuple[float, Bound]]:
    """(size at which the mean curve reaches it, what kind of bound that is) of both ends, paired by data seed."""
    from scipy.stats import t  # takes a second to import

    places = np.log(sizes)
    distances = np.array(
        [value - np.interp(np.log(found), places, own) for value, own in zip(values, curve, strict=True)]
    )
    half = float(t.ppf((1 + level) / 2, len(values) - 1) * distances.std(ddof=1) / len(values) ** 0.5)
    means, score = curve.mean(axis=0), float(values.mean())
    return _reached(means, sizes, score - half), _reached(means, sizes, score + half)
