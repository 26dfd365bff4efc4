"""Whether a synthetic example's label is right: classifiers that never saw it, fitted to the seeds and the others.

Cross-fitting on two views of a text, its words and the frozen sentence encoder, and one rate of wrong labels for all,
as `label_noise` has it. The seeds train in every fold: people labelled them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fewtune.compiler.fingerprint import seed as seeded
from fewtune.compiler.rules.penalty import STRONG
from fewtune.runtime.augment.example import Candidate, Seed, joined, texts
from fewtune.runtime.augment.vectors import Encode, features
from fewtune.runtime.suspects import WORDS
from fewtune.runtime.train.bag_of_words import tfidf
from fewtune.runtime.train.cross_fit import LEAST, Fold
from fewtune.runtime.train.label_noise import noise
from fewtune.runtime.train.linear import Floats, standardised

FOLDS = 10
FEWEST = 20
"""Fewer examples say nothing of each other."""


class Agreement(NamedTuple):
    """What the classifiers say."""

    quality: Floats
    """(candidates,): probability that the label is right; 1 where nothing could be told."""
    informed: bool
    """Whether the classifiers beat the most frequent label by two standard errors; else no label is doubted."""
    rate: float | None
    """Estimated share of wrong labels."""
    views: tuple[str, ...]


def agreement(seeds: Sequence[Seed], candidates: Sequence[Candidate], kinds: int, encode: Encode | None) -> Agreement:
    """Judge the labels of the candidates.

    Args:
        seeds: labelled by people.
        candidates: labelled by a teacher.
        kinds: how many labels there are.
        encode: the sentence encoder; None: words alone.
    """
    given = np.array([candidate.label for candidate in candidates], dtype=np.int64)
    unknown = Agreement(np.ones(len(candidates)), False, None, ())
    if len(candidates) < FEWEST or len(set(given.tolist())) < 2:
        return unknown
    folds = _folds(candidates)
    views = {"words": _view(seeds, candidates, kinds, _words(seeds, candidates, kinds), folds)}
    if encode is not None:
        views["encoder"] = _view(seeds, candidates, kinds, _encoded(seeds, candidates, kinds, encode), folds)
    found = noise(tuple(views.values()), given)
    accuracy = float((found.probabilities.argmax(axis=1) == given).mean())
    majority = float(np.bincount(given).max() / len(given))
    if accuracy <= majority + 2 * (majority * (1 - majority) / len(given)) ** 0.5:
        return unknown._replace(views=tuple(views))
    return Agreement(1 - found.wrong, True, found.rate, tuple(views))


def _folds(candidates: Sequence[Candidate]) -> list[int]:
    """Candidate -> fold: label by label, in an order that depends on the texts alone."""
    order = sorted(
        range(len(candidates)), key=lambda at: (candidates[at].label, seeded("fold", joined(candidates[at].fields)))
    )
    folds = [0] * len(candidates)
    for rank, place in enumerate(order):
        folds[place] = rank % FOLDS
    return folds


def _view(seeds: Sequence[Seed], candidates: Sequence[Candidate], kinds: int, fold: Fold, folds: list[int]) -> Floats:
    """(candidates, labels): log-probabilities by models that were fitted to the other folds and the seeds."""
    found = np.zeros((len(candidates), kinds))
    own = len(seeds)
    for number in range(FOLDS):
        left = [place for place, fold_of in enumerate(folds) if fold_of == number]
        fitted = [*range(own), *(own + place for place, fold_of in enumerate(folds) if fold_of != number)]
        if left:
            found[left] = np.log(np.maximum(fold(fitted, [own + place for place in left]), LEAST))
    return found


def _words(seeds: Sequence[Seed], candidates: Sequence[Candidate], kinds: int) -> Fold:
    every, labels = texts([*seeds, *candidates]), labels_of(seeds, candidates)

    def fold(fitted: Sequence[int], left: Sequence[int]) -> list[tuple[float, ...]]:
        model = tfidf([every[at] for at in fitted], [labels[at] for at in fitted], kinds, WORDS)
        return model.probabilities([every[at] for at in left])

    return fold


def _encoded(seeds: Sequence[Seed], candidates: Sequence[Candidate], kinds: int, encode: Encode) -> Fold:
    vectors = features(encode, [*(one.fields for one in seeds), *(one.fields for one in candidates)])
    labels = labels_of(seeds, candidates)

    def fold(fitted: Sequence[int], left: Sequence[int]) -> list[tuple[float, ...]]:
        model = standardised(vectors[list(fitted)], [labels[at] for at in fitted], kinds, STRONG)
        return model.probabilities(vectors[list(left)])

    return fold


def labels_of(seeds: Sequence[Seed], candidates: Sequence[Candidate]) -> list[int]:
    """The label of each, seeds first."""
    return [*(one.label for one in seeds), *(one.label for one in candidates)]
