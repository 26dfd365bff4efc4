"""What a plan can tell, against the verdicts of simulated runs and against scipy."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from situations import compiled

from fewtune.compiler.detectable import POWER, RISK, chance, detectable, scatter, smallest, student
from fewtune.store.statistics import contrast_of, contrast_tail


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 19, 49])
def test_quantiles_are_those_of_scipy(freedom: int) -> None:
    assert student(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=2e-3)


def judged(difference: float, seeds: int, items: int, deviation: float, draws: int) -> float:
    """The share of simulated runs that end in the right verdict, with the parts of the variance as assumed."""
    rng = np.random.default_rng(seeds * items)
    each = np.sqrt(0.125 / 2)  # of each arm: half of a quarter lasts
    by_seed = rng.normal(0, deviation, (2, draws, seeds, 1)) / np.sqrt(2)  # the other half is shared, and cancels
    by_item = rng.normal(0, each, (2, draws, 1, items))
    by_both = rng.normal(0, each, (2, draws, seeds, items))
    a, b = 0.6 + by_seed + by_item + by_both
    contrast = contrast_of(a + difference / 2, b - difference / 2, paired=True)
    found = contrast_tail(contrast, contrast.difference.mean)
    return float(((found <= RISK) & (contrast.difference.mean > 0)).mean())


@pytest.mark.parametrize(
    ("seeds", "items", "deviation"), [(3, 200, 0.049), (5, 400, 0.02), (10, 100, 0.05), (2, 500, 0.01), (20, 60, 0.08)]
)
def test_runs_end_in_a_verdict_as_often_as_said(seeds: int, items: int, deviation: float) -> None:
    difference = smallest("accuracy", seeds, items, deviation)
    assert difference is not None
    assert judged(difference, seeds, items, deviation, 1000) == pytest.approx(POWER, abs=0.1)


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [(32, 4, 0.049), (256, 4, 0.0129), (4, 4, 0.08), (10_000, 2, 0.01), (64, 0, 0.013)],
)
def test_scores_scatter_less_with_more_labels(labels: int, classes: int, expected: float) -> None:
    assert scatter(labels, classes) == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("metric", ["accuracy", "mcc", "rouge_l"])
def test_more_seeds_and_more_items_tell_more(metric: Any) -> None:
    told = [smallest(metric, *sizes, 0.03) or 9.0 for sizes in ((2, 100), (3, 100), (5, 100), (5, 400))]
    assert told == sorted(told, reverse=True)
    assert smallest(metric, 1, 100, 0.03) is None


@pytest.mark.parametrize(("wanted", "seeds", "items"), [(0.08, True, True), (0.03, False, True)])
def test_what_a_difference_takes_is_the_least_that_tells_it(wanted: float, seeds: bool, items: bool) -> None:
    """Where the test items are too few, no number of seeds helps."""
    plan = compiled().plan
    told = detectable(plan, wanted)
    (need,) = told.needs
    assert (need.seeds is not None, need.items is not None) == (seeds, items)
    deviation = scatter(plan.levels[-1].train, len(plan.labels))

    def tells(seeds: int, items: int) -> bool:
        return chance(wanted, plan.metric, seeds, items, deviation) >= POWER

    if need.seeds is not None:
        assert [tells(count, told.items) for count in (need.seeds - 1, need.seeds)] == [False, True]
    if need.items is not None:
        assert [tells(told.seeds, count) for count in (need.items - 1, need.items)] == [False, True]


def test_where_neither_alone_would_do_both_are_given() -> None:
    plan = compiled().plan
    told = detectable(plan, 0.03)
    deviation = scatter(plan.levels[-1].train, len(plan.labels))
    (need,) = detectable(plan.model_copy(update={"data_seeds": 2}), 0.02).needs
    assert (need.seeds, need.items) == (None, None)
    assert need.together is not None
    assert need.together.seeds > 2
    assert need.together.items > told.items
    assert chance(0.02, plan.metric, need.together.seeds, need.together.items, deviation) >= POWER
    (beyond,) = detectable(plan, 1e-4).needs
    assert (beyond.seeds, beyond.items, beyond.together) == (None, None, None)


def test_what_the_plan_tells_already_takes_nothing() -> None:
    plan = compiled().plan
    difference = detectable(plan).difference
    assert difference is not None
    (need,) = detectable(plan, difference).needs
    assert (need.seeds, need.items) == (plan.data_seeds, detectable(plan).items)


def test_the_level_of_the_spec_is_that_of_its_plan() -> None:
    strict, usual, loose = (
        detectable(compiled({"evaluation": {"confidence": level}}).plan).difference or 9.0
        for level in (0.99, 0.95, 0.8)
    )
    assert strict > usual > loose
