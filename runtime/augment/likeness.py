"""Which texts are alike, of very many: the same words but one, or most character 5-grams in common.

Two relations, each exact on the pairs that it gives:

* `edited`: the bags of words are equal (case, punctuation, order of words and clauses aside), or differ by one word
  that was put in, left out or replaced. The hash of a bag is the sum of its words' hashes, so that a bag without one
  word costs one subtraction, and two bags that differ by a replaced word share such a value: all pairs are found. In
  scripts without spaces the bags hold characters, and a word is neighbouring ones, at most as many as a word has.
* `near`: the Jaccard index of character 5-grams reaches a threshold, as `probe.near` has it. Few texts are compared by
  its exact search; of many, MinHash finds candidates (Broder 1997; bands as in Leskovec, Rajaraman and Ullman, Mining
  of Massive Datasets, section 3.4), which are then compared exactly. A pair at the threshold 0.6 is missed once in
  65 times, one at 0.7 once in 4,000.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fewtune.runtime.augment.words import WORD, sixths, units
from fewtune.runtime.probe.data import normalised
from fewtune.runtime.probe.near import SHINGLE, alike, jaccard, shingles

FEW = 500
"""Texts that are compared by the exact search."""
LIKE = 0.6
"""Jaccard index from which a synthetic text is a copy. Lower than what two texts of people are called near-duplicates
from: among 192 messages that were written apart the most alike pair had 0.17, and copies with two words put in 0.62."""
BANDS, ROWS = 30, 4
"""1 - (1 - 0.6 ** ROWS) ** BANDS = 0.985."""
PROMISING = 0.15
"""By so much the estimated likeness of a candidate may stay below the threshold: 3.4 standard errors at 0.6."""
CROWD = 20
"""Texts of one bucket that all its texts are compared with, at most."""
THREADS = 2
LEAST_WORDS = 6
"""Shorter texts are copies only where all words are the same: "cancel my order" is no copy of "track my order"."""
LEAST_HELD = 4
"""Words from which a text is an edited row of an evaluation split: a text too many that is left out costs a text, a
leak the measurement. Of three words one is the whole difference between two texts ("a great movie"), so of these a leak
has all. Of 1,000 training sentences of SICK, whose authors edited words, 15.5 % are leaks of 400 test sentences (5.5 %
are the same), 14.9 % were without sentences of four and five words; of AG News 0.1 %."""
Pairs = NDArray[np.int64]
"""(pairs, 2): i < j."""
U64 = NDArray[np.uint64]


def edited(texts: Sequence[str], first: int = 0) -> Pairs:
    """All pairs (i < j, j >= first) whose bags of words are equal or differ by one word, from `LEAST_HELD` words on.

    Args:
        texts: in any form.
        first: the earliest j; pairs of two earlier texts are not looked for.
    """
    parts = [units(normalised(text)) for text in texts]
    bags = [np.array([_word(word) for word in part], dtype=np.uint64) for part in parts]
    totals = np.array([bag.sum(dtype=np.uint64) for bag in bags], dtype=np.uint64)
    values, places = [totals], [np.arange(len(bags))]
    for place, (part, bag) in enumerate(zip(parts, bags, strict=True)):
        own = sixths(part)
        if sum(own) >= LEAST_HELD * WORD:
            without = [totals[place] - word for word in _single(bag, own)]
            values += without
            places += [np.full(len(one), place) for one in without]
    return _joined(np.concatenate(values), np.concatenate(places).astype(np.int64), first, len(bags))


def is_copy(one: str, other: str) -> bool:
    """Whether two edited texts are long enough, or alike enough, to be copies outside evaluation splits, too."""
    parts = [units(normalised(text)) for text in (one, other)]
    return max(sum(sixths(part)) for part in parts) >= LEAST_WORDS * WORD or Counter(parts[0]) == Counter(parts[1])


def _single(bag: U64, own: Sequence[int]) -> Iterator[U64]:
    """Hashes of each word, or of neighbouring characters that are one at most."""
    yield bag
    least = min(own)
    for more in range(2, WORD // least + 1):
        runs = [at for at in range(len(own) - more + 1) if sum(own[at : at + more]) <= WORD]
        yield np.array([bag[at : at + more].sum(dtype=np.uint64) for at in runs], dtype=np.uint64)


def near(texts: Sequence[str], first: int = 0, least: float = LIKE) -> Iterator[tuple[int, int, float]]:
    """Pairs (i < j, j >= first) with their Jaccard index of character 5-grams, at least so much."""
    if len(texts) <= FEW:
        yield from alike([shingles([text]) for text in texts], lambda i, j: j >= first, least)
        return

    @cache
    def grams(place: int) -> frozenset[str]:
        return shingles([texts[place]])

    for i, j in _candidates(texts, first, least):
        likeness = jaccard(grams(i), grams(j))
        if likeness >= least:
            yield i, j, likeness


def _candidates(texts: Sequence[str], first: int, least: float) -> list[tuple[int, int]]:
    signatures = _signatures(texts)
    found = []
    for band in range(BANDS):
        part = signatures[band * ROWS : (band + 1) * ROWS].astype(np.uint64)
        key = np.zeros(len(texts), np.uint64)
        for row in part:
            key = (key * np.uint64(0x9E3779B97F4A7C15)) ^ (row + np.uint64(0x632BE59BD9B4E019))
        found.append(_joined(key, np.arange(len(texts)), first, len(texts)))
    pairs = _distinct(np.concatenate(found), len(texts))
    kept = [_promising(signatures, part, least) for part in np.array_split(pairs, max(1, len(pairs) // 200_000))]
    return [(int(i), int(j)) for i, j in np.concatenate(kept)] if kept else []


def _promising(signatures: NDArray[np.uint32], pairs: Pairs, least: float) -> Pairs:
    """Pairs whose signatures agree often enough."""
    agree = np.zeros(len(pairs), np.int64)
    for row in signatures:
        agree += row[pairs[:, 0]] == row[pairs[:, 1]]
    return pairs[agree >= (least - PROMISING) * len(signatures)]


def _signatures(texts: Sequence[str]) -> NDArray[np.uint32]:
    """(permutations, texts): the least hash of each text's shingles."""
    grams, starts = _hashed_shingles(texts)
    source = np.random.default_rng(0x5EED)
    factors = source.integers(1, 2**32, BANDS * ROWS, dtype=np.uint32) | np.uint32(1)
    terms = source.integers(0, 2**32, BANDS * ROWS, dtype=np.uint32)
    found = np.empty((BANDS * ROWS, len(texts)), np.uint32)

    def sign(place: int) -> None:
        mixed = (grams ^ terms[place]) * factors[place]
        mixed ^= mixed >> np.uint32(15)
        np.minimum.reduceat(mixed, starts, out=found[place])

    with ThreadPoolExecutor(max_workers=THREADS) as pool:  # numpy lets go of the interpreter here
        list(pool.map(sign, range(BANDS * ROWS)))
    return found


