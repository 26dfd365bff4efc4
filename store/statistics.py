"""Intervals and verdicts for arms that were trained a few times and scored on a few hundred items.

The estimand is an arm's expected score over new data seeds, model seeds and test items of the same population. A
score is the mean of a table of data seeds by items, so its variance has three parts (crossed random effects; Brennan,
Generalizability Theory, 2001): seeds, items, and their interaction. Three seeds leave two degrees of freedom for the
first part and hundreds for the others. One Satterthwaite number for all of them covers too little exactly there; so
the parts are kept apart, and the seeds' one gets its own chi-square, as in the generalised p-values of Weerahandi
(1993). Figures: `tests/bench/intervals.md`.

What the answers cannot say:

- A trained arm needs two data seeds for a verdict; with one, `basis` is "items_only" and the verdict "cannot tell".
- Under cross-validation a data seed is a fold assignment. All assignments share the same rows, so the spread over
  seeds understates how much another sample of rows would change the score (Bengio and Grandvalet 2004: no unbiased
  estimate exists). The interval speaks of training on these rows.
- Where one seed in ten collapses, three seeds mostly show none, and no interval of them can know.

Array shapes: values `(..., seeds, items)` on the unit scale; the fields of a `Spread` and all probabilities `(...)`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special

from fewtune.specs.evaluation import Metric
from fewtune.store.metrics import BOUNDS, UNBOUNDED, Answers, FloatArray, IntArray, contributions

Basis = Literal["seeds_and_items", "items_only"]
Verdict = Literal["better", "worse", "cannot tell"]

STRETCH = 1.5
"""The seeds' variance follows (p (1 - p)) to this power; 1 is binomial, 2 a fixed effect on the logit scale."""
POWER = 0.8
"""The chance of a verdict that `more_seeds` and `more_items` promise."""
LEAST = 1e-18
"""Variance of items that all have the same value, where values have no bounds: arms that train nothing gain nothing."""
FAR = 1e3
"""Standard errors beyond which no end of an interval is looked for."""
MOST_SEEDS = 1_000
MOST_ITEMS = 100_000

# Gauss-Legendre in v with u = v**3: with few degrees of freedom the tail lies at u near 0.
_NODES, _LEGENDRE = np.polynomial.legendre.leggauss(64)
_QUANTILES = ((_NODES + 1) / 2) ** 3
_WEIGHTS = _LEGENDRE / 2 * 3 * ((_NODES + 1) / 2) ** 2


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The score of an arm and the interval for its expected score."""

    mean: float
    low: float
    high: float
    level: float
    basis: Basis
    seeds: int
    """Data seeds; 0 for an arm without training, 1 where nothing is known of the variance over seeds."""
    items: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The difference of two arms. The interval excludes 0 exactly where the verdict is "better" or "worse".

    The one exception: an arm trained with a single data seed gets no p-value and always "cannot tell", because its
    interval lacks the variance over seeds (`basis` "items_only" with `seeds` 1).
    """

    difference: float
    low: float
    high: float
    level: float
    """Coverage of this interval; above the asked one where a family of comparisons shares the risk."""
    verdict: Verdict
    basis: Basis
    p_value: float | None
    """Two-sided, adjusted: in a family by Holm's method, of a picked pair by the number of pairs, and by the share of
    the risk; the verdict is decided where it is at most one minus the asked level."""
    p_raw: float | None
    """Two-sided, of this comparison as if it were the only one."""
    raw_low: float
    raw_high: float
    """The interval of the asked level, as if this comparison were the only one."""
    seeds: int
    """Data seeds of the trained arm that has fewer; 0 where neither is trained."""
    items: int
    more_seeds: int | None
    """So many further data seeds for each trained arm would decide with the chance `POWER`, were the difference and
    the variances as observed. None where it is decided, or not even `MOST_SEEDS` would do."""
    more_items: int | None
    """The same for test items, and `MOST_ITEMS`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Runs:
    """What the runs of one arm answered."""

    predicted: Answers
    """(runs, items); below zero for "no valid answer". For a metric of texts: the scores of the items."""
    data_seeds: tuple[int, ...] | None
    """Of each run; runs that share one differ in the model seed. None for an arm without training: one run."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """A mean over seeds and items, and the variance of that mean by source; arrays have the shape (...)."""

    mean: FloatArray
    by_seed: FloatArray
    """From data seeds, one share of `by_both` included; 0 where there is one row."""
    by_item: FloatArray
    """From items, one share of `by_both` included; never 0."""
    by_both: FloatArray
    """From the interaction of seeds and items."""
    freedom: FloatArray
    """Degrees of freedom of `by_seed`; 1 where that is 0."""
    seeds: int
    """0 without training."""
    items: int
    bounded: bool = True
    """Whether values lie between 0 and 1 (differences: -1 and 1)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contrast:
    """The difference of two arms on the same items, and each arm by itself."""

    difference: Spread
    a: Spread
    b: Spread

    @property
    def seeds(self) -> int:
        """Data seeds of the trained arm that has fewer; 0 where neither is trained."""
        return min((arm.seeds for arm in (self.a, self.b) if arm.seeds), default=0)


