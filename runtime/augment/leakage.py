"""Leakage: synthetic texts that an evaluation split has, nearly or in full; copies of seeds and of each other.

A teacher may know a public test set by heart, and a seed's twin may lie in the test split; a student that learns such a
text would be asked what it was told. All texts are compared in one search: the known ones first, then the new ones.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

from fewtune.runtime.augment.containment import inside
from fewtune.runtime.augment.likeness import edited, is_copy, near
from fewtune.runtime.augment.stretches import stretches
from fewtune.runtime.augment.words import units
from fewtune.runtime.probe.data import normalised
from fewtune.runtime.probe.near import jaccard, shingles

Form = Literal["same", "edited", "near", "inside", "stretch"]
"""same: but for case, punctuation, spacing and what is not shown. edited: the same words in another order, or but for
one. near: most character 5-grams are shared. inside: it stands in a longer text. stretch: half of it does."""


class Match(NamedTuple):
    """Two texts that are alike."""

    source: str
    """Where the other one is: a known source, or "" for a new text that came earlier."""
    other: int
    """Its place there."""
    form: Form
    likeness: float
    """Jaccard index of their character 5-grams."""


@dataclass(frozen=True)
class Likenesses:
    """What new texts are like."""

    by_text: Mapping[int, Sequence[Match]]
    """New text -> all that it is like."""

    def known(self, sources: Sequence[str]) -> dict[int, Match]:
        """New text -> the most alike one of these sources."""
        found = {}
        for text, all_ in self.by_text.items():
            own = [match for match in all_ if match.source in sources]
            if own:
                found[text] = max(own, key=_order)
        return found

    def copies(self, gone: Sequence[int] = ()) -> dict[int, Match]:
        """New text -> an earlier new one that stays; what is left out makes no other text a copy.

        Args:
            gone: new texts that were left out before.
        """
        found: dict[int, Match] = {}
        dropped = set(gone)
        for text in sorted(self.by_text.keys() - dropped):
            own = [match for match in self.by_text[text] if not match.source and match.other not in dropped]
            if own:
                found[text] = max(own, key=_order)
                dropped.add(text)
        return found


@dataclass
class _Search:
    """All texts, equal ones once, and where each one is."""

    groups: dict[str, list[tuple[str, int]]] = field(default_factory=dict)
    """Normalised text -> (source, place) of each, in order."""
    old: int = 0
    """How many of the groups have a known text."""
    found: dict[int, list[Match]] = field(default_factory=dict)

    def add(self, source: str, texts: Sequence[str]) -> None:
        for place, text in enumerate(texts):
            self.groups.setdefault(normalised(text), []).append((source, place))
        if source:
            self.old = len(self.groups)

    def note(self, others: Sequence[tuple[str, int]], member: tuple[str, int], form: Form, likeness: float) -> None:
        """A new text is like a group: its known members count, and the first of the new ones."""
        if member[0]:
            return
        own = self.found.setdefault(member[1], [])
        own.extend(Match(source, place, form, likeness) for source, place in others if source)
        first = next((place for source, place in others if not source), None)
        if first is not None and first < member[1]:
            own.append(Match("", first, form, likeness))


def likenesses(known: Mapping[str, Sequence[str]], texts: Sequence[str], held: Collection[str] = ()) -> Likenesses:
    """Compare new texts with known ones, and with each other.

    Args:
        known: source -> its texts; no source is named "".
        texts: the new ones.
        held: sources that are evaluation splits: of these shorter rows, too, are told from edited ones.
    """
    search = _Search()
    for source, own in known.items():
        search.add(source, own)
    search.add("", texts)
    distinct, members = list(search.groups), list(search.groups.values())
    for group in members:
        for member in group[1:]:
            search.note(group, member, "same", 1.0)
    near_by = {(i, j): likeness for i, j, likeness in near(distinct, search.old)}
    words = {(int(i), int(j)) for i, j in edited(distinct, search.old)}
    grams = cache(lambda place: shingles([distinct[place]]))
    for i, j in sorted(near_by.keys() | words):
        likeness = near_by[i, j] if (i, j) in near_by else jaccard(grams(i), grams(j))
        others = members[i]
        if (i, j) not in near_by and not is_copy(distinct[i], distinct[j]):
            others = [member for member in others if member[0] in held]
        for member in members[j]:
            search.note(others, member, "edited" if (i, j) in words else "near", likeness)
    return Likenesses({text: own for text, own in search.found.items() if own})


def leaks(held: Mapping[str, Sequence[str]], texts: Sequence[str], found: Likenesses) -> dict[int, Match]:
    """New text -> the row of an evaluation split that it is like, or that stands in it.

    Args:
        held: evaluation split -> its texts.
        texts: the new ones.
        found: what they are like; the splits are among the known sources.
    """
    rows = [(source, place, text) for source, own in held.items() for place, text in enumerate(own)]
    every = [text for _, _, text in rows]
    forms: tuple[tuple[Form, dict[int, int]], ...] = (
        ("stretch", stretches(every, texts)), ("inside", inside(every, texts)),
    )  # fmt: skip
    parts = {
        text: Match(*rows[row][:2], form, jaccard(shingles([every[row]]), shingles([texts[text]])))
        for form, places in forms for text, row in places.items()
    }  # fmt: skip
    return {**parts, **found.known(list(held))}


def pieces(source: str, known: Sequence[str], texts: Sequence[str]) -> dict[int, Match]:
    """New text -> the known one that it is a long stretch of, without a word more.

    A text that goes on from a seed's beginning in its own words is a new one, so this is less than what a leak is.

    Args:
        source: of the known texts.
        known: in any form.
        texts: the new ones.
    """
    found = {}
    for text, other in stretches(known, texts).items():
        own, whole = (Counter(units(normalised(each))) for each in (texts[text], known[other]))
        if own <= whole:
            found[text] = Match(source, other, "stretch", jaccard(shingles([known[other]]), shingles([texts[text]])))
    return found


def _order(match: Match) -> tuple[float, int]:
    """The most alike one, then the earliest."""
    return match.likeness, -match.other
