"""Intervals and verdicts: values by hand, oracles of scipy, properties, and a sample of the simulation."""

import importlib.util
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import pytest
from scipy import integrate, stats

from fewtune.specs.evaluation import Metric
from fewtune.store import statistics
from fewtune.store.metrics import BOUNDS, score
from fewtune.store.statistics import (
    Comparison,
    Runs,
    Spread,
    compare,
    compare_family,
    contrast_bounds,
    contrast_of,
    contrast_tail,
    holm,
    score_bounds,
    score_interval,
    score_tail,
    spread_of,
    tail_probability,
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Scores = Sequence[float] | Floats
METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1", "mcc")
ENDLESS = 20_000  # items, all alike: then only seeds vary


def load_bench() -> ModuleType:
    path = Path(__file__).parents[1] / "bench" / "intervals.py"
    spec = importlib.util.spec_from_file_location("bench_intervals", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bench = load_bench()


def answers(rng: np.random.Generator, labels: Ints, accuracies: Scores) -> Ints:
    """One run for each accuracy; a wrong answer is the next class, sometimes none."""
    share = rng.random((len(accuracies), labels.size))
    wrong = np.where(rng.random(share.shape) < 0.1, -1, (labels + 1) % 3)
    return np.where(share < np.asarray(accuracies)[:, None], labels, wrong)


def experiment(seed: int, *arms: Scores, items: int = 80) -> tuple[Ints, list[Runs]]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, items)
    return labels, [Runs(predicted=answers(rng, labels, arm), data_seeds=tuple(range(len(arm)))) for arm in arms]


def untrained(labels: Ints, accuracy: float, seed: int = 0) -> Runs:
    return Runs(predicted=answers(np.random.default_rng(seed), labels, [accuracy]), data_seeds=None)


def constant(scores: Scores) -> Floats:
    """Seeds whose every item has the same value, (seeds, items)."""
    return np.repeat(np.asarray(scores, dtype=np.float64)[:, None], ENDLESS, axis=1)


def unit_spread(by_seed: float, by_item: float, by_both: float, freedom: float) -> Spread:
    parts = {"by_seed": by_seed, "by_item": by_item, "by_both": by_both, "freedom": freedom, "mean": 0.0}
    return Spread(**{name: np.asarray(part) for name, part in parts.items()}, seeds=3, items=100)


class TestSpread:
    def test_by_hand(self) -> None:
        values = np.array([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]])
        spread = spread_of(values)
        # Rows 2/3 and 1, columns 1, 1/2 and 1, mean 5/6; residuals of 1/6 and 1/3.
        assert spread.mean == pytest.approx(5 / 6)
        assert spread.by_seed == pytest.approx(2 * (1 / 6) ** 2 / 1 / 2)
        assert spread.by_both == pytest.approx((4 * (1 / 6) ** 2 + 2 * (1 / 3) ** 2) / 2 / 6)
        # Items and one imaginary item right, one wrong: 1, 1/2, 1, 1 and 0 around 3.5/5.
        squares = sum((value - 0.7) ** 2 for value in (1, 0.5, 1, 1, 0))
        assert spread.by_item == pytest.approx(squares / 5 / 3)
        assert spread.freedom == 1

    def test_expectations_are_the_variances_of_the_model(self) -> None:
        rng = np.random.default_rng(0)
        seed, item, both = (rng.standard_normal(shape) for shape in ((4000, 4, 1), (4000, 1, 30), (4000, 4, 30)))
        spread = spread_of(0.1 * seed + 0.2 * item + 0.3 * both)
        interaction = 0.09 / 120
        np.testing.assert_allclose(spread.by_seed.mean(), 0.01 / 4 + interaction, rtol=0.05)
        np.testing.assert_allclose(spread.by_both.mean(), interaction, rtol=0.02)
        padded = ((0.04 / 30 + interaction) * 29 * 30 + 2 * 0.5**2 + 2 * 0.25 * 30 / 32) / (30 * 32)
        np.testing.assert_allclose(spread.by_item.mean(), padded, rtol=0.05)

    def test_leading_axes_are_independent(self) -> None:
        values = np.random.default_rng(0).random((2, 3, 4, 30))
        whole = spread_of(values)
        for place in np.ndindex(2, 3):
            single = spread_of(values[place])
            for name in ("mean", "by_seed", "by_item", "by_both"):
                np.testing.assert_allclose(getattr(whole, name)[place], getattr(single, name), atol=1e-15)