def score_interval(
    metric: Metric, labels: IntArray, predicted: Answers, data_seeds: Sequence[int] | None, level: float = 0.95
) -> Interval:
    """Bound the expected score of an arm.

    Args:
        metric: what is scored.
        labels: (items,).
        predicted: (runs, items); below zero for "no valid answer".
        data_seeds: the data seed of each run. None for an arm without training, which has one run.
        level: coverage of the interval.
    """
    runs = Runs(predicted=predicted, data_seeds=None if data_seeds is None else tuple(data_seeds))
    values, inside = _values(metric, labels, runs), (0.0, 1.0) if metric not in UNBOUNDED else None
    spread = spread_of(values, trained=data_seeds is not None, bounds=inside)
    bottom, top = BOUNDS[metric]
    ends = (spread.mean, *score_bounds(spread, 1 - level))
    mean, low, high = (bottom + (top - bottom) * float(end) for end in ends)
    seeds, items = spread.seeds, spread.items
    return Interval(mean=mean, low=low, high=high, level=level, basis=_basis(seeds), seeds=seeds, items=items)


def compare(metric: Metric, labels: IntArray, a: Runs, b: Runs, level: float = 0.95) -> Comparison:
    """Compare two arms on the same items; the difference is a - b.

    Arms with the same data seeds are paired by seed and item, others by item only; a few seeds in common then count
    as different ones.
    """
    return compare_family(metric, labels, a, [b], level)[0]


def compare_family(
    metric: Metric,
    labels: IntArray,
    chosen: Runs,
    others: Sequence[Runs],
    level: float = 0.95,
    *,
    share: float = 1.0,
    next_share: float | None = None,
) -> tuple[Comparison, ...]:
    """Compare the chosen arm with each other one; the risk of any false verdict in the family is (1 - level) * share.

    Holm's step-down method (1979): each comparison is judged at a part of the risk, and its interval has the level
    1 - part. So the interval excludes 0 exactly where the verdict is decided, and covers at least `level` by itself.
    Comparisons with a single seed are not judged and do not share the risk.

    Args:
        metric: what is scored.
        labels: (items,).
        chosen: the arm that is compared.
        others: the arms that it is compared with.
        level: asked of a family that is the only one.
        share: of the risk that other families on the same items leave to this one.
        next_share: what they would leave to a run with more seeds or items; omitted: the same.
    """
    contrasts = [_contrast(metric, labels, chosen, other) for other in others]
    judged = [contrast.seeds != 1 for contrast in contrasts]
    p_values = [float(contrast_tail(c, c.difference.mean)) for c, can in zip(contrasts, judged, strict=True) if can]
    steps = iter([(min(1.0, p / share), part) for p, part in holm(p_values, (1 - level) * share)])
    then = 1.0 if next_share is None else next_share / share
    return tuple(
        _comparison(metric, contrast, level, *(next(steps) if can else (None, (1 - level) * share)), then=then)
        for contrast, can in zip(contrasts, judged, strict=True)
    )


def compare_picked(
    metric: Metric, labels: IntArray, a: Runs, b: Runs, level: float = 0.95, *, share: float
) -> Comparison:
    """Compare two arms that may have been picked after their scores were seen; the difference is a - b.

    Bonferroni's correction: judged at the risk (1 - level) * share, where the shares of all pairs that could have been
    picked sum to at most one.
    """
    contrast = _contrast(metric, labels, a, b)
    p_value = float(contrast_tail(contrast, contrast.difference.mean))
    adjusted = None if contrast.seeds == 1 else min(1.0, p_value / share)
    return _comparison(metric, contrast, level, adjusted, (1 - level) * share)


