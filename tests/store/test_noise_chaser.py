"""Who chases noise through ten looks seldom comes to a false win; real differences are still found.

The sample is a cell of `tests/bench/noise_chaser.md`; `make test-all` counts all of them.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from fewtune.store.statistics import Comparison, Runs, compare_family, compare_picked


def load_bench() -> ModuleType:
    folder = Path(__file__).parents[1] / "bench"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("bench_noise_chaser", folder / "noise_chaser.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


bench = load_bench()
SESSIONS = 400


def test_false_wins_are_rare_and_were_not_without_the_corrections() -> None:
    found = bench.false_wins(bench.alike(100, 3, 0.02), SESSIONS, np.random.default_rng(3))
    assert found["either"] <= 0.05
    assert found["uncorrected"] >= 0.3


def test_a_real_difference_is_found() -> None:
    """Fifteen points at five seeds and two hundred items: at the first look, and mostly at a second one."""
    found = bench.power(0.15, 200, 5, 0.02, SESSIONS, np.random.default_rng(4))
    print("power by look:", {look: round(share, 2) for look, share in found.items()})
    assert found[1] >= 0.95
    assert found[2] >= 0.85
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_what_is_counted_is_what_verdict_and_compare_say() -> None:
    """With a gap, so that some are decided."""
    population = bench.alike(60, 3, 0.03)
    values, _ = bench.draw(population, np.random.default_rng(5), 12)
    values[:, 0] *= np.random.default_rng(6).random(values[:, 0].shape) < 0.8
    values[:, 2] *= np.random.default_rng(7).random(values[:, 2].shape) < 0.4
    drawn = bench.Sessions(values, np.full((12, bench.LOOKS), 3))
    drawn.chosen[:, 0] = 1
    counted = [drawn.verdict_wins(look, corrected=True) for look in (1, 2)]
    said = np.array([[says_better(values[each], look) for each in range(12)] for look in (1, 2)])
    assert np.array_equal(counted, said)
    assert 0 < said.sum() < said.size
    at = bench.look(2)
    for each in range(12):
        best, worst = (int(place[each]) for place in drawn.picked(2)[0])
        p_value, ahead = drawn.tail(np.full(12, best), np.full(12, worst))
        found = picked(values[each], best, worst, at.pair_share)
        assert found.p_value == pytest.approx(min(1.0, p_value[each] / at.pair_share))
        assert (found.verdict == "better") == bool(ahead[each] and p_value[each] <= 0.05 * at.pair_share)


def runs(right: np.ndarray, seeds: tuple[int, ...]) -> Runs:
    return Runs(predicted=1 - right.astype(np.int64), data_seeds=seeds)


def seeds_of(arm: int) -> tuple[int, ...]:
    """Arms of one plan share their seeds; the baseline is of the first."""
    plan = int(bench.plan_of(np.array([arm]))[0])
    return tuple(range(10 * plan, 10 * plan + 3))


def says_better(values: np.ndarray, look: int) -> bool:
    """Whether the chosen arm (the first of the plan's) beats the other one or the baseline."""
    own = 1 + bench.TRIED * (look - 1)
    labels = np.zeros(values.shape[-1], np.int64)
    rivals = [runs(values[arm], seeds_of(arm)) for arm in (bench.BASELINE, own + 1)]
    chosen = runs(values[own], seeds_of(own))
    found = compare_family("accuracy", labels, chosen, rivals, share=bench.look(look).share)
    return any(each.verdict == "better" for each in found)


def picked(values: np.ndarray, a: int, b: int, share: float) -> Comparison:
    labels = np.zeros(values.shape[-1], np.int64)
    sides = (runs(values[arm], seeds_of(arm)) for arm in (a, b))
    return compare_picked("accuracy", labels, *sides, share=share)


def test_a_picked_pair_of_single_seeds_is_never_decided() -> None:
    labels = np.zeros(500, np.int64)
    right, wrong = (Runs(predicted=np.full((1, 500), answer), data_seeds=(1,)) for answer in (0, 1))
    found = compare_picked("accuracy", labels, right, wrong, share=1.0)
    assert (found.difference, found.verdict, found.p_value, found.p_raw) == (1.0, "cannot tell", None, None)


@pytest.mark.full
def test_no_cell_has_more_false_wins_than_one_in_twenty() -> None:
    count = 2000
    slack = 2 * float(np.sqrt(0.05 * 0.95 / count))
    for row in bench.false_table(count, np.random.default_rng(1))[1:]:
        assert row[5] <= 0.05 + slack, row
