"""Likely mislabelled rows of the training data.

Confident learning (arXiv 1911.00068, section 3) looks for labels that cross-fitted predictions speak against; so does
this, with two views of each row: the frozen sentence encoder, and the words. Rows are ranked by the probability of
their own label (there: self-confidence); how many are wrong is a fitted rate instead of a count above thresholds.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fewtune.compiler.facts import DataFacts, DeviceFacts
from fewtune.compiler.rules.penalty import STRONG
from fewtune.runtime.executor import threads_each
from fewtune.runtime.folders import encoder_folder
from fewtune.runtime.job import Corpus, Notify, RowRef
from fewtune.runtime.train.bag_of_words import joined, tfidf
from fewtune.runtime.train.cross_fit import Fold, cross_fitted
from fewtune.runtime.train.label_noise import Indices, Noise, noise
from fewtune.runtime.train.linear import Floats, standardised
from fewtune.runtime.train.pulse import Pulse

RARE = 3
"""A label with fewer texts cannot be checked: what is fitted would hardly know it."""
WORDS = 0.1
"""Penalty of the regression on words; with scikit-learn's 1 its ranking alone found 3.8 of 10 errors instead of 5.2."""
SURE = 0.5
"""Rows with a label that is more probably wrong are marked."""

Encoder = Callable[[Corpus, RowRef], Floats]
"""Rows -> their features (rows, features)."""


@dataclass(frozen=True)
class Suspect:
    """A row with a label that may be wrong."""

    place: int
    """Its index in the training data."""
    label: str
    suggested: str
    """The likeliest of the other labels."""
    wrong: float | None
    """Probability that the label is wrong; None where the check is not informed."""
    confidence: float
    """Probability of the label by the text alone."""
    marked: bool
    """Whether it stands out of what is to be expected from right labels."""
    says: dict[str, str]
    """View -> the label that it finds likeliest."""
    ranks: dict[str, int]
    """View -> the row's place in the ranking by this view alone; 1 is the most suspect."""


