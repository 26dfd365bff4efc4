"""No setting is silent: each field of the language has a pair of specs that differ in it alone, and in what is made."""

from collections import Counter
from pathlib import Path

import pytest
from settings import KEYS, PAIRS, SHOWN, Pair, leaves, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pairs name."""
    return write_world(tmp_path_factory.mktemp("world"))


def test_every_field_has_one_pair() -> None:
    """The fields come from the models: a new one without a pair fails here."""
    assert Counter(pair.field for pair in PAIRS) == Counter(set(leaves()))
    assert all(pair.given.keys() <= KEYS and pair.shows in SHOWN for pair in PAIRS)


def test_the_walk_finds_what_is_nested() -> None:
    found = set(leaves())
    assert len(found) > 150
    assert {"data.ood.*.rows", "data.label_budget", "data.label_budget.per_class", "methods.arms.*.rank",
            "augmentation.teacher.model", "evaluation.confidence"} <= found  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.field)
def test_no_setting_is_silent(pair: Pair, world: Path) -> None:
    """The first side has a plan; the other one has none, or another one, in more than its copy of the spec."""
    assert "refusal" not in pair.outcome("a", world)
    assert next((name for name in SHOWN if name in pair.differs(world)), None) == pair.shows
