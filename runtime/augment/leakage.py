"""Leakage: synthetic texts that an evaluation split has, nearly or in full; copies of seeds and of each other.

A teacher may know a public test set by heart, and a seed's twin may lie in the test split; a student that learns such a
text would be asked what it was told.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from fewtune.runtime.augment.likeness import edited, near
from fewtune.runtime.probe.data import normalised
from fewtune.runtime.probe.near import shingles

Form = Literal["same", "edited", "near"]
"""same: but for case, punctuation and spacing. edited: the same words in another order, or but for one. near: most
character 5-grams are shared."""


class Match(NamedTuple):
    """Two texts that are alike."""

    other: int
    """Place of the earlier one."""
    text: int
    """Place of the one that is looked at."""
    form: Form
    likeness: float
    """Jaccard index of their character 5-grams."""


def matches(others: Sequence[str], texts: Sequence[str]) -> dict[int, Match]:
    """Text -> the most alike of the others, where one is alike."""
    found: dict[int, Match] = {}
    for match in _all(others, texts):
        if match.other < len(others):
            known = found.get(match.text)
            if known is None or match.likeness > known.likeness:
                found[match.text] = match
    return found


def copies(texts: Sequence[str]) -> dict[int, Match]:
    """Text -> an earlier one that stays and that it is alike; a text that is left out makes no other one a copy."""
    by_text: dict[int, list[Match]] = {}
    for match in _all((), texts):
        by_text.setdefault(match.text, []).append(match)
    found: dict[int, Match] = {}
    for text in sorted(by_text):
        stay = [match for match in by_text[text] if match.other not in found]
        if stay:
            found[text] = max(stay, key=lambda match: (match.likeness, -match.other))
    return found


def leaks(evaluation: Mapping[str, Sequence[str]], texts: Sequence[str]) -> dict[int, tuple[str, Match]]:
    """Text -> the evaluation split that has it, and the row there."""
    rows = [(split, place, text) for split, held in evaluation.items() for place, text in enumerate(held)]
    found = matches([text for _, _, text in rows], texts)
    return {text: (rows[match.other][0], match._replace(other=rows[match.other][1])) for text, match in found.items()}


def _all(others: Sequence[str], texts: Sequence[str]) -> Iterator[Match]:
    """Every pair that is alike, `text` counted from 0 among the texts, `other` among others and texts together."""
    every = [*others, *texts]
    first = len(others)
    known = {(i, j): likeness for i, j, likeness in near(every, first)}
    words = {(int(i), int(j)) for i, j in edited(every, first)}
    for i, j in sorted(known.keys() | words):
        likeness = known[i, j] if (i, j) in known else _likeness(every[i], every[j])
        form: Form = "edited" if (i, j) in words else "near"
        if normalised(every[i]) == normalised(every[j]):
            form = "same"
        yield Match(i, j - first, form, likeness)


def _likeness(one: str, other: str) -> float:
    a, b = shingles([one]), shingles([other])
    return len(a & b) / len(a | b)