class TestTail:
    @pytest.mark.parametrize("freedom", [1, 2, 4, 9])
    @pytest.mark.parametrize("shift", [0.1, 1.0, 3.0, 20.0])
    def test_with_seeds_alone_it_is_student(self, freedom: int, shift: float) -> None:
        tail = tail_probability(np.asarray(shift), unit_spread(1.0, 1e-9, 0.0, freedom))
        assert tail == pytest.approx(2 * stats.t.sf(shift, freedom), abs=2e-5)

    def test_without_seeds_it_is_normal(self) -> None:
        tail = tail_probability(np.asarray(1.7), unit_spread(0.0, 1.0, 0.0, 1))
        assert tail == pytest.approx(2 * stats.norm.sf(1.7), abs=1e-9)

    @pytest.mark.parametrize("freedom", [2, 4])
    def test_between_them_it_is_behrens_and_fisher(self, freedom: int) -> None:
        student = stats.t(freedom, scale=0.8)

        def beyond(item: float) -> float:
            return float(stats.norm.pdf(item) * (student.sf(2.5 - 0.6 * item) + student.cdf(-2.5 - 0.6 * item)))

        expected, _ = integrate.quad(beyond, -9, 9)
        tail = tail_probability(np.asarray(2.5), unit_spread(0.64, 0.36, 0.0, freedom))
        assert tail == pytest.approx(expected, abs=1e-5)

    def test_interaction_is_taken_off_seeds_and_never_more(self) -> None:
        shift = np.asarray(2.0)
        without = tail_probability(shift, unit_spread(0.5, 1.0, 0.0, 2))
        some = tail_probability(shift, unit_spread(0.5, 1.0, 0.3, 2))
        all_of_it = tail_probability(shift, unit_spread(1e-9, 1.0, 0.3, 2))
        assert without > some > all_of_it >= 2 * stats.norm.sf(2.0) - 1e-12

    def test_paired_seeds_on_endless_items_are_a_paired_t_test(self) -> None:
        a, b = np.array([0.62, 0.58, 0.66, 0.61]), np.array([0.55, 0.57, 0.60, 0.52])
        difference = contrast_of(constant(a), constant(b), paired=True).difference
        tail = tail_probability(difference.mean, difference)
        assert tail == pytest.approx(stats.ttest_rel(a, b).pvalue, abs=2e-4)

    def test_unpaired_seeds_on_endless_items_are_welch_s_test(self) -> None:
        a, b = np.array([0.62, 0.58, 0.66, 0.61]), np.array([0.55, 0.40, 0.60])
        difference = contrast_of(constant(a), constant(b), paired=False).difference
        tail = tail_probability(difference.mean, difference)
        assert tail == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue, abs=2e-4)


