"""Contextual calibration: what a prompt says of texts without content is taken out of what it says of others.

q = p / p_cf, divided by its sum: arXiv 2102.09690, section 5 (W = diag(p_cf)^-1, b = 0), with p_cf the mean over the
content-free texts of the probabilities among the labels.
"""

from collections.abc import Sequence

from fewtune.runtime.train.prediction import LEAST


def calibrated(probabilities: Sequence[float], content_free: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """One row's probabilities, calibrated.

    Args:
        probabilities: (labels,)
        content_free: (content-free texts, labels), in the same prompt.

    >>> [round(q, 3) for q in calibrated([0.6, 0.4], [[0.9, 0.1], [0.7, 0.3]])]
    [0.273, 0.727]
    """
    means = [sum(column) / len(content_free) for column in zip(*content_free, strict=True)]
    ratios = [p / max(mean, LEAST) for p, mean in zip(probabilities, means, strict=True)]
    total = sum(ratios)
    return tuple(ratio / total for ratio in ratios)
