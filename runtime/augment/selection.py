"""Of the examples that passed, those that say most: good labels, and far from what is there already.

Greedy maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the next one has the largest
(1 - w) quality + w (1 - likeness to the nearest seed or chosen example).
"""

from collections.abc import Sequence

import numpy as np

from fewtune.compiler.sample import quotas
from fewtune.runtime.train.linear import Floats


def select(
    vectors: Floats, seeds: Floats, quality: Floats, labels: Sequence[int], kinds: int, want: int | None, weight: float
) -> list[int]:
    """Places of those that are chosen, best first; at most `want`, shared over the labels as they are there.

    Args:
        vectors: (candidates, features), of unit length.
        seeds: (seeds, features).
        quality: (candidates,).
        labels: of the candidates.
        kinds: how many labels there are.
        want: how many; None: all.
        weight: of diversity, 0 to 1.
    """
    left = quotas([list(labels).count(label) for label in range(kinds)], len(labels) if want is None else want)
    nearest = nearest_of(vectors, seeds)
    open_, given, chosen = np.ones(len(labels), bool), np.array(labels, dtype=np.int64), list[int]()
    while any(left) and open_.any():
        score = np.where(open_, (1 - weight) * quality + weight * (1 - nearest), -np.inf)
        best = int(score.argmax())
        chosen.append(best)
        left[labels[best]] -= 1
        open_[best] = False
        if not left[labels[best]]:
            open_[given == labels[best]] = False
        nearest = np.maximum(nearest, vectors @ vectors[best])
    return chosen


def nearest_of(vectors: Floats, others: Floats) -> Floats:
    """(vectors,): cosine with the nearest of the others; 0 where there is none."""
    if not len(vectors) or not len(others):
        return np.zeros(len(vectors))
    found: Floats = (vectors @ others.T).max(axis=1)
    return found