class TestScoreInterval:
    @pytest.mark.parametrize(("right", "items"), [(0, 40), (1, 40), (23, 40), (40, 40), (150, 200), (499, 500)])
    @pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
    def test_one_run_scored_by_accuracy_is_wilson_s(self, right: int, items: int, level: float) -> None:
        labels = np.zeros(items, dtype=np.int64)
        predicted = np.where(np.arange(items) < right, 0, -1)[None]
        found = score_interval("accuracy", labels, predicted, None, level)
        expected = stats.binomtest(right, items).proportion_ci(level, method="wilson")
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-6)
        assert (found.mean, found.basis, found.seeds, found.items) == (right / items, "items_only", 0, items)

    def test_a_single_seed_is_marked(self) -> None:
        labels, (arm,) = experiment(1, [0.7])
        trained = score_interval("accuracy", labels, arm.predicted, (11,))
        plain = score_interval("accuracy", labels, arm.predicted, None)
        assert (trained.basis, trained.seeds) == ("items_only", 1)
        assert replace(trained, seeds=0) == plain

    @pytest.mark.parametrize("metric", METRICS)
    def test_contains_the_mean_and_stays_inside_the_scale(self, metric: Metric) -> None:
        bottom, top = BOUNDS[metric]
        for seed in range(20):
            labels, (arm,) = experiment(seed, np.linspace(0.2, 1.0, 2 + seed % 4))
            found = score_interval(metric, labels, arm.predicted, arm.data_seeds)
            assert bottom <= found.low < found.mean < found.high <= top
            assert found.basis == "seeds_and_items"

    @pytest.mark.parametrize("metric", METRICS)
    def test_faultless_seeds_still_leave_doubt(self, metric: Metric) -> None:
        labels = np.arange(40) % 2
        found = score_interval(metric, labels, np.stack([labels] * 3), (1, 2, 3))
        assert found.mean == pytest.approx(1)
        assert found.high == pytest.approx(1)
        assert found.low < 0.95 * BOUNDS[metric][1]

    def test_wider_for_a_higher_level_and_for_unlike_seeds(self) -> None:
        labels, (like, unlike) = experiment(3, [0.7] * 4, [0.5, 0.6, 0.8, 0.9])
        widths = []
        for arm, level in ((like, 0.95), (like, 0.99), (unlike, 0.99)):
            found = score_interval("accuracy", labels, arm.predicted, arm.data_seeds, level)
            widths.append(found.high - found.low)
        assert widths == sorted(widths)

    def test_model_seeds_are_averaged_first(self) -> None:
        labels, (arm,) = experiment(4, [0.6, 0.7, 0.8])
        once = score_interval("accuracy", labels, arm.predicted, (5, 6, 7))
        twice = score_interval("accuracy", labels, arm.predicted[[0, 2, 1, 0, 2]], (5, 7, 6, 5, 7))
        assert once == twice

    def test_several_model_seeds_of_one_data_seed_know_nothing_of_seeds(self) -> None:
        labels, (arm,) = experiment(4, [0.6, 0.7, 0.8])
        assert score_interval("accuracy", labels, arm.predicted, (5, 5, 5)).basis == "items_only"

    @pytest.mark.parametrize("data_seeds", [None, (), (1, 2), (1, 2, 3, 4)])
    def test_refuses_seeds_that_do_not_fit_the_runs(self, data_seeds: tuple[int, ...] | None) -> None:
        labels, (arm,) = experiment(4, [0.6, 0.7, 0.8])
        with pytest.raises(ValueError, match="expected one run for each"):
            score_interval("accuracy", labels, arm.predicted, data_seeds)


