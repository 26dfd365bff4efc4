"""Which texts have a known one inside them: all its words in their order, with few others between, among more words.

A known text is looked for by two pairs of neighbouring words, in each half the one that is rarest among the new texts:
a word that was put in between parts one of them only. Where a pair stands, the words around it are compared.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fewtune.runtime.probe.data import normalised

LEAST_WORDS = 6
"""Shorter texts are not looked for: "please cancel my order" may stand in any message. Of 3,000 news reports one holds
a test row of so many words, and that is another version of it."""
ROOM = 8
"""For so many words of a text one other may stand between them."""
Ids = NDArray[np.int64]


def inside(known: Sequence[str], texts: Sequence[str]) -> dict[int, int]:
    """Text -> the first known one that stands in it, among more words.

    Args:
        known: in any form.
        texts: the new ones, in any form.
    """
    ids: dict[str, int] = {}
    parts = [
        np.array([ids.setdefault(word, len(ids)) for word in normalised(text).split()], np.int64) for text in known
    ]
    long = [place for place, words in enumerate(parts) if len(words) >= LEAST_WORDS]
    if not long:
        return {}
    new = [np.array([ids.get(word, -1) for word in normalised(text).split()], np.int64) for text in texts]
    stream = _Stream(new, len(ids))
    found: dict[int, int] = {}
    for place in long:
        for text, start in stream.beginnings(parts[place]):
            if text not in found and _stands(parts[place], stream.texts[text], start):
                found[text] = place
    return found


class _Stream:
    """All new texts, one after the other, and their pairs of neighbouring words in order."""

    def __init__(self, texts: Sequence[Ids], words: int) -> None:
        self.texts, self._words = texts, words
        self._starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
        end = np.array([-1], np.int64)
        stream = np.concatenate([end, *(part for text in texts for part in (text, end))])[1:]
        pairs = np.where((stream[:-1] >= 0) & (stream[1:] >= 0), stream[:-1] * words + stream[1:], -1)
        self._order = np.argsort(pairs, kind="stable")
        self._pairs = pairs[self._order]

    def beginnings(self, words: Ids) -> Iterator[tuple[int, int]]:
        """(text, where the known words would begin in it), by the rarest pair of each half."""
        pairs = words[:-1] * self._words + words[1:]
        low, high = (np.searchsorted(self._pairs, pairs, side=side) for side in ("left", "right"))
        half = len(pairs) // 2
        for offset in (int((high - low)[:half].argmin()), half + int((high - low)[half:].argmin())):
            for at in self._order[low[offset] : high[offset]].tolist():
                text = int(np.searchsorted(self._starts, at, side="right")) - 1
                yield text, at - int(self._starts[text]) - offset


def _stands(words: Ids, text: Ids, start: int) -> bool:
    """Whether all words come in their order, from about there."""
    room = len(words) // ROOM
    return len(text) > len(words) and any(
        _follow(words.tolist(), text[first : first + len(words) + room].tolist())
        for first in range(max(0, start - room), start + room + 1)
    )


def _follow(words: Sequence[int], window: Sequence[int]) -> bool:
    """Whether all words are in the window in their order, the first one at its beginning."""
    rest = iter(window)
    return window[:1] == words[:1] and all(word in rest for word in words)
