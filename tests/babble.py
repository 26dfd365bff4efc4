"""Texts without meaning and with real words, for searches among very many; and copies of them."""

import csv
import random
from collections import defaultdict
from functools import cache
from itertools import pairwise
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@cache
def _chains() -> tuple[dict[str, list[str]], list[str]]:
    """Word -> the words that follow it in the example data."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(EXAMPLES.glob("*/train.csv")):
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.reader(lines):
                for words in map(str.split, row):
                    for word, following in pairwise(words):
                        found[word].append(following)
    return dict(found), sorted(found)


def babble(source: random.Random, low: int = 30, high: int = 45) -> str:
    """A text of so many words, each one following the one before somewhere in the example data."""
    chains, beginnings = _chains()
    words = [source.choice(beginnings)]
    for _ in range(source.randint(low, high) - 1):
        words.append(source.choice(chains.get(words[-1], beginnings)))
    return " ".join(words)


def copied(text: str, source: random.Random) -> str:
    """A near-duplicate: case and punctuation changed, a word replaced or left out, or two halves exchanged."""
    words, kind = text.split(), source.randrange(4)
    place = source.randrange(3, len(words) - 3)
    if kind == 0:
        return text.upper().replace(",", "") + "!"
    if kind == 1:
        words[place] = source.choice(_chains()[1])
    elif kind == 2:
        del words[place]
    else:
        words = words[place:] + words[:place]
    return " ".join(words)