class TestCompare:
    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("other_seeds", [True, False])
    def test_swapping_the_arms_swaps_the_answer(self, metric: Metric, other_seeds: bool) -> None:
        swapped = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
        for seed in range(6):
            labels, (a, b) = experiment(seed, [0.7, 0.8, 0.75], [0.5, 0.6, 0.2 + 0.1 * seed])
            b = replace(b, data_seeds=(7, 8, 9)) if other_seeds else b
            ab, ba = compare(metric, labels, a, b), compare(metric, labels, b, a)
            assert (ab.difference, ab.low, ab.high) == pytest.approx((-ba.difference, -ba.high, -ba.low), abs=1e-9)
            assert ab.verdict == swapped[ba.verdict]
            assert ab.p_value == pytest.approx(ba.p_value)
            assert (ab.more_seeds, ab.more_items) == (ba.more_seeds, ba.more_items)

    @pytest.mark.parametrize("metric", METRICS)
    def test_identical_arms_cannot_be_told_apart(self, metric: Metric) -> None:
        labels, (arm,) = experiment(1, [0.9, 0.7, 0.8])
        found = compare(metric, labels, arm, arm)
        assert (found.difference, found.verdict) == (0, "cannot tell")
        assert found.p_value == pytest.approx(1)
        assert found.low < 0 < found.high
        assert (found.more_seeds, found.more_items) == (None, None)

    @pytest.mark.parametrize("metric", METRICS)
    def test_order_of_items_and_runs_does_not_matter(self, metric: Metric) -> None:
        labels, (a, b) = experiment(2, [0.7, 0.8, 0.75], [0.5, 0.6, 0.4])
        items, runs = np.random.default_rng(0).permutation(labels.size), [2, 0, 1]
        mixed = Runs(predicted=a.predicted[runs][:, items], data_seeds=(2, 0, 1))
        found = compare(metric, labels, a, b)
        other = compare(metric, labels[items], mixed, replace(b, predicted=b.predicted[:, items]))
        assert numbers(found) == pytest.approx(numbers(other), abs=1e-9)

    @pytest.mark.parametrize("metric", METRICS)
    def test_verdict_interval_and_p_value_agree(self, metric: Metric) -> None:
        verdicts = set()
        for seed in range(30):
            labels, (a, b) = experiment(seed, [0.75] * 4, np.linspace(0.4, 0.4 + 0.01 * seed, 4))
            found = compare(metric, labels, a, b)
            assert found.low < found.difference < found.high
            better = found.p_value is not None and found.p_value <= 0.05 and found.difference > 0
            assert (found.low > 0) == (found.verdict == "better") == better
            verdicts.add(found.verdict)
        assert verdicts == {"better", "cannot tell"}

    def test_a_single_seed_is_never_better(self) -> None:
        labels, (one, good, bad) = experiment(1, [0.99], [0.99] * 5, [0.1] * 5, items=200)
        poor = untrained(labels, 0.1)
        for a, b in ((one, bad), (one, poor), (bad, one), (one, replace(one, predicted=bad.predicted[:1]))):
            found = compare("accuracy", labels, a, b)
            assert not found.low <= 0 <= found.high
            assert (found.verdict, found.basis, found.p_value, found.seeds) == ("cannot tell", "items_only", None, 1)
            assert (found.more_seeds, found.more_items) == (None, None)
        assert compare("accuracy", labels, good, poor).verdict == "better"
        assert compare("accuracy", labels, good, poor).basis == "seeds_and_items"

    def test_two_arms_without_seeds_are_decided_on_items(self) -> None:
        labels = np.arange(200) % 3
        found = compare("accuracy", labels, untrained(labels, 0.6), untrained(labels, 0.3, seed=1))
        assert (found.verdict, found.basis, found.seeds) == ("better", "items_only", 0)
        close = compare("accuracy", labels, untrained(labels, 0.45), untrained(labels, 0.42, seed=1))
        assert (close.verdict, close.more_seeds) == ("cannot tell", None)
        assert close.more_items is not None

    def test_two_arms_without_seeds_are_bonett_and_price(self) -> None:
        # 9 items won, 2 lost, 29 tied; plus one imaginary win and loss: variance of 10 wins and 3 losses in 42.
        labels = np.zeros(40, dtype=np.int64)
        a, b = np.zeros((1, 40), dtype=np.int64), np.zeros((1, 40), dtype=np.int64)
        b[0, :9], a[0, 9:11] = 1, 1
        contrast = contrast_of((a == 0).astype(float), (b == 0).astype(float), paired=False)
        variance = (13 / 42 - (7 / 42) ** 2) / 42
        assert contrast.difference.by_item == pytest.approx(variance * 42 / 40)
        found = compare("accuracy", labels, Runs(predicted=a, data_seeds=None), Runs(predicted=b, data_seeds=None))
        assert found.difference == pytest.approx(7 / 40)
        assert found.p_value == pytest.approx(2 * stats.norm.sf(7 / 40 / np.sqrt(variance * 42 / 40)))

    def test_pairing_by_seed_needs_the_same_seeds(self) -> None:
        labels, (a, b) = experiment(5, [0.55, 0.65, 0.75, 0.85], [0.45, 0.55, 0.65, 0.75], items=400)
        paired = compare("accuracy", labels, a, b)
        unpaired = compare("accuracy", labels, a, replace(b, data_seeds=(4, 5, 6, 7)))
        assert paired.verdict == "better"
        assert unpaired.verdict == "cannot tell"
        assert compare("accuracy", labels, a, replace(b, predicted=b.predicted[:3], data_seeds=(0, 1, 2))).seeds == 3

    def test_ten_seeds_of_five_thousand_items_take_no_time(self) -> None:
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 3, 5000)
        a, b = (Runs(predicted=answers(rng, labels, [0.7] * 10), data_seeds=tuple(range(10))) for _ in range(2))
        start = time.perf_counter()
        compare("macro_f1", labels, a, b)
        assert time.perf_counter() - start < 0.5  # seconds; 0.05 on an idle core


