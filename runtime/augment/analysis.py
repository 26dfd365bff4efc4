"""The first stage: what the seeds are like, and what they lack. It shapes the questions, and stands in the report."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from fewtune.runtime.augment.example import Seed, texts
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
    once: float
    """Share of them that occur once: near 1, the seeds cover little of what the words of such texts are."""
    openers: tuple[str, ...]
    """First words that many seeds share."""
    nearest: float | None
    """Mean cosine of a seed with its nearest other: near 1, the seeds say one thing over and over."""
    under: tuple[str, ...]
    """What is under-represented, in words."""

    @property
    def usual_words(self) -> int:
        """The median length, of the label with the longest texts."""
        return max(one.words[1] for one in self.labels)

    def lines(self) -> list[str]:
        """The report."""
        found = [f"{self.seeds} seeds, {self.vocabulary} words, {self.once:.0%} of them once"]
        for one in self.labels:
            low, middle, high = one.words
            found.append(f"{one.label}: {one.seeds} seeds of {low} to {high} words (median {middle})")
        found.extend(f"{name}: {share:.0%}" for name, share in self.formats.items() if share)
        if self.nearest is not None:
            found.append(f"likeness to the nearest other seed: {self.nearest:.2f}")
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
    first = Counter(text.split()[0] for text in every if text.split())
    return Analysis(
        seeds=len(seeds),
        labels=tuple(one for one in labels if one.seeds),
        formats=formats,
        vocabulary=len(words),
        once=sum(count == 1 for count in words.values()) / max(1, len(words)),
        openers=tuple(word for word, count in first.most_common(3) if count >= max(2, OFTEN * len(seeds))),
        nearest=_nearest(vectors),
        under=_under(labels, formats, len(seeds)),
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


def _under(labels: Sequence[LabelAnalysis], formats: dict[str, float], seeds: int) -> tuple[str, ...]:
    even = seeds / len(labels)
    found = [f"the label {one.label} ({one.seeds} seeds)" for one in labels if one.seeds < UNDER * even]
    found += [f"texts with this form: {name}" for name, share in formats.items() if 0 < share < THIN]
    return tuple(found)
