"""Preferences as they are scored and kept, and intervals of a score without bounds."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from fewtune.store.judgements import FAR, Item, Judgements
from fewtune.store.predictions import parse_predictions
from fewtune.store.statistics import Runs, compare, score_interval


@pytest.mark.parametrize(
    ("item", "right", "margin"),
    [
        (Item(own=(-1.0, -2.0), base=(-1.0, -2.0)), 1.0, 0.0),
        (Item(own=(-2.0, -1.0), base=(-3.0, -1.0)), 0.0, 1.0),
        (Item(own=(-2.0, -2.0), base=(-1.0, -2.0)), 0.5, -1.0),
        (Item(own=(-1.0,), base=(-1.5,), liked=True), 1.0, 0.5),
        (Item(own=(-1.0,), base=(-1.5,), liked=False), 0.0, -0.5),
        (Item(own=(-1.0,), base=(-1.0,), liked=False), 0.5, 0.0),
        (Item(own=(-1.0, -900.0), base=(-1.0, -1.0)), 1.0, FAR),
    ],
)
def test_an_item(item: Item, right: float, margin: float) -> None:
    assert (item.right, item.margin) == (right, margin)


def test_they_are_read_as_they_were_kept() -> None:
    items = [Item(own=(-1.0, -2.0), base=(-1.5, -1.5)), Item(own=(-2.0, -1.0), base=(-2.0, -1.0))]
    kept = Judgements.scored("test", (0, 4), [("yes", "well, yes"), ("no", "hm")], items)
    assert parse_predictions(kept.artefact("f" * 24).content) == kept
    assert (kept.scores().preference_accuracy, kept.scores().margin) == (0.5, 0.5)
    assert kept.scores().accuracy is None


LABELS = np.zeros(20, np.int64)


def margins(seeds: int, mean: float, spread: float, seed: int = 0) -> Any:
    draw = np.random.default_rng(seed)
    return (
        mean + spread * draw.normal(size=(seeds, 1)) + draw.normal(size=(1, 20)) + 0.3 * draw.normal(size=(seeds, 20))
    )


def test_one_run_has_the_interval_of_student() -> None:
    values = margins(1, 5.0, 0.0)
    found = score_interval("margin", LABELS, values, None)
    low, high = stats.t.interval(0.95, 19, values.mean(), stats.sem(values[0]))
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == (pytest.approx(low, abs=0.02), pytest.approx(high, abs=0.02))


def test_an_arm_that_trains_nothing_gains_nothing() -> None:
    found = score_interval("margin", LABELS, np.zeros((1, 20)), None)
    assert (found.mean, found.low, found.high) == (0.0, pytest.approx(0.0, abs=1e-6), pytest.approx(0.0, abs=1e-6))


def test_an_interval_moves_and_grows_with_the_values() -> None:
    """A score without bounds has no scale of its own."""
    values = margins(3, 0.4, 0.1)
    found = score_interval("margin", LABELS, values, (0, 1, 2))
    other = score_interval("margin", LABELS, 10 * values - 7, (0, 1, 2))
    assert other.low == pytest.approx(10 * found.low - 7, abs=1e-6)
    assert other.high == pytest.approx(10 * found.high - 7, abs=1e-6)


def test_intervals_cover_what_they_claim() -> None:
    hits = 0
    for draw in range(200):
        found = score_interval("margin", LABELS, margins(3, 1.0, 0.3, seed=draw), (0, 1, 2))
        hits += found.low <= 1.0 <= found.high
    assert 0.92 <= hits / 200 <= 1.0


def test_arms_are_compared_on_the_scale_of_the_score() -> None:
    a, b = (Runs(predicted=margins(3, mean, 0.1, seed=1), data_seeds=(0, 1, 2)) for mean in (6.0, 4.0))
    found = compare("margin", LABELS, a, b)
    assert found.difference == pytest.approx(2.0)
    assert (found.verdict, found.basis) == ("better", "seeds_and_items")
    assert found.low == pytest.approx(2.0, abs=1e-6)
    nothing = Runs(predicted=np.zeros((1, 20)), data_seeds=None)
    assert compare("margin", LABELS, a, nothing).verdict == "better"