class TestWhatWouldDecide:
    def test_seeds_alone(self) -> None:
        """On endless items n seeds decide where |d| >= (t + z) * sd / sqrt(n), with t of n - 1 degrees of freedom."""
        a, b = np.array([0.52, 0.56, 0.60]), np.array([0.50, 0.50, 0.50])
        contrast = contrast_of(constant(a), constant(b), paired=True)
        factor = float(np.sqrt(statistics._stretched(contrast, contrast.difference.mean).by_seed * 3))
        enough = [
            n for n in range(4, 100) if (stats.t.ppf(0.975, n - 1) + stats.norm.ppf(0.8)) * factor / np.sqrt(n) <= 0.06
        ]
        assert statistics.more_seeds(contrast, 0.05) == enough[0] - 3
        assert statistics.more_items(contrast, 0.05) is None

    def test_items_alone(self) -> None:
        """Without seeds n items decide where |d| >= (1.96 + 0.84) * sd / sqrt(n)."""
        labels, (a, b) = experiment(6, [0.55], [0.5], items=300)
        a, b = replace(a, data_seeds=None), replace(b, data_seeds=None)
        found = compare("accuracy", labels, a, b)
        assert found.more_items is not None
        total = 300 + found.more_items
        difference = (a.predicted == labels).astype(float) - (b.predicted == labels)
        needed = (2.8 * difference.std() / difference.mean()) ** 2
        assert needed == pytest.approx(total, rel=0.03)

    def test_keeps_its_promise(self) -> None:
        """More seeds as promised, from a population like the sample: called in about `POWER` of draws."""
        rng = np.random.default_rng(0)
        few = bench.Population(accuracies=(0.65, 0.6), seed_sds=(0.04, 0.04), items=400, seeds=5)
        values, _ = bench.draw(few, rng, 400)
        near = [one for one in values if abs(one[0].mean() - one[1].mean() - 0.05) < 0.005]
        counts = [statistics.more_seeds(contrast_of(one[0], one[1], paired=True), 0.05) for one in near]
        typical = int(np.median([1000 if count is None else count for count in counts]))
        more = replace(few, seeds=5 + typical)
        found = bench.pair_rates(more, 400, rng)
        assert 0.7 < found["better"] < 0.95

    def test_nothing_decides_no_difference_and_nothing_need_decide_a_large_one(self) -> None:
        labels, (a, b) = experiment(7, [0.9] * 5, [0.3] * 5)
        found = compare("accuracy", labels, a, b)
        assert (found.verdict, found.more_seeds, found.more_items) == ("better", None, None)


class TestFamily:
    def test_holm_by_hand(self) -> None:
        judged = holm([0.03, 0.001, 0.2, 0.013], 0.05)
        assert [p for p, _ in judged] == pytest.approx([0.06, 0.004, 0.2, 0.039])
        assert [share for _, share in judged] == pytest.approx([0.025, 0.0125, 0.025, 0.05 / 3])
        assert holm([], 0.05) == []

    def test_each_verdict_has_its_interval(self) -> None:
        rates = ([0.8] * 5, [0.79] * 5, [0.6] * 5, [0.78] * 5, [0.3] * 5)
        labels, (chosen, *others) = experiment(8, *rates, items=200)
        family = compare_family("accuracy", labels, chosen, [*others, untrained(labels, 0.34)])
        assert {one.verdict for one in family} == {"better", "cannot tell"}
        for one in family:
            assert one.p_value is not None
            assert (one.low > 0) == (one.verdict == "better") == (one.p_value <= 0.05)
            assert one.level >= 0.95
        decided = sorted(one.level for one in family if one.verdict == "better")
        assert decided == pytest.approx([1 - 0.05 / left for left in range(5 - len(decided) + 1, 6)])

    def test_a_family_of_one_is_a_comparison(self) -> None:
        labels, (a, b) = experiment(9, [0.7] * 3, [0.6] * 3)
        assert compare_family("mcc", labels, a, [b]) == (compare("mcc", labels, a, b),)
        assert compare_family("mcc", labels, a, []) == ()

    def test_single_seeds_share_no_risk(self) -> None:
        labels, (chosen, b, one) = experiment(9, [0.7] * 3, [0.6] * 3, [0.5])
        alone, (first, second) = (
            compare("accuracy", labels, chosen, b),
            compare_family("accuracy", labels, chosen, [one, b]),
        )
        assert second == alone
        assert (first.verdict, first.basis, first.p_value) == ("cannot tell", "items_only", None)


