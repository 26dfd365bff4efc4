"""Which texts hold a long stretch of a known one: its beginning, its end, most of it with a change here and there.

A word of the known text is covered where it stands in a run of words that the other text has, too, without a gap: `RUN`
words, fewer being what any two texts may share ("I would like to know"). A text holds a stretch where `LEAST` words of
the known one are covered, and half of all. So neither an edited word nor clauses that are exchanged hide it, nor do
words around it. Of 3,000 training rows of AG News 4 hold so much of one of 1,000 test rows: of another state of the
same report, or of the same line of links.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fewtune.runtime.augment.words import SPACELESS, WORD, sixths, units
from fewtune.runtime.probe.data import normalised

RUN, LEAST, SHARE = 6, 8, 0.5
"""Words of a run; words that are covered, and which part of all of a known text's."""
SHARED = 3
"""A run that more of the different known texts have is a frame ("click here to see the full report"), and says nothing
of one of them."""
TOGETHER = 20_000
"""New texts that are looked at together."""
Ids = NDArray[np.int64]
U64 = NDArray[np.uint64]
MIXER = np.uint64(0x9E3779B97F4A7C15)


class _Runs(NamedTuple):
    """Runs of known texts that others have, too."""

    text: Ids
    row: Ids
    begin: Ids
    """In the stream of all known texts."""
    end: Ids


def stretches(known: Sequence[str], texts: Sequence[str]) -> dict[int, int]:
    """Text -> the first known one of which it holds a long stretch.

    Args:
        known: in any form.
        texts: the new ones, in any form.
    """
    ids: dict[str, int] = {}
    parts: dict[tuple[str, ...], int] = {}
    for place, text in enumerate(known):
        part = tuple(units(normalised(text)))
        if sum(sixths(part)) >= LEAST * WORD:
            parts.setdefault(part, place)
    long = list(parts.values())
    rows = _Stream([[ids.setdefault(unit, len(ids) + 1) for unit in part] for part in parts])
    weights = _Stream([sixths(part) for part in parts]).units
    found: dict[int, int] = {}
    for first in range(0, len(texts) if long else 0, TOGETHER):
        several = texts[first : first + TOGETHER]
        new = _Stream([[ids.get(unit, 0) for unit in units(normalised(text))] for text in several])
        for at, row in _covered(rows, weights, [_shared(rows, new, weights, count) for count in _counts(weights)]):
            found.setdefault(first + at, long[row])
    return found


class _Stream:
    """Numbers of texts' units, one text after the other, parted by a 0 each."""

    def __init__(self, texts: Sequence[Sequence[int]]) -> None:
        self.units = np.array([unit for text in texts for unit in (*text, 0)], np.int64)
        self.starts = np.cumsum([0, *(len(text) + 1 for text in texts)])

    def runs(self, count: int) -> tuple[Ids, U64]:
        """(where runs of so many known units begin, the hash of each)."""
        whole = np.ones(max(0, len(self.units) - count + 1), bool)
        key = np.zeros(len(whole), np.uint64)
        for shift in range(count):
            part = self.units[shift : shift + len(whole)]
            whole &= part > 0
            key = (key ^ part.astype(np.uint64)) * MIXER
            key ^= key >> np.uint64(29)
        begins = np.flatnonzero(whole)
        return begins, key[begins]

    def texts(self, begins: Ids) -> Ids:
        """The text that has each."""
        return np.searchsorted(self.starts, begins, side="right") - 1


def _counts(weights: Ids) -> list[int]:
    """Units of a run: of words, and of characters where there are any."""
    return [RUN * WORD // share for share in (WORD, *SPACELESS.values()) if (weights == share).any()]


def _shared(rows: _Stream, new: _Stream, weights: Ids, count: int) -> _Runs:
    """Runs of so many units that are words enough."""
    begins, keys = rows.runs(count)
    total = np.cumsum([0, *weights])
    enough = np.flatnonzero(total[begins + count] - total[begins] >= RUN * WORD)
    order = enough[np.argsort(keys[enough], kind="stable")]
    begins, keys = begins[order], keys[order]
    there, wanted = new.runs(count)
    low, high = (np.searchsorted(keys, wanted, side=side) for side in ("left", "right"))
    times = np.where(high - low <= SHARED, high - low, 0)
    before = np.cumsum(times) - times
    each = np.repeat(low - before, times) + np.arange(times.sum())
    begin = begins[each]
    return _Runs(new.texts(np.repeat(there, times)), rows.texts(begin), begin, begin + count)


def _covered(rows: _Stream, weights: Ids, runs: Sequence[_Runs]) -> Iterator[tuple[int, int]]:
    """(text, row) of each pair whose runs are a long stretch, in order."""
    text, row, begin, end = (np.concatenate(part) for part in zip(*runs, strict=True))
    order = np.lexsort((begin, row, text))
    text, row, begin, end = text[order], row[order], begin[order], end[order]
    if not len(text):
        return
    is_new = (np.diff(text, prepend=-1) != 0) | (np.diff(row, prepend=-1) != 0)
    new, pair = np.flatnonzero(is_new), np.cumsum(is_new) * (len(weights) + 1)
    reached = np.concatenate([[0], np.maximum.accumulate(end + pair)[:-1]]) - pair  # below 0 at a pair's first run
    total = np.cumsum([0, *weights])
    fresh = total[np.maximum(end, reached)] - total[np.maximum(begin, reached)]
    words = np.add.reduceat(fresh, new)
    starts, ends = rows.starts[row[new]], rows.starts[row[new] + 1] - 1
    least = np.maximum(LEAST * WORD, SHARE * (total[ends] - total[starts]))
    for at in np.flatnonzero(words >= least):
        yield int(text[new[at]]), int(row[new[at]])
