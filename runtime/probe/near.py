"""Near-duplicates: pairs of texts that share most of their character 5-grams.

The likeness of two texts is the Jaccard index of their sets of shingles (Broder, On the resemblance and containment of
documents, 1997). Characters, because texts of one sentence have few words. The pairs are exact, no MinHash: rare
shingles first, and two sets that are alike share one among their first few (prefix filtering: Bayardo, Ma and Srikant,
Scaling up all pairs similarity search, WWW 2007).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from fewtune.runtime.probe.data import normalised

SHINGLE = 5
"""Characters."""
SLACK = 1e-9
"""What a product of a share and a count may be too high by."""
ALIKE = 0.8
"""Jaccard index from which two texts are near-duplicates; the usual value (arXiv 2107.06499, section 4.2)."""


def shingles(fields: Sequence[str]) -> frozenset[str]:
    """The 5-grams of each field without case and punctuation; those of different fields are different."""
    found = set[str]()
    for place, field in enumerate(fields):
        text = f" {normalised(field)} "
        found.update(f"{place}{text[at : at + SHINGLE]}" for at in range(max(1, len(text) - SHINGLE + 1)))
    return frozenset(found)


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """What two sets share of all that they have; one of them is not empty."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def alike(
    sets: Sequence[frozenset[str]], wanted: Callable[[int, int], bool], least: float = ALIKE
) -> Iterator[tuple[int, int, float]]:
    """Each pair (i, j, Jaccard index) with i < j that is wanted and at least so much alike.

    Args:
        sets: the shingles of each text, none empty.
        wanted: whether a pair (i, j), i < j, is asked for.
        least: the least Jaccard index, above 0.
    """
    frequency = Counter(shingle for each in sets for shingle in each)
    rank = {shingle: place for place, (shingle, _) in enumerate(sorted(frequency.items(), key=lambda kind: kind[::-1]))}
    index: dict[int, list[int]] = defaultdict(list)
    for j, own in enumerate(sets):
        prefix = sorted(rank[shingle] for shingle in own)[: len(own) - math.ceil((least - SLACK) * len(own)) + 1]
        for i in sorted({other for shingle in prefix for other in index[shingle]}):
            if wanted(i, j) and _near_in_size(own, sets[i], least):
                likeness = jaccard(own, sets[i])
                if likeness >= least:
                    yield i, j, likeness
        for shingle in prefix:
            index[shingle].append(j)


def _near_in_size(one: frozenset[str], other: frozenset[str], least: float) -> bool:
    """Whether the smaller set could be so large a share of the two."""
    return min(len(one), len(other)) >= (least - SLACK) * max(len(one), len(other))
