"""How likely each label is wrong: predictions of models that never saw the row, and one rate of wrong labels for all.

The predictions of several views are pooled, p(j) ~ product over views of p_view(j) ** scale, which with one view is
temperature scaling (arXiv 1706.04599, section 4.2). A label is wrong with the probability e, and then any other one
alike, so that the given label y has the likelihood (1 - e) p(y) + e (1 - p(y)) / (K - 1): the forward correction of
symmetric noise (arXiv 1609.03683, section 4.2). Scales and e have the largest likelihood of the given labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fewtune.runtime.train.linear import Floats

Indices = NDArray[np.int64]
SCALE = (0.05, 8.0)
"""The least and the largest scale of a view."""
RATE = (1e-4, 0.5)
"""The least and the largest rate of wrong labels."""
BEYOND = 2.71
"""Twice the gain in log-likelihood that a rate of 0 exceeds once in 20 times, 0 being the end of the range: the 95 %
point of 0 or chi-squared with even odds (Self and Liang, JASA 82, 1987, case 5)."""


@dataclass(frozen=True, eq=False)
class Noise:
    """What the given labels look like."""

    scales: tuple[float, ...]
    """Of each view."""
    rate: float
    """Estimated share of wrong labels."""
    gain: float
    """Twice the log-likelihood that the rate adds to what rate 0 reaches."""
    probabilities: Floats
    """(rows, labels): of the right label, from the views alone."""
    wrong: Floats
    """(rows,): probability that the given label is wrong."""

    @property
    def beyond_chance(self) -> bool:
        """Whether more labels look wrong than honest predictions of right labels would make look so."""
        return self.gain > BEYOND


def noise(views: Sequence[Floats], given: Indices) -> Noise:
    """Fit it.

    Args:
        views: log-probabilities (rows, labels) of each view, finite, two labels at least.
        given: index of each row's label (rows,).
    """
    others = views[0].shape[1] - 1

    def loss(parameters: Floats) -> float:
        *scales, rate = np.exp(parameters)
        own = _own(pooled(views, scales), given)
        return -float(np.log((1 - rate) * own + rate * (1 - own) / others).sum())

    def clean(parameters: Floats) -> float:
        return loss(np.append(parameters, -np.inf))

    bounds = [(float(np.log(SCALE[0])), float(np.log(SCALE[1])))] * len(views)
    *scales, rate = np.exp(_least(loss, [*bounds, (float(np.log(RATE[0])), float(np.log(RATE[1])))])).tolist()
    found = pooled(views, scales)
    own = _own(found, given)
    chance = rate * (1 - own) / others
    least = loss(np.log([*scales, rate]))
    gain = 2 * (clean(_least(clean, bounds)) - least)
    return Noise(tuple(scales), rate, max(0.0, gain), found, chance / ((1 - rate) * own + chance))


def pooled(views: Sequence[Floats], scales: Sequence[float]) -> Floats:
    """(rows, labels): the views' product, each to the power of its scale, normalised."""
    logits = np.sum([scale * view for scale, view in zip(scales, views, strict=True)], axis=0)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = np.maximum(shares / shares.sum(axis=1, keepdims=True), 1e-12)
    return found


def _own(probabilities: Floats, given: Indices) -> Floats:
    """(rows,): of the given labels."""
    found: Floats = probabilities[np.arange(len(given)), given]
    return found


def _least(loss: Callable[[Floats], float], bounds: Sequence[tuple[float, float]]) -> Floats:
    """The parameters with the smallest loss, from two beginnings."""
    from scipy.optimize import minimize

    starts = [np.array([np.clip(start, low, high) for low, high in bounds]) for start in (0.0, -3.0)]
    starts[1][: len(bounds) - 1] = np.log(2.0)
    tried = [minimize(loss, start, method="L-BFGS-B", bounds=bounds) for start in starts]
    best: Floats = min(tried, key=lambda one: float(one.fun)).x
    return best