def holm(p_values: Sequence[float], risk: float) -> list[tuple[float, float]]:
    """Judge a family: for each p-value the adjusted one, and the share of `risk` that it was judged at.

    >>> [(round(p, 3), round(share, 3)) for p, share in holm([0.02, 0.001, 0.6], 0.06)]
    [(0.04, 0.03), (0.003, 0.02), (0.6, 0.06)]
    """
    count = len(p_values)
    order = sorted(range(count), key=p_values.__getitem__)
    scaled = [min(1.0, (count - step) * p_values[index]) for step, index in enumerate(order)]
    adjusted = np.maximum.accumulate(np.asarray(scaled))
    rejected = int((adjusted <= risk).sum())
    judged = {index: (float(adjusted[step]), risk / (count - min(step, rejected))) for step, index in enumerate(order)}
    return [judged[index] for index in range(count)]


def spread_of(values: FloatArray, *, trained: bool = True, bounds: tuple[float, float] | None = (0.0, 1.0)) -> Spread:
    """Split the variance of the mean of `values` (..., seeds, items) into its sources.

    The mean squares of the two-way table without replication (Brennan 2001, chapter 3). Items get one imaginary item
    at each of `bounds`: for a proportion that gives Wilson's variance, for a difference it is Bonett and Price's
    adjustment (2012). Without it a few items on which all agree would leave no variance at all. Values without bounds
    get none; their items' variance is that of Student's t instead, for it is estimated from few.
    """
    seeds, items = values.shape[-2:]
    rows, columns = values.mean(axis=-1), values.mean(axis=-2)
    mean = rows.mean(axis=-1)
    row_squares = np.square(rows - mean[..., None]).sum(axis=-1)
    column_squares = np.square(columns - mean[..., None]).sum(axis=-1)
    total = np.einsum("...si,...si->...", values, values) - seeds * items * mean**2
    rest = np.maximum(total - items * row_squares - seeds * column_squares, 0.0)
    if bounds is None:
        heavy = (items - 1) / (items - 3) if items > 3 else 3.0
        by_item = column_squares / (items * max(items - 1, 1)) * heavy + LEAST
    else:
        middle = (items * mean + sum(bounds)) / (items + 2)
        imaginary = sum((bound - middle) ** 2 for bound in bounds) + items * (mean - middle) ** 2
        by_item = (column_squares + imaginary) / (items * (items + 2))
    alone = max(seeds - 1, 1)
    return Spread(
        mean=mean,
        by_seed=row_squares / (alone * seeds),
        by_item=by_item,
        by_both=rest / (alone * (items - 1) * seeds * items),
        freedom=np.full_like(mean, alone),
        seeds=seeds if trained else 0,
        items=items,
        bounded=bounds is not None,
    )


def contrast_of(
    a: FloatArray, b: FloatArray, *, paired: bool, trained: tuple[bool, bool] = (True, True), bounded: bool = True
) -> Contrast:
    """Compare values (..., seeds, items) of two arms; paired means that row i has the same data seed in both.

    Without pairing the seeds' variances add up, with the degrees of freedom of Welch and Satterthwaite (1946).
    """
    single, double = ((0.0, 1.0), (-1.0, 1.0)) if bounded else (None, None)
    spread_a, spread_b = (
        spread_of(a, trained=trained[0], bounds=single),
        spread_of(b, trained=trained[1], bounds=single),
    )
    if paired:
        return Contrast(difference=spread_of(a - b, bounds=double), a=spread_a, b=spread_b)
    items = spread_of((a.mean(axis=-2) - b.mean(axis=-2))[..., None, :], bounds=double)
    by_seed = spread_a.by_seed + spread_b.by_seed
    squares = spread_a.by_seed**2 / spread_a.freedom + spread_b.by_seed**2 / spread_b.freedom
    freedom = np.divide(by_seed**2, squares, out=np.ones_like(by_seed), where=squares > 0)
    difference = replace(items, by_seed=by_seed, by_both=spread_a.by_both + spread_b.by_both, freedom=freedom)
    return Contrast(difference=difference, a=spread_a, b=spread_b)


def tail_probability(shift: FloatArray, spread: Spread) -> FloatArray:
    """Two-sided p-value of a mean that lies `shift` away from its hypothesis.

    The generalised p-value (Weerahandi 1993; Hannig, Iyer and Patterson 2006): the seeds' mean square over its
    chi-square takes the place of its expectation, what the interaction explains is taken off (never below 0), and the
    rest is normal. With seeds alone it is Student's t, without seeds the normal, between them Behrens and Fisher's.
    """
    freedom, where = np.unique(spread.freedom, return_inverse=True)
    chi_square = 2 * special.gammaincinv(freedom[:, None] / 2, _QUANTILES)  # (distinct freedoms, quantiles)
    scale = (freedom[:, None] / chi_square)[where].reshape(*spread.freedom.shape, -1)
    seeds = np.maximum(spread.by_seed[..., None] * scale - spread.by_both[..., None], 0.0)
    deviation = np.sqrt(2 * (seeds + spread.by_item[..., None]))
    tails: FloatArray = special.erfc(np.abs(shift)[..., None] / deviation) @ _WEIGHTS
    return tails