def _hashed_shingles(texts: Sequence[str]) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """The hash of every 5-gram of all texts, one text after the other, and where each text begins."""
    spaced = [f" {normalised(text)} ".ljust(SHINGLE) for text in texts]
    codes = np.frombuffer("".join(spaced).encode("utf-32-le"), np.uint32)
    hashes = np.zeros(len(codes) - SHINGLE + 1, np.uint32)
    for shift in range(SHINGLE):
        hashes = (hashes ^ codes[shift : shift + len(hashes)]) * np.uint32(0x01000193)
        hashes ^= hashes >> np.uint32(13)
    lengths = np.array([len(text) for text in spaced])
    ends = np.cumsum(lengths)
    inside = np.ones(len(codes), bool)
    for short in range(1, SHINGLE):  # grams that reach into the next text
        inside[ends - short] = False
    starts = np.concatenate([[0], np.cumsum(lengths - SHINGLE + 1)[:-1]])
    return hashes[inside[: len(hashes)]], starts


def _joined(values: U64, owners: NDArray[np.int64], first: int, count: int) -> Pairs:
    """Pairs of owners that share a value, each once.

    A value that very many share pairs each of them with the first `CROWD` only: copies of copies are still found.
    """
    order = np.lexsort((owners, values))
    values, owners = values[order], owners[order]
    new = np.concatenate([[True], values[1:] != values[:-1]]) if len(values) else np.zeros(0, bool)
    group = np.cumsum(new) - 1
    begin = np.flatnonzero(new)[group] if len(values) else np.zeros(0, np.int64)
    found = []
    for step in range(1, CROWD + 1):
        other = begin + step - 1  # the step-th member of the own group
        ahead = np.flatnonzero((other < np.arange(len(values))) & (owners >= first))
        if not len(ahead):
            break
        pairs = np.stack([owners[other[ahead]], owners[ahead]], axis=1)
        found.append(pairs[pairs[:, 0] != pairs[:, 1]])
    return _distinct(np.concatenate(found), count) if found else np.zeros((0, 2), np.int64)


def _distinct(pairs: Pairs, count: int) -> Pairs:
    """Each pair once, in order."""
    keys = np.unique(pairs[:, 0] * count + pairs[:, 1])
    return np.stack([keys // count, keys % count], axis=1)


@cache
def _word(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
