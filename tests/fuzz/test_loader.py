"""No text brings the reader of specs down, or holds it up: bytes, tokens and structure are damaged at random."""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from random import Random

import pytest
from hostile import grown, mutants
from mutations.cases import case
from mutations.seeds import SEEDS
from mutations.writing import text

from fewtune.specs.diagnostic import SpecError
from fewtune.specs.load import load
from fewtune.specs.parse import Format

SMALL, LIMIT_SMALL, LIMIT = 16 * 1024, 0.100, 0.500
"""Bytes up to which a spec is small; CPU seconds for a small one, and for any."""
TREES = list(SEEDS.values())
BASES = [text(tree, form) for tree in TREES for form in ("toml", "json")]


def damaged(seed: int, count: int) -> Iterator[tuple[bytes, Format | None]]:
    """Specs of three kinds in turn: changed bytes and tokens, faults of the corpus, and overgrown trees."""
    chance = Random(f"loader {seed}")
    changed = mutants(chance, count, BASES)
    for number in range(count):
        form: Format = chance.choice(["toml", "json"])
        if number % 3 == 0:
            yield next(changed), chance.choice([None, form])
        elif number % 3 == 1:
            found = case(seed + number)
            yield found.text.encode(), "toml" if found.form == "toml" else "json"
        else:
            tree = grown(
                chance, chance.choice(TREES), chance.choice([500, 3_000, 12_000, 50_000] if number % 27 == 2 else [900])
            )
            yield json.dumps(tree, indent=chance.choice([None, 1])).encode(), "json"


def seconds(content: bytes, form: Format | None) -> float:
    """CPU time of one reading."""
    start = time.process_time()
    with suppress(SpecError):
        load(content, format=form)
    return time.process_time() - start


@pytest.mark.parametrize("count", [500, pytest.param(100_000, marks=pytest.mark.full)])
def test_no_text_brings_the_reader_down(count: int) -> None:
    slow = []
    for content, form in damaged(0 if count < 1000 else 1, count):
        limit = LIMIT_SMALL if len(content) <= SMALL else LIMIT
        took = seconds(content, form)
        if took > limit:  # a collection of garbage, or another process's cache: the best of three is its own time
            took = min(took, *(seconds(content, form) for _ in range(2)))
        if took > limit:
            slow.append((round(took, 3), len(content), content[:120]))
    assert not slow
