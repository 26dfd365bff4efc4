"""Easy data augmentation without a teacher: words replaced, put in, swapped, left out (arXiv 1901.11196).

The published method takes synonyms from WordNet. This one takes neighbours: the words of the given texts whose vectors
by the sentence encoder are nearest. They are words that such texts really use, but not always of the same meaning; a
neighbour may be an opposite. Without an encoder, or where a text has no word with neighbours, only swapping and leaving
out are left.
"""

import random
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from fewtune.compiler.fingerprint import seed as seeded
from fewtune.runtime.augment.example import Candidate, Origin, Seed, joined
from fewtune.runtime.augment.vectors import Encode
from fewtune.runtime.probe.data import normalised

Neighbours = Mapping[str, tuple[str, ...]]
LEAST_LETTERS = 4
"""Shorter words carry grammar, not meaning."""
LIKE, MOST = 0.5, 5
"""The least cosine of neighbours, and how many a word has at most."""
MOST_WORDS = 4000
"""Words that are compared, the most frequent ones."""
TRIES = 5
"""Of one copy, where what comes out was there already."""


def neighbours(texts: Sequence[str], encode: Encode) -> Neighbours:
    """Word -> the nearest of the other words of these texts."""
    counts = Counter(word for text in texts for word in normalised(text).split() if len(word) >= LEAST_LETTERS)
    words = [word for word, _ in sorted(counts.items(), key=lambda one: (-one[1], one[0]))][:MOST_WORDS]
    if len(words) < 2:
        return {}
    vectors = encode(words)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1)
    found = {}
    for place, word in enumerate(words):
        best = [int(at) for at in np.argsort(-likeness[place], kind="stable")[:MOST] if likeness[place, at] >= LIKE]
        if best:
            found[word] = tuple(words[at] for at in best)
    return found


def eda(seeds: Sequence[Seed], copies: int, alpha: float, near: Neighbours, seed: int) -> list[Candidate]:
    """So many changed copies of each seed, the four operations in turn, none twice.

    Args:
        seeds: the texts and labels.
        copies: of each seed.
        alpha: share of a text's words that change; one at least.
        near: word -> words that may stand for it.
        seed: of all that is drawn.
    """
    found = []
    for place, example in enumerate(seeds):
        source = random.Random(seeded("eda", seed, joined(example.fields), example.label))
        seen = {joined(example.fields)}
        for number in range(copies):
            made = _copy(example, place, number, alpha, near, source, seen)
            if made is not None:
                seen.add(joined(made.fields))
                found.append(made)
    return found


def _copy(
    example: Seed, place: int, number: int, alpha: float, near: Neighbours, source: random.Random, seen: set[str]
) -> Candidate | None:
    """One changed copy; None where the text is too short to be changed."""
    operations: tuple[Origin, ...] = ("synonym", "insert", "swap", "delete") if near else ("swap", "delete")
    for attempt in range(TRIES):
        operation = operations[(number + attempt) % len(operations)]
        field = source.choice(sorted(example.fields))
        words = example.fields[field].split()
        changed = _changed(words, operation, max(1, round(alpha * len(words))), near, source)
        fields = {**example.fields, field: " ".join(changed)}
        if changed and joined(fields) not in seen:
            return Candidate(fields=fields, label=example.label, origin=operation, place=place)
    return None


def _changed(words: Sequence[str], operation: Origin, count: int, near: Neighbours, source: random.Random) -> list[str]:
    found = list(words)
    known = [at for at, word in enumerate(found) if normalised(word) in near]
    if operation == "synonym":
        for at in source.sample(known, min(count, len(known))):
            found[at] = _like(found[at], source.choice(near[normalised(found[at])]))
    elif operation == "insert":
        for at in source.sample(known, min(count, len(known))):
            found.insert(source.randrange(len(found) + 1), source.choice(near[normalised(words[at])]))
    elif operation == "swap":
        for _ in range(count if len(found) > 1 else 0):
            a, b = source.sample(range(len(found)), 2)
            found[a], found[b] = found[b], found[a]
    else:
        gone = set(source.sample(range(len(found)), min(count, max(0, len(found) - 1))))
        found = [word for at, word in enumerate(found) if at not in gone]
    return found


def _like(word: str, other: str) -> str:
    """The other word with this one's first letter's case and last punctuation."""
    bare = word.rstrip(".,;:!?")
    return (other.capitalize() if word[:1].isupper() else other) + word[len(bare) :]
