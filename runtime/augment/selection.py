"""Of the examples that passed, those that say most: good labels, and far from what is there already.

Greedy maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): the next one has the largest
(1 - w) quality + w (1 - likeness to the nearest seed or chosen example).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from fewtune.compiler.sample import quotas
from fewtune.runtime.train.linear import Floats


def select(
    vectors: Floats, seeds: Floats, quality: Floats, labels: Sequence[int], kinds: int, want: int | None, weight: float,
    target: Mapping[int, int] | None = None,
) -> list[int]:  # fmt: skip
    """Places of those that are chosen, best first; at most `want`, shared over the labels as they may be there.

    Args:
        vectors: (candidates, features), of unit length.
        seeds: (seeds, features).
        quality: (candidates,).
        labels: of the candidates.
        kinds: how many labels there are.
        want: how many; None: all.
        weight: of diversity, 0 to 1.
        target: label -> how many of it, or more where others have fewer: no more than all of them; None: all.
    """
    able = [list(labels).count(label) for label in range(kinds)]
    if target is not None:
        planned = [min(count, target.get(label, 0)) for label, count in enumerate(able)]
        others = quotas(
            [count - own for count, own in zip(able, planned, strict=True)], sum(target.values()) - sum(planned)
        )
        able = [own + more for own, more in zip(planned, others, strict=True)]
    left = quotas(able, sum(able) if want is None else want)
    nearest = nearest_of(vectors, seeds)
    given, chosen = np.array(labels, dtype=np.int64), list[int]()
    open_ = np.array([left[label] > 0 for label in labels], bool)
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
