"""Whether a synthetic example's label is right: classifiers that never saw it, fitted to the seeds and the others.

Cross-fitting, several times over, on the frozen sentence encoder (on the words where there is none), with the seeds in
every fold: people labelled them. The predictions are scaled, and a rate of wrong labels is estimated, as `label_noise`
has it. Where there are too few examples to say anything of each other, the seeds alone judge, if they know each other.

The quality of a label is the probability that it is right, were `PRESUMED` of all labels wrong, and then any other one
alike. So it is a likelihood ratio in other words, p / ((1 - p) / (K - 1)) of the label's predicted probability p, and
means the same in all data: with the estimated rate as the prior, a worse teacher would make right labels doubtful. By
Markov's inequality a ratio below 1 / c comes with at most 1 / c of the right labels that the predictions are honest of.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from fewtune.compiler.fingerprint import seed as seeded
from fewtune.compiler.rules.penalty import STRONG
from fewtune.runtime.augment.example import Candidate, Seed, joined, texts
from fewtune.runtime.augment.vectors import Encode, features
from fewtune.runtime.suspects import WORDS
from fewtune.runtime.train.bag_of_words import tfidf
from fewtune.runtime.train.cross_fit import LEAST, Fold
from fewtune.runtime.train.label_noise import Indices, noise, pooled
from fewtune.runtime.train.linear import Floats, standardised

FOLDS, REPEATS = 10, 3
"""Of a cross-fitting by the encoder, and how many are averaged; by words there is one, a fit being slow."""
FEWEST = 20
"""Fewer examples say nothing of each other."""
PRESUMED = 0.01
"""Share of wrong labels that is presumed, unless fewer are estimated. With four labels, one below the threshold 0.85
has a probability below 0.02. Below 0.85 are 0.6 % of the right labels of messages and 2.3 % of AG News, some of
which are wrong (tests/bench/synthetic.md)."""
CAUTION = 0.7
"""Of the scale that is fitted to the seeds, being so few. Taken as it is, 48 seeds doubted 4.5 % of the right labels of
AG News, with this 1.6 %."""
Judge = Literal["cross-fitted", "seeds", ""]
"""Who says it: classifiers on the seeds and the other examples, one on the seeds alone, or nobody."""


class Agreement(NamedTuple):
    """What the classifiers say."""

    quality: Floats
    """(candidates,): that the label is right, 0 to 1; not a number where nothing could be told."""
    judge: Judge = ""
    """Who could tell: it beats the most frequent label by two standard errors; else no label is doubted."""
    rate: float | None = None
    """Estimated share of wrong labels; None: it was not cross-fitted."""
    views: tuple[str, ...] = ()
    """What the texts were seen as: encoder or words."""

    @property
    def informed(self) -> bool:
        """Whether anything could be told."""
        return bool(self.judge)


def agreement(seeds: Sequence[Seed], candidates: Sequence[Candidate], kinds: int, encode: Encode | None) -> Agreement:
    """Judge the labels of the candidates.

    Args:
        seeds: labelled by people.
        candidates: labelled by a teacher.
        kinds: how many labels there are.
        encode: the sentence encoder; None: words alone.
    """
    nothing = Agreement(np.full(len(candidates), np.nan))
    if not candidates or kinds < 2:
        return nothing
    fit, repeats, view = _fit(seeds, candidates, kinds, encode)
    own, labels = len(seeds), np.array(labels_of(seeds, candidates), dtype=np.int64)
    given = labels[own:]
    if len(candidates) >= FEWEST and len(set(given.tolist())) > 1:
        order = [joined(one.fields) for one in candidates]
        found = noise((_crossed(fit, range(own), range(own, len(labels)), labels, order, kinds, repeats),), given)
        if _knows(found.probabilities, given):
            quality = _right(found.probabilities, given, min(found.rate, PRESUMED))
            return Agreement(quality, "cross-fitted", found.rate, (view,))
    return _by_seeds(fit, seeds, labels, kinds, repeats, view) or nothing


def _by_seeds(
    fit: Fold, seeds: Sequence[Seed], labels: Indices, kinds: int, repeats: int, view: str
) -> Agreement | None:
    """What the seeds alone say of the candidates; None where they do not even know each other."""
    own = len(seeds)
    if own < 2 * kinds or len(set(labels[:own].tolist())) < 2:
        return None
    order = [joined(one.fields) for one in seeds]
    found = noise((_crossed(fit, (), range(own), labels, order, kinds, repeats),), labels[:own])
    if not _knows(found.probabilities, labels[:own]):
        return None
    judged = np.log(np.maximum(fit(range(own), range(own, len(labels))), LEAST))
    probabilities = pooled((judged,), (CAUTION * found.scales[0],))
    return Agreement(_right(probabilities, labels[own:], PRESUMED), "seeds", None, (view,))


def _knows(probabilities: Floats, given: Indices) -> bool:
    """Whether predictions beat the most frequent label by two standard errors."""
    accuracy = float((probabilities.argmax(axis=1) == given).mean())
    majority = float(np.bincount(given).max() / len(given))
    return bool(accuracy > majority + 2 * (majority * (1 - majority) / len(given)) ** 0.5)


def _right(probabilities: Floats, given: Indices, rate: float) -> Floats:
    """(candidates,): probability that the label is right, so many being wrong."""
    own = probabilities[np.arange(len(given)), given]
    wrong = rate * (1 - own) / (probabilities.shape[1] - 1)
    found: Floats = (1 - rate) * own / ((1 - rate) * own + wrong)
    return found


def _crossed(
    fit: Fold, always: Sequence[int], judged: Sequence[int], labels: Indices, order: Sequence[str], kinds: int,
    repeats: int,
) -> Floats:  # fmt: skip
    """(judged, labels): mean log-probabilities by models that were fitted to the other folds, and to some always.

    Args:
        fit: fits and predicts.
        always: places that train in every fold.
        judged: places that are predicted.
        labels: of each place.
        order: text of each that is judged: folds depend on texts and labels alone.
        kinds: how many labels there are.
        repeats: how often folds are drawn.
    """
    found = np.zeros((len(judged), kinds))
    for repeat in range(repeats):
        ranked = sorted(range(len(judged)), key=lambda at: (labels[judged[at]], seeded("fold", order[at], repeat)))
        for number in range(min(FOLDS, len(judged))):
            left = ranked[number::FOLDS]
            gone = set(left)
            fitted = [*always, *(place for at, place in enumerate(judged) if at not in gone)]
            found[left] += np.log(np.maximum(fit(fitted, [judged[at] for at in left]), LEAST))
    return found / repeats


def _fit(
    seeds: Sequence[Seed], candidates: Sequence[Candidate], kinds: int, encode: Encode | None
) -> tuple[Fold, int, str]:
    """(what fits and predicts, seeds first; how often folds are drawn; the view's name)."""
    labels, every = labels_of(seeds, candidates), list[Seed | Candidate]([*seeds, *candidates])
    if encode is None:
        words = texts(every)

        def by_words(fitted: Sequence[int], left: Sequence[int]) -> list[tuple[float, ...]]:
            model = tfidf([words[at] for at in fitted], [labels[at] for at in fitted], kinds, WORDS)
            return model.probabilities([words[at] for at in left])

        return by_words, 1, "words"
    vectors = features(encode, [one.fields for one in every])

    def by_encoder(fitted: Sequence[int], left: Sequence[int]) -> list[tuple[float, ...]]:
        model = standardised(vectors[list(fitted)], [labels[at] for at in fitted], kinds, STRONG)
        return model.probabilities(vectors[list(left)])

    return by_encoder, REPEATS, "encoder"


def labels_of(seeds: Sequence[Seed], candidates: Sequence[Candidate]) -> list[int]:
    """The label of each, seeds first."""
    return [*(one.label for one in seeds), *(one.label for one in candidates)]
