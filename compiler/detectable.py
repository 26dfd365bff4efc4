"""Planning statistics: the smallest difference of two arms that a plan can tell from chance, and what would tell less.

A score varies with the examples that were drawn (data seeds), with the test items, and with both together; the verdict
after the run is judged so (`store/statistics.py`), and this is its power before there is a run, with the three parts
assumed. Power analysis of paired comparisons: Card et al. 2020, section 3 (R-136).

What is assumed, and says so in the plan: two arms that answer a quarter of the items differently, half of that again
with other seeds; and scores that scatter over data seeds as published for few-shot text classification, 4.9 points at
8 labels of each class and 1.3 at 64 (SetFit's table of six data sets), half of which arms trained on the same samples
share. Texts are scored item by item; two arms' scores of an item differ by 0.2.
"""

from bisect import bisect_left
from collections.abc import Callable
from functools import cache
from math import ceil, log, pi, tan
from statistics import NormalDist, fmean

from fewtune.compiler.plan import Plan
from fewtune.compiler.price import Detectable, Need, Together
from fewtune.specs.evaluation import TEXT_METRICS, Metric

RISK, POWER = 0.05, 0.8
"""The chance of a false verdict at the usual level, and that of a true one."""
DISAGREE = 0.25
"""Share of the items that two arms answer differently: the variance of an item's difference."""
DISAGREE_TEXTS = 0.04
"""The same for scores of texts."""
LASTING = 0.5
"""What of it is the items' own, and comes again with other seeds."""
SCATTER, AT, FALL = 0.049, 8, 0.64
"""Standard deviation of a score over data seeds at so many labels of each class, and the power by which it falls."""
LEAST_SCATTER, MOST_SCATTER = 0.01, 0.08
QUANTILES = 40
"""Points of the chi-square distribution that are averaged."""
MOST_SEEDS, MOST_ITEMS = 50, 100_000
WANTED = (0.02, 0.05, 0.10)
"""Differences that people ask for."""


def scatter(labels: int, classes: int) -> float:
    """Standard deviation of an arm's score over data seeds.

    Args:
        labels: training examples of a trial.
        classes: 0 where texts are written.
    """
    each = max(labels / max(classes, 1), 1.0)
    return float(min(max(SCATTER * (AT / each) ** FALL, LEAST_SCATTER), MOST_SCATTER))


def smallest(metric: Metric, seeds: int, items: int, deviation: float, risk: float = RISK) -> float | None:
    """The difference of two arms that ends in a verdict with the chance `POWER`; None: none does.

    Args:
        metric: what is scored; its scale is the difference's.
        seeds: data seeds of both arms, the same ones.
        items: test items.
        deviation: of an arm's score over data seeds, on a scale of length 1.
        risk: of a false verdict.
    """
    if seeds < 2 or items < 2:
        return None
    low, high = 0.0, 8.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle, metric, seeds, items, deviation, risk) >= POWER else (middle, high)
    return ceil(1000 * high) / 1000  # rounded down, it would be one that is not told


def chance(difference: float, metric: Metric, seeds: int, items: int, deviation: float, risk: float = RISK) -> float:
    """Of a verdict: the run's mean must be above what its own scatter over seeds, a chi-square, asks for."""
    item = DISAGREE_TEXTS if metric in TEXT_METRICS else DISAGREE
    by_seed = deviation**2 / seeds  # 2 arms, half shared
    by_item, by_both = LASTING * item / items, (1 - LASTING) * item / (seeds * items)
    tails, normal = student(1 - risk / 2, seeds - 1) ** 2, NormalDist()
    usual = normal.inv_cdf(1 - risk / 2) ** 2
    scale = 2.0 if metric == "mcc" else 1.0
    found = NormalDist(difference / scale, (by_seed + by_item + by_both) ** 0.5)
    asked = [(tails * share * (by_seed + by_both) + usual * by_item) ** 0.5 for share in _shares(seeds - 1)]
    return 1 - fmean(map(found.cdf, asked))


@cache
def _shares(freedom: int) -> tuple[float, ...]:
    """Quantiles of chi-square over its degrees of freedom: exact for 1 and 2, else by Wilson and Hilferty (1931)."""
    normal, points = NormalDist(), [(place + 0.5) / QUANTILES for place in range(QUANTILES)]
    if freedom == 1:
        return tuple(normal.inv_cdf((1 + point) / 2) ** 2 for point in points)
    if freedom == 2:
        return tuple(-log(1 - point) for point in points)
    part = 2 / (9 * freedom)
    return tuple((1 - part + normal.inv_cdf(point) * part**0.5) ** 3 for point in points)


def student(share: float, freedom: int) -> float:
    """Quantile of Student's t above the median.

    Closed forms for 1 and 2 degrees of freedom, else an expansion (Abramowitz and Stegun 26.7.5), off by less than 0.2
    % at usual levels.
    """
    if freedom == 1:
        return tan(pi * (share - 0.5))
    if freedom == 2:
        return float((2 * share - 1) * (2 / (4 * share * (1 - share))) ** 0.5)
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + float(sum(term / freedom ** (place + 1) for place, term in enumerate(terms)))


def detectable(plan: Plan, wanted: float | None = None, share: float = 1.0) -> Detectable:
    """What a plan can tell, and what it would take to tell less.

    Args:
        plan: its largest data size is judged; in cross-validation all rows of the pool are scored.
        wanted: a difference that is asked for; omitted: usual ones below what the plan can tell.
        share: of the risk of a false verdict, which plans of before have used up in part; all of it is what the
            spec's level of confidence leaves.
    """
    rows, metric, seeds = plan.facts.rows, plan.metric, plan.data_seeds
    items = rows.get("test") or rows["train"] - plan.facts.excluded_rows
    deviation = scatter(plan.levels[-1].train, len(plan.labels))
    risk = (1 - plan.experiment.evaluation.confidence) * share
    now = smallest(metric, seeds, items, deviation, risk)
    asked = (wanted,) if wanted is not None else tuple(each for each in WANTED if now is None or each < now)

    def need(difference: float) -> Need:
        def enough(seeds: int, items: int) -> bool:
            return seeds > 1 and chance(difference, metric, seeds, items, deviation, risk) >= POWER

        more_seeds = _least(lambda count: enough(count, items), seeds, MOST_SEEDS)
        more_items = _least(lambda count: enough(seeds, count), items, MOST_ITEMS)
        together = None if more_seeds or more_items else _together(enough, seeds, items)
        return Need(difference=difference, seeds=more_seeds, items=more_items, together=together)

    return Detectable(
        difference=now,
        chance=POWER,
        seeds=seeds,
        items=items,
        scatter=round(deviation, 3),
        needs=tuple(map(need, asked)),
    )


def _together(enough: Callable[[int, int], bool], seeds: int, items: int) -> Together | None:
    """The least of both that is enough, grown by the same factor as far as the most seeds allow."""

    def grown(count: int) -> int:
        return min(ceil(seeds * count / items), MOST_SEEDS)

    count = _least(lambda count: enough(grown(count), count), items, MOST_ITEMS)
    return None if count is None else Together(seeds=grown(count), items=count)


def _least(enough: Callable[[int], bool], low: int, most: int) -> int | None:
    """The smallest count from `low` on that is enough, None if not even `most` is."""
    counts = range(low, most + 1)
    place = bisect_left(counts, True, key=enough)
    return counts[place] if place < len(counts) else None