def score_tail(spread: Spread, hypothesis: FloatArray) -> FloatArray:
    """P-value of an expected score, with the variances that it would have there (Wilson 1927).

    For one run scored by accuracy this is Wilson's test. The interaction is not taken off: near 0 and 1 the seeds'
    distribution is skewed, and its sample variance mostly too small.
    """
    ratio = _ratio(spread, hypothesis)
    by_seed, by_item = spread.by_seed * ratio**STRETCH, spread.by_item * ratio
    stretched = replace(spread, by_seed=by_seed, by_item=by_item, by_both=np.zeros_like(ratio))
    return tail_probability(spread.mean - hypothesis, stretched)


def contrast_tail(contrast: Contrast, shift: FloatArray) -> FloatArray:
    """P-value of the difference that lies `shift` below the observed one."""
    return tail_probability(shift, _stretched(contrast, shift))


def score_bounds(spread: Spread, risk: float) -> tuple[FloatArray, FloatArray]:
    """The expected scores that are not rejected at `risk`, lowest and highest."""
    return _bounds(lambda value: score_tail(spread, value), spread.mean, *_ends(spread, 0.0), risk)


def contrast_bounds(contrast: Contrast, risk: float) -> tuple[FloatArray, FloatArray]:
    """The differences that are not rejected at `risk`, lowest and highest."""
    mean = contrast.difference.mean
    ends = _ends(contrast.difference, -1.0)
    return _bounds(lambda value: contrast_tail(contrast, mean - value), mean, *ends, risk)


def _ends(spread: Spread, lowest: float) -> tuple[FloatArray, FloatArray]:
    """Between what an interval's ends are looked for; `lowest` is the bound of bounded values."""
    if spread.bounded:
        return np.full_like(spread.mean, lowest), np.ones_like(spread.mean)
    far = FAR * np.sqrt(spread.by_seed + spread.by_item)
    return spread.mean - far, spread.mean + far


def _ratio(spread: Spread, hypothesis: FloatArray) -> FloatArray:
    """How much larger p (1 - p) is at the hypothesis than at the mean with its two imaginary items."""
    if not spread.bounded:
        return np.ones_like(hypothesis)
    middle = (spread.items * spread.mean + 1) / (spread.items + 2)
    inside = np.clip(hypothesis, 1e-9, 1 - 1e-9)
    ratio: FloatArray = inside * (1 - inside) / (middle * (1 - middle))
    return ratio


def _stretched(contrast: Contrast, shift: FloatArray) -> Spread:
    """The difference with the variances that it would have, were it lower by `shift`, but never smaller ones.

    An arm near 1 whose bad seeds were not drawn looks both too good and too steady. So each arm's variance is
    stretched as if it alone were misjudged, and the difference by the average.
    """
    a, b, difference = contrast.a, contrast.b, contrast.difference
    ratio_a, ratio_b = _ratio(a, a.mean - shift), _ratio(b, b.mean + shift)
    by_seed = a.by_seed * ratio_a**STRETCH + b.by_seed * ratio_b**STRETCH
    seeds = np.divide(by_seed, a.by_seed + b.by_seed, out=np.ones_like(by_seed), where=by_seed > 0)
    items = (a.by_item * ratio_a + b.by_item * ratio_b) / (a.by_item + b.by_item)
    seeds, items = np.maximum(seeds, 1.0), np.maximum(items, 1.0)
    by_seed, by_item, by_both = difference.by_seed * seeds, difference.by_item * items, difference.by_both * seeds
    return replace(difference, by_seed=by_seed, by_item=by_item, by_both=by_both)


def _bounds(
    tail: Callable[[FloatArray], FloatArray], mean: FloatArray, bottom: FloatArray, top: FloatArray, risk: float
) -> tuple[FloatArray, FloatArray]:
    """Where `tail` falls to `risk` below and above the mean; bottom or top where it does not. It never rises again."""
    near = np.stack([mean, mean])  # (2, ...): below, above
    far = np.stack([bottom, top])
    for _ in range(50):
        middle = (near + far) / 2
        kept = tail(middle) > risk
        near, far = np.where(kept, middle, near), np.where(kept, far, middle)
    return near[0], near[1]