@dataclass(frozen=True)
class Checked:
    """All rows that could be checked, the most suspect first."""

    suspects: tuple[Suspect, ...]
    views: tuple[str, ...]
    """encoder and words, or words alone."""
    left_out: int
    """Rows without a text or a label, or with a rare one."""
    rare: tuple[str, ...]
    """Labels with fewer than `RARE` texts."""
    expected: float | None
    """So many labels look wrong, by the fitted rate; None where the check is not informed."""
    accuracy: float
    """Share of the checked rows whose label the check finds likeliest."""
    majority: float
    """Share of the most frequent label."""
    informed: bool
    """Whether the check beats the most frequent label by two standard errors; else nothing is marked."""
    beyond_chance: bool
    """Whether some labels must be wrong, or all may be right; then nothing is marked."""

    @property
    def marked(self) -> int:
        """How many are marked."""
        return sum(one.marked for one in self.suspects)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows that can be checked; places count along them."""

    data: DataFacts
    corpus: Corpus
    rows: tuple[int, ...]
    """Indices in the training data."""
    given: Indices
    """(rows,): the label of each, an index into `names`."""
    names: tuple[str, ...]
    """The labels that they have."""
    rare: tuple[str, ...]
    """Labels that are left out."""

    def cross_fitted(self, fold: Fold) -> Floats:
        """(rows, labels): mean log-probabilities."""
        return cross_fitted(self.data.train, self.rows, len(self.names), fold)


def checkable(data: DataFacts, corpus: Corpus) -> Rows:
    """Rows with a text and a label that is not rare."""
    train = data.train
    empty = {number - 1 for number in train.missing_text}
    rows = [row for row, label in enumerate(train.labels) if label >= 0 and row not in empty]
    texts = Counter(label for label, _ in {(train.labels[row], train.groups[row]) for row in rows})
    kinds = sorted(label for label, count in texts.items() if count >= RARE)
    kept = tuple(row for row in rows if train.labels[row] in kinds)
    given = np.array([kinds.index(train.labels[row]) for row in kept], dtype=np.int64)
    names, rare = (tuple(data.labels[label] for label in part) for part in (kinds, sorted(set(texts) - set(kinds))))
    return Rows(data, corpus, kept, given, names, rare)


def suspects(data: DataFacts, corpus: Corpus, encoder: Encoder | None) -> Checked | None:
    """Rank the rows of the training data; None where fewer than two labels can be checked.

    Args:
        data: facts of the rows.
        corpus: the rows.
        encoder: omitted: words alone.
    """
    rows = checkable(data, corpus)
    if len(rows.names) < 2:
        return None
    views = {"encoder": _by_encoder(rows, encoder)} if encoder else {}
    views["words"] = _by_words(rows)
    return _judged(rows, views)


def _judged(rows: Rows, views: Mapping[str, Floats]) -> Checked:
    found = noise(tuple(views.values()), rows.given)
    count = len(rows.rows)
    accuracy = float((found.probabilities.argmax(axis=1) == rows.given).mean())
    majority = float(np.bincount(rows.given).max() / count)
    informed = accuracy > majority + 2 * (majority * (1 - majority) / count) ** 0.5
    return Checked(
        suspects=_ranking(rows, views, found, informed),
        views=tuple(views),
        left_out=len(rows.data.train) - count,
        rare=rows.rare,
        expected=float(found.wrong.sum()) if informed else None,
        accuracy=accuracy,
        majority=majority,
        informed=informed,
        beyond_chance=found.beyond_chance,
    )


def _ranking(rows: Rows, views: Mapping[str, Floats], found: Noise, informed: bool) -> tuple[Suspect, ...]:
    every = np.arange(len(rows.rows))
    own, others = found.probabilities[every, rows.given], found.probabilities.copy()
    others[every, rows.given] = -1
    suggested = others.argmax(axis=1)
    ranks = {view: _ranks(logs[every, rows.given]) for view, logs in views.items()}
    says = {view: logs.argmax(axis=1) for view, logs in views.items()}
    return tuple(
        Suspect(
            place=rows.rows[at],
            label=rows.names[rows.given[at]],
            suggested=rows.names[suggested[at]],
            wrong=float(found.wrong[at]) if informed else None,
            confidence=float(own[at]),
            marked=bool(informed and found.beyond_chance and found.wrong[at] > SURE),
            says={view: rows.names[said[at]] for view, said in says.items()},
            ranks={view: int(ranked[at]) for view, ranked in ranks.items()},
        )
        for at in np.argsort(own, kind="stable").tolist()
    )


def _ranks(values: Floats) -> Indices:
    """Each value's place in rising order, from 1."""
    places = np.empty(len(values), dtype=np.int64)
    places[np.argsort(values, kind="stable")] = np.arange(1, len(values) + 1)
    return places


def _by_words(rows: Rows) -> Floats:
    texts = [joined(rows.corpus.splits["train"][row]) for row in rows.rows]

    def fold(fitted: Sequence[int], left: Sequence[int]) -> list[tuple[float, ...]]:
        labels = rows.given[list(fitted)].tolist()
        model = tfidf([texts[at] for at in fitted], labels, len(rows.names), WORDS)
        return model.probabilities([texts[at] for at in left])

    return rows.cross_fitted(fold)


def _by_encoder(rows: Rows, encoder: Encoder) -> Floats:
    features = encoder(rows.corpus, RowRef(split="train", rows=rows.rows))

    def fold(fitted: Sequence[int], left: Sequence[int]) -> list[tuple[float, ...]]:
        labels = rows.given[list(fitted)].tolist()
        return standardised(features[list(fitted)], labels, len(rows.names), STRONG).probabilities(features[list(left)])

    return rows.cross_fitted(fold)


def embedded_encoder(device: DeviceFacts, say: Notify) -> Encoder:
    """The sentence encoder of this machine's cache.

    Args:
        device: where it computes.
        say: is told how far it is.
    """

    def read(corpus: Corpus, ref: RowRef) -> Floats:
        from fewtune.runtime.train.sentences import Sentences  # torch takes seconds to import
        from fewtune.runtime.train.threads import Threads

        threads, steady = threads_each(device.cores)
        network = Sentences(encoder_folder(), corpus, device.kind, Threads(threads, steady=steady))
        return np.array(network.vectors(ref, Pulse("errors", say)), dtype=np.float64)

    return read
