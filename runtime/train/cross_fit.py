"""Cross-fitting: each row is predicted by models that never saw it, nor a copy of it."""

from collections.abc import Callable, Sequence

import numpy as np

from fewtune.compiler.facts import SplitFacts
from fewtune.compiler.sample import assign_folds, ordered
from fewtune.runtime.train.linear import Floats
from fewtune.runtime.train.pulse import nothing

Fold = Callable[[Sequence[int], Sequence[int]], Sequence[Sequence[float]]]
"""(places to fit to, places to predict) -> probabilities (places, labels)."""
LEAST = 1e-9
"""Probabilities below are taken for it: one fold never saw the label."""


def effort(rows: int) -> tuple[int, int]:
    """(folds, how many times they are drawn): 30 fits of a few hundred rows, 5 of many, a fit being slow then."""
    return (10, 3) if rows <= 500 else (5, 2) if rows <= 2000 else (5, 1)


def cross_fitted(
    split: SplitFacts, rows: Sequence[int], kinds: int, fold: Fold, between: Callable[[], object] = nothing
) -> Floats:
    """(rows, labels): the mean log-probability of each label over the draws of folds; every entry is finite.

    Args:
        split: whose rows they are.
        rows: their indices in the split; places count along them.
        kinds: how many labels there are.
        fold: fits and predicts.
        between: called after each fit.
    """
    folds, repeats = effort(len(rows))
    texts = len({split.groups[row] for row in rows})
    total, place = np.zeros((len(rows), kinds)), {row: place for place, row in enumerate(rows)}
    for repeat in range(repeats):
        fold_of = assign_folds(ordered(rows, split, "cross-fit", repeat), split, min(folds, texts))
        for number in sorted(set(fold_of.values())):
            left = [place[row] for row in rows if fold_of[row] == number]
            fitted = [place[row] for row in rows if fold_of[row] != number]
            total[left] += np.log(np.maximum(fold(fitted, left), LEAST))
            between()
    return total / repeats
