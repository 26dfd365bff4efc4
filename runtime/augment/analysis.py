"""The first stage: what the seeds are like, and what they lack. It shapes the questions, and stands in the report."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from fewtune.runtime.augment.example import Seed, texts
from fewtune.runtime.augment.teacher import guessed_tokens
from fewtune.runtime.augment.vectors import Encode
from fewtune.runtime.probe.data import normalised
from fewtune.runtime.train.linear import Floats
from fewtune.specs.frozen import Frozen

FORMATS: dict[str, Callable[[str], bool]] = {
    "question": lambda text: text.rstrip().endswith("?"),
    "exclamation": lambda text: "!" in text,
    "number": lambda text: any(sign.isdigit() for sign in text),
    "several sentences": lambda text: sum(text.count(end) for end in (". ", "! ", "? ")) > 0,
    "small letters first": lambda text: text[:1].islower(),
}
"""Form of a text -> how it is recognised."""
OFTEN = 0.3
"""A beginning that so many seeds share is named in the questions, to be avoided."""
UNDER = 0.5
"""A label with fewer seeds than this share of an even division is under-represented."""
THIN = 0.1
"""A form that fewer seeds have, but some, is thin."""
BANDS = ("short", "middling", "long")
"""Thirds of the way from the shortest seed to the longest, in words."""
FEW = 4
"""Of a label with fewer seeds no region is thinner than another."""


class LabelAnalysis(Frozen):
    """The seeds of one label."""

    label: str
    seeds: int
    words: tuple[int, int, int]
    """The fewest, the median and the most words of a text."""
    distinct: float
    """Distinct words over words."""
    coherence: float | None
    """Mean cosine of two different seeds; None without an encoder, or with one seed."""


class Analysis(Frozen):
    """All seeds."""

    seeds: int
    labels: tuple[LabelAnalysis, ...]
    formats: dict[str, float]
    """Form -> share of the seeds."""
    vocabulary: int
    """Distinct words."""
    lengths: dict[str, float]
    """Band of lengths -> share of the seeds."""
    tokens: int
    """Of a usual text, of the label with the longest ones; rather too many."""
    thin: tuple[int, ...]
    """Seeds of thinly covered meanings: the quarter of each label's that is least like the others. Empty without an
    encoder."""
    once: float
    """Share of them that occur once: near 1, the seeds cover little of what the words of such texts are."""
    openers: tuple[str, ...]
    """First words that many seeds share."""
    nearest: float | None
    """Mean cosine of a seed with its nearest other: near 1, the seeds say one thing over and over."""
    under: tuple[str, ...]
    """What is under-represented, in words."""

    def lines(self) -> list[str]:
        """The report."""
        found = [f"{self.seeds} seeds, {self.vocabulary} words, {self.once:.0%} of them once"]
        for one in self.labels:
            low, middle, high = one.words
            found.append(f"{one.label}: {one.seeds} seeds of {low} to {high} words (median {middle})")
        found.extend(f"{name}: {share:.0%}" for name, share in self.formats.items() if share)
        if self.nearest is not None:
            found.append(f"likeness to the nearest other seed: {self.nearest:.2f}")
        if self.thin:
            found.append(f"{len(self.thin)} seeds stand apart from the others of their label")
        return [*found, *(f"under-represented: {what}" for what in self.under)]


def analyse(seeds: Sequence[Seed], names: Sequence[str], encode: Encode | None = None) -> Analysis:
    """Look at the seeds.

    Args:
        seeds: one at least.
        names: of the labels.
        encode: the sentence encoder; None: nothing is said of meanings.
    """
    every = texts(seeds)
    words = Counter(word for text in every for word in normalised(text).split())
    vectors = encode(every) if encode is not None else None
    labels = tuple(_label(name, place, seeds, vectors) for place, name in enumerate(names))
    formats = {name: float(np.mean([test(text) for text in every])) for name, test in FORMATS.items()}
    lengths = _lengths([len(text.split()) for text in every])
    first = Counter(text.split()[0] for text in every if text.split())
    return Analysis(
        seeds=len(seeds),
        labels=tuple(one for one in labels if one.seeds),
        formats=formats,
        lengths=lengths,
        tokens=max(_usual_tokens(own) for place in range(len(names)) if (own := _own(seeds, place))),
        thin=_thin(seeds, len(names), vectors),
        vocabulary=len(words),
        once=sum(count == 1 for count in words.values()) / max(1, len(words)),
        openers=tuple(word for word, count in first.most_common(3) if count >= max(2, OFTEN * len(seeds))),
        nearest=_nearest(vectors),
        under=_under(labels, formats, lengths, len(seeds)),
    )


def _label(name: str, place: int, seeds: Sequence[Seed], vectors: Floats | None) -> LabelAnalysis:
    own = [at for at, seed in enumerate(seeds) if seed.label == place]
    found = texts([seeds[at] for at in own])
    counts = sorted(len(text.split()) for text in found) or [0]
    words = [word for text in found for word in normalised(text).split()]
    coherence = None
    if vectors is not None and len(own) > 1:
        products = vectors[own] @ vectors[own].T
        coherence = round(float((products.sum() - len(own)) / (len(own) * (len(own) - 1))), 4)
    return LabelAnalysis(
        label=name, seeds=len(own), words=(counts[0], counts[len(counts) // 2], counts[-1]),
        distinct=len(set(words)) / max(1, len(words)), coherence=coherence,
    )  # fmt: skip


def _nearest(vectors: Floats | None) -> float | None:
    if vectors is None or len(vectors) < 2:
        return None
    products = vectors @ vectors.T
    np.fill_diagonal(products, -1)
    return round(float(products.max(axis=1).mean()), 4)


def _own(seeds: Sequence[Seed], label: int) -> list[str]:
    return texts([seed for seed in seeds if seed.label == label])


def _usual_tokens(every: Sequence[str]) -> int:
    return sorted(map(guessed_tokens, every))[len(every) // 2]


def _lengths(words: Sequence[int]) -> dict[str, float]:
    """Band -> share of the texts; all are middling where all are alike."""
    low, high = min(words), max(words)
    bands = [1 if low == high else min(2, 3 * (count - low) // (high - low)) for count in words]
    return {name: bands.count(place) / len(bands) for place, name in enumerate(BANDS)}


def _thin(seeds: Sequence[Seed], kinds: int, vectors: Floats | None) -> tuple[int, ...]:
    """Places of the seeds that are least like the others of their label."""
    found: list[int] = []
    for label in range(kinds if vectors is not None else 0):
        assert vectors is not None
        own = [at for at, seed in enumerate(seeds) if seed.label == label]
        if len(own) >= FEW:
            products = np.round(vectors[own] @ vectors[own].T, 6)
            likeness = (products.sum(axis=1) - 1) / (len(own) - 1)
            found += [own[at] for at in np.argsort(likeness, kind="stable")[: len(own) // FEW]]
    return tuple(sorted(found))


def _under(
    labels: Sequence[LabelAnalysis], formats: dict[str, float], lengths: dict[str, float], seeds: int
) -> tuple[str, ...]:
    even = seeds / len(labels)
    found = [f"the label {one.label} ({one.seeds} seeds)" for one in labels if one.seeds < UNDER * even]
    found += [f"texts with this form: {name}" for name, share in formats.items() if 0 < share < THIN]
    found += [f"{name} texts ({share:.0%} of the seeds)" for name, share in lengths.items() if share < THIN]
    return tuple(found)
