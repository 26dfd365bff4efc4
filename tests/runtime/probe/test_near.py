"""Near-duplicates: what shares most of its character 5-grams."""

import random
from itertools import combinations

import pytest

from fewtune.runtime.probe.near import alike, shingles

TEXT = "The committee met on Tuesday to discuss the new budget for the coming year."


@pytest.mark.parametrize(
    ("other", "near"),
    [
        ("the committee met on Tuesday, to discuss the new budget for the coming year!", True),
        (TEXT.replace("on Tuesday", "Tuesday"), True),
        (TEXT + " " + TEXT, True),  # a set of shingles does not count
        (TEXT[: len(TEXT) // 2], False),
        ("A man is playing a guitar.", False),
    ],
)
def test_what_is_near(other: str, near: bool) -> None:
    assert bool(list(alike([shingles([TEXT]), shingles([other])], lambda i, j: True))) is near


@pytest.mark.parametrize(("text", "count"), [("", 1), ("ab", 1), ("abc", 1), ("abcd", 2), ("a-B  c", 3)])
def test_short_texts_have_shingles_too(text: str, count: int) -> None:
    assert len(shingles([text])) == count


def test_fields_do_not_mix() -> None:
    assert not shingles(["one text", "another"]) & shingles(["another", "one text"])


@pytest.mark.parametrize("least", [0.3, 0.5, 0.8, 1.0])
def test_the_pairs_are_those_of_all_comparisons(least: float) -> None:
    source = random.Random(least)
    sets = [frozenset(map(str, source.sample(range(8), source.randint(1, 7)))) for _ in range(80)]
    index = {(i, j): len(sets[i] & sets[j]) / len(sets[i] | sets[j]) for i, j in combinations(range(80), 2)}
    odd = {pair: value for pair, value in index.items() if value >= least and sum(pair) % 2}
    assert odd
    assert {(i, j): value for i, j, value in alike(sets, lambda i, j: bool((i + j) % 2), least)} == odd