def _values(metric: Metric, labels: IntArray, runs: Runs) -> FloatArray:
    """What each item adds to the score on the unit scale, averaged over model seeds: (data seeds, items)."""
    if runs.predicted.ndim != 2:
        raise ValueError(f"expected predictions of runs by items, got the shape {runs.predicted.shape}")
    seeds = runs.data_seeds if runs.data_seeds is not None else (0,)
    if len(seeds) != len(runs.predicted) or not seeds:
        raise ValueError(f"expected one run for each of {len(seeds)} data seeds, got {len(runs.predicted)} runs")
    bottom, top = BOUNDS[metric]
    values = (contributions(metric, labels, runs.predicted) - bottom) / (top - bottom)
    each = np.asarray(seeds)
    return np.stack([values[each == seed].mean(axis=0) for seed in np.unique(each)])


def _contrast(metric: Metric, labels: IntArray, a: Runs, b: Runs) -> Contrast:
    seeds_a, seeds_b = (None if runs.data_seeds is None else set(runs.data_seeds) for runs in (a, b))
    trained = (seeds_a is not None, seeds_b is not None)
    paired = all(trained) and seeds_a == seeds_b
    return contrast_of(_values(metric, labels, a), _values(metric, labels, b), paired=paired, trained=trained,
                       bounded=metric not in UNBOUNDED)  # fmt: skip


def _comparison(
    metric: Metric, contrast: Contrast, level: float, p_value: float | None, risk: float, *, then: float = 1.0
) -> Comparison:
    """Put a contrast that was judged at `risk` into words and on the metric's scale; later at `then` times the risk."""
    bottom, top = BOUNDS[metric]
    mean = contrast.difference.mean
    ends = (mean, *contrast_bounds(contrast, risk), *contrast_bounds(contrast, 1 - level))
    difference, low, high, raw_low, raw_high = ((top - bottom) * float(end) for end in ends)
    verdict: Verdict = "cannot tell"
    if p_value is not None and not low <= 0 <= high:
        verdict = "better" if low > 0 else "worse"
    is_open = p_value is not None and verdict == "cannot tell"
    return Comparison(
        difference=difference,
        low=low,
        high=high,
        level=1 - risk,
        verdict=verdict,
        basis=_basis(contrast.seeds),
        p_value=p_value,
        p_raw=float(contrast_tail(contrast, mean)) if p_value is not None else None,
        raw_low=raw_low,
        raw_high=raw_high,
        seeds=contrast.seeds,
        items=contrast.difference.items,
        more_seeds=more_seeds(contrast, risk * then) if is_open else None,
        more_items=more_items(contrast, risk * then) if is_open else None,
    )


def more_seeds(contrast: Contrast, risk: float) -> int | None:
    """How many more data seeds would decide at `risk`, as `Comparison.more_seeds` says."""
    most = MOST_SEEDS - contrast.seeds if contrast.seeds > 1 else 0
    return _least(lambda count: _decides(contrast, count, 0, risk), most)


def more_items(contrast: Contrast, risk: float) -> int | None:
    """How many more test items would decide at `risk`, as `Comparison.more_items` says."""
    return _least(lambda count: _decides(contrast, 0, count, risk), MOST_ITEMS - contrast.difference.items)


def _decides(contrast: Contrast, seeds: int, items: int, risk: float) -> bool:
    """Whether so many more seeds and items would give a verdict with the chance `POWER`."""
    now = _stretched(contrast, contrast.difference.mean)
    rarer_seeds = contrast.seeds / (contrast.seeds + seeds) if seeds else 1.0
    rarer_items = now.items / (now.items + items)
    both = now.by_both * rarer_seeds * rarer_items
    by_seed = np.maximum(now.by_seed - now.by_both, 0.0) * rarer_seeds + both
    by_item = np.maximum(now.by_item - now.by_both, 0.0) * rarer_items + both
    freedom = now.freedom * (contrast.seeds + seeds - 1) / (contrast.seeds - 1) if seeds else now.freedom
    unlucky = np.abs(now.mean) - special.ndtri(POWER) * np.sqrt(by_seed + by_item - both)
    then = replace(now, by_seed=by_seed, by_item=by_item, by_both=both, freedom=freedom)
    return bool(unlucky > 0) and bool(tail_probability(unlucky, then) <= risk)


def _basis(seeds: int) -> Basis:
    return "seeds_and_items" if seeds > 1 else "items_only"


def _least(enough: Callable[[int], bool], most: int) -> int | None:
    """The smallest count of at least 1 that is enough, None if not even `most` is."""
    if most < 1 or not enough(most):
        return None
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