def numbers(found: Comparison) -> list[float]:
    assert found.p_value is not None
    return [found.difference, found.low, found.high, found.p_value]


def slack(share: float, draws: int) -> float:
    """Three standard errors of a share counted over so many draws."""
    return 3 * float(np.sqrt(share * (1 - share) / draws))


class TestSimulation:
    """1,000 draws a cell; the figures are those of `tests/bench/intervals.md`, the tolerance three standard errors."""

    draws = 1000

    def test_the_population_is_what_it_says(self) -> None:
        rng = np.random.default_rng(0)
        population = bench.Population(
            accuracies=(0.95, 0.6), seed_sds=(0.05, 0.02), items=100, seeds=2, model_seeds=2, interaction=0.4
        )
        values, quality = bench.draw(population, rng, 4000)
        np.testing.assert_allclose(values.mean(axis=(0, 2, 3)), (0.95, 0.6), atol=0.003)
        single, spread = bench.draw(replace(population, model_seeds=1), rng, 4000)
        np.testing.assert_allclose(single.mean(axis=(0, 2, 3)), (0.95, 0.6), atol=0.003)
        np.testing.assert_allclose(spread.std(axis=(0, 2)), (0.05, 0.02), rtol=0.05)
        assert quality.std() < spread.std()
        np.testing.assert_allclose(bench.draw_quality(population, rng, 4000).std(axis=(0, 2)), (0.05, 0.02), rtol=0.05)

    @pytest.mark.parametrize(("metric", "shares"), [("macro_f1", (0.6, 0.3, 0.1)), ("mcc", (0.7, 0.3))])
    def test_the_truth_of_other_metrics_is_the_score_on_many_items(
        self, metric: Metric, shares: tuple[float, ...]
    ) -> None:
        task = bench.Classes(shares=shares, accuracies=(0.8, 0.7), skill=0.1, lean=0.4, items=4000, seeds=200)
        labels, predicted = task.draw(np.random.default_rng(0))
        found = score(metric, labels, predicted)
        for arm, runs in enumerate(found):
            assert runs.mean() == pytest.approx(task.truth(metric, arm), abs=4 * runs.std() / np.sqrt(200) + 0.01)

    def test_the_simulation_counts_what_the_report_says(self) -> None:
        population = bench.Population(accuracies=(0.7, 0.6), seed_sds=(0.03, 0.03), items=60, seeds=3)
        values, _ = bench.draw(population, np.random.default_rng(0), 40)
        contrast = bench.pair(values)
        low, high = contrast_bounds(contrast, 0.05)
        ends = score_bounds(spread_of(values[:, 0]), 0.05)
        called = bench.call(values)
        for draw, one in enumerate(values):
            labels = np.zeros(60, dtype=np.int64)
            a, b = (Runs(predicted=1 - arm.astype(np.int64), data_seeds=(0, 1, 2)) for arm in one)
            found = compare("accuracy", labels, a, b)
            assert (found.low, found.high) == pytest.approx((low[draw], high[draw]))
            assert called[draw, 0] == (found.verdict == "better")
            interval = score_interval("accuracy", labels, a.predicted, a.data_seeds)
            assert (interval.low, interval.high) == pytest.approx((ends[0][draw], ends[1][draw]))
            # What is counted as covered are the values between the ends.
            inside, outside = (interval.low + 1e-6, interval.low - 1e-6)
            spread = spread_of(one[0])
            assert score_tail(spread, np.asarray(inside)) > 0.05 >= score_tail(spread, np.asarray(outside))
            lowest = contrast_of(one[0], one[1], paired=True)
            assert contrast_tail(lowest, found.difference - np.asarray(found.low + 1e-6)) > 0.05

    @pytest.mark.parametrize("seeds", [3, 5, 10])
    @pytest.mark.parametrize(("accuracy", "sd", "items"), [(0.6, 0.05, 200), (0.8, 0.02, 100), (0.95, 0.05, 500)])
    def test_both_intervals_cover(self, seeds: int, accuracy: float, sd: float, items: int) -> None:
        population = bench.Population(
            accuracies=(accuracy, accuracy - 0.05), seed_sds=(sd, sd), items=items, seeds=seeds
        )
        found = bench.pair_rates(population, self.draws, np.random.default_rng(1))
        assert found["score covers"] >= 0.93 - slack(0.93, self.draws)
        assert found["difference covers"] >= 0.93 - slack(0.93, self.draws)

    @pytest.mark.parametrize(("arms", "seeds", "sd"), [(2, 5, 0.05), (6, 3, 0.02), (6, 5, 0.05)])
    def test_equal_arms_are_seldom_called_better(self, arms: int, seeds: int, sd: float) -> None:
        population = bench.Population(accuracies=(0.7,) * arms, seed_sds=(sd,) * arms, items=200, seeds=seeds)
        rng = np.random.default_rng(2)
        found = bench.rates(population, self.draws, rng, bench.judge_family(population, rng))
        assert found["other runs"] <= 0.05 + slack(0.05, self.draws)
        assert found["same runs"] <= 0.05 + slack(0.05, self.draws)

    @pytest.mark.parametrize(("others", "sd"), [(1, 0.03), (5, 0.02), (5, 0.03)])
    def test_a_gap_of_fifteen_points_is_called_at_five_seeds(self, others: int, sd: float) -> None:
        scores = (0.75, *(0.6,) * others)
        population = bench.Population(accuracies=scores, seed_sds=[sd] * len(scores), items=200, seeds=5)
        found = bench.rates(
            population, self.draws, np.random.default_rng(3), lambda values, _: {"called": bench.call(values)[:, 0]}
        )
        assert found["called"] >= 0.8 - slack(0.8, self.draws)

    @pytest.mark.parametrize(("metric", "shares"), [("macro_f1", (0.6, 0.3, 0.1)), ("mcc", (0.7, 0.3))])
    def test_intervals_of_other_metrics_cover(self, metric: Metric, shares: tuple[float, ...]) -> None:
        task = bench.Classes(shares=shares, accuracies=(0.8, 0.75), skill=0.1, lean=0.3, items=200, seeds=5)
        found = task.rates(metric, self.draws, np.random.default_rng(4))
        assert found["score covers"] >= 0.93 - slack(0.93, self.draws)
        assert found["difference covers"] >= 0.93 - slack(0.93, self.draws)


@pytest.mark.full
class TestFullSimulation:
    """5,000 draws a cell at 3, 5 and 10 seeds; minutes."""

    draws = 5000

    def test_coverage(self) -> None:
        for row in bench.intervals_table(self.draws, np.random.default_rng(11)).rows:
            assert min(row[4], row[6]) >= 0.93 - slack(0.93, self.draws), row

    def test_false_better(self) -> None:
        for row in bench.families_table(self.draws, np.random.default_rng(12), (6,)).rows:
            assert row[6] <= 0.05 + slack(0.05, self.draws), row

    def test_power_at_five_seeds_and_two_hundred_items(self) -> None:
        for row in bench.power_table(self.draws, np.random.default_rng(13), (5,)).rows:
            if row[0] == "0.75 / 0.60" and row[1] == 200:
                assert min(row[4:]) >= 0.8 - slack(0.8, self.draws), row
