"""Scores of predicted classes and of texts, and what each item adds to its score.

A report needs the variance of a score over items. Accuracy is a mean of items; macro-F1 and MCC are not, so
`contributions` writes every metric as a mean of items through delete-one jackknife pseudo-values. They are exact and
take one pass over the items, because deleting one moves at most two of the counts that a metric is made of.
A metric of texts is a mean of items by itself: what stands in the place of the predicted classes are the items' scores.
Several labels of an item stand there as tallies (`tally.py`): hits and what they are measured by, summed over items.

Array shapes: labels `(items,)`, predicted `(..., items)`. A prediction below zero is "no valid answer": always wrong,
and no class of its own, so it enters no F1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fewtune.specs.evaluation import ITEM_METRICS, Metric
from fewtune.store.tally import Tallies, is_tally

IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float64]
Answers = npt.NDArray[Any]
"""Predicted classes; for a metric of texts the scores of the items; of several labels the items' tallies."""

BOUNDS: dict[Metric, tuple[float, float]] = {
    "accuracy": (0.0, 1.0), "macro_f1": (0.0, 1.0), "mcc": (-1.0, 1.0),
    "rouge_l": (0.0, 1.0), "exact_match": (0.0, 1.0), "token_f1": (0.0, 1.0),
    "preference_accuracy": (0.0, 1.0), "margin": (0.0, 1.0),
    "micro_f1": (0.0, 1.0), "subset_accuracy": (0.0, 1.0), "span_f1": (0.0, 1.0), "tag_accuracy": (0.0, 1.0),
}  # fmt: skip
"""The lowest and the highest value of each metric; of one without bounds the ends of its unit."""
UNBOUNDED: tuple[Metric, ...] = ("margin",)
"""Metrics that may have any value."""


class _Answers(NamedTuple):
    """Runs flattened to rows, classes renumbered from 0; the last column of the counts is "no valid answer"."""

    gold: npt.NDArray[np.intp]  # (items,)
    predicted: npt.NDArray[np.intp]  # (runs, items)
    hit: npt.NDArray[np.bool_]  # (runs, items)
    gold_counts: FloatArray  # (classes + 1,)
    predicted_counts: FloatArray  # (runs, classes + 1)
    hit_counts: FloatArray  # (runs, classes + 1)

    def each(self, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`counts` (runs, classes + 1) of every item's label and of its prediction, both (runs, items)."""
        return counts[:, self.gold], np.take_along_axis(counts, self.predicted, axis=1)


def score(metric: Metric, labels: IntArray, predicted: Answers) -> FloatArray:
    """Score each run of `predicted` (..., items) against `labels` (items,).

    As scikit-learn has them: macro-F1 averages over the classes that occur in the labels or in the run's valid
    predictions, MCC is the multi-class statistic of Gorodkin (2004), and 0/0 counts as 0.

    Of several labels, micro-F1 sums hits over labels and items and macro-F1 is the mean over the labels that occur;
    span-F1 counts whole spans, whatever their name, and tag accuracy words.

    Returns:
        One value for each run, shape (...).
    """
    if metric in ITEM_METRICS:
        means: FloatArray = predicted.mean(axis=-1)
        return means
    if is_tally(predicted):
        hits, met = _counted(metric, predicted)
        return _f1_of(hits.sum(axis=-2), met.sum(axis=-2))
    answers = _answers(labels, predicted)
    scores: FloatArray = _WHOLE[metric](answers).reshape(predicted.shape[:-1])
    return scores


def contributions(metric: Metric, labels: IntArray, predicted: Answers) -> FloatArray:
    """Write the score of each run as a mean over items: shape (..., items), the mean over items is `score`.

    For accuracy these are the zeros and ones. Otherwise they are the jackknife pseudo-values
    n * whole - (n - 1) * without_item of Tukey (1958), moved by a constant to have the score as their mean: the
    variance of their mean estimates the variance of the score over items (Efron and Stein 1981).
    """
    if metric in ITEM_METRICS:
        return predicted.astype(np.float64)
    if is_tally(predicted):
        return _tallied(metric, predicted)
    answers = _answers(labels, predicted)
    if metric == "accuracy":
        return answers.hit.astype(np.float64).reshape(predicted.shape)
    whole = _WHOLE[metric](answers)[:, None]
    left = _WITHOUT[metric](answers)
    values: FloatArray = whole - (labels.size - 1) * (left - left.mean(axis=1, keepdims=True))
    return values.reshape(predicted.shape)


def _answers(labels: IntArray, predicted: Answers) -> _Answers:
    if labels.ndim != 1 or labels.size < 2:
        raise ValueError(f"expected labels of at least two items in one dimension, got the shape {labels.shape}")
    if predicted.shape[-1:] != labels.shape:
        raise ValueError(f"expected one prediction for each of {labels.size} items, got the shape {predicted.shape}")
    if labels.min() < 0:
        raise ValueError("expected labels of 0 and above; only a prediction may be negative")
    flat = predicted.reshape(-1, labels.size)
    names = np.unique(np.concatenate([labels, flat[flat >= 0]]))
    gold = np.searchsorted(names, labels)
    answer = np.where(flat >= 0, np.searchsorted(names, flat), names.size)
    hit = answer == gold
    return _Answers(
        gold,
        answer,
        hit,
        np.bincount(gold, minlength=names.size + 1).astype(np.float64),
        _count(answer, np.ones_like(hit), names.size + 1),
        _count(answer, hit, names.size + 1),
    )


def _count(classes: npt.NDArray[np.intp], kept: npt.NDArray[np.bool_], columns: int) -> FloatArray:
    """Count the kept classes of each row: (runs, items) to (runs, columns)."""
    rows = np.arange(len(classes))[:, None] * columns
    counts = np.bincount((rows + classes)[kept], minlength=len(classes) * columns)
    return counts.reshape(len(classes), columns).astype(np.float64)


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide, with 0 wherever the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


PAIRS: dict[Metric, int] = {"span_f1": 0, "tag_accuracy": 1}
"""Metric of tags -> its pair of a tally."""


def _counted(metric: Metric, predicted: Tallies) -> tuple[FloatArray, FloatArray]:
    """Hits and met of each item by what F1 is averaged over, both (..., items, kinds)."""
    hits, met = predicted["hits"], predicted["met"]
    if metric == "micro_f1":
        return hits.sum(axis=-1, keepdims=True), met.sum(axis=-1, keepdims=True)
    if metric == "macro_f1":
        return hits, met
    place = PAIRS[metric]
    return hits[..., place : place + 1], met[..., place : place + 1]


def _f1_of(hits: FloatArray, met: FloatArray) -> FloatArray:
    """Mean F1 over the kinds that occur: (..., kinds) to (...)."""
    return _ratio(_ratio(2 * hits, met).sum(axis=-1), (met > 0).sum(axis=-1).astype(np.float64))


def _tallied(metric: Metric, predicted: Tallies) -> FloatArray:
    """Pseudo-values (..., items): the sums without an item are the sums less what it adds."""
    hits, met = _counted(metric, predicted)
    all_hits, all_met = hits.sum(axis=-2, keepdims=True), met.sum(axis=-2, keepdims=True)
    whole, left = _f1_of(all_hits, all_met), _f1_of(all_hits - hits, all_met - met)
    values: FloatArray = whole - (predicted.shape[-1] - 1) * (left - left.mean(axis=-1, keepdims=True))
    return values


def _accuracy(answers: _Answers) -> FloatArray:
    shares: FloatArray = answers.hit.mean(axis=1)
    return shares


def _macro_f1(answers: _Answers) -> FloatArray:
    met = (answers.gold_counts + answers.predicted_counts)[:, :-1]
    f1 = _ratio(2 * answers.hit_counts[:, :-1], met)
    mean: FloatArray = f1.sum(axis=1) / (met > 0).sum(axis=1)
    return mean


def _macro_f1_without(answers: _Answers) -> FloatArray:
    """Macro-F1 of each run without each item, (runs, items)."""
    met = answers.gold_counts + answers.predicted_counts
    met[:, -1] = 0  # "no valid answer" is no class
    f1 = _ratio(2 * answers.hit_counts, met)
    met_gold, met_answer = answers.each(met)
    hits_gold, hits_answer = answers.each(answers.hit_counts)
    f1_gold, f1_answer = answers.each(f1)
    hit = answers.hit
    # A hit takes its class one label, one prediction and one hit; a miss takes one of each of two classes.
    left_gold = met_gold - 1 - hit
    left_answer = np.where(met_answer > 0, met_answer - 1, 0.0)
    new_gold = _ratio(2 * (hits_gold - hit), left_gold)
    new_answer = _ratio(2 * hits_answer, left_answer)
    total = f1.sum(axis=1, keepdims=True) + new_gold - f1_gold + np.where(hit, 0.0, new_answer - f1_answer)
    emptied = (left_gold == 0).astype(np.float64) + (~hit & (met_answer > 0) & (left_answer == 0))
    return _ratio(total, (met > 0).sum(axis=1, keepdims=True) - emptied)


def _mcc(answers: _Answers) -> FloatArray:
    return _correlation(
        answers.hit.sum(axis=1).astype(np.float64),
        float(answers.gold.size),
        answers.predicted_counts @ answers.gold_counts,
        np.square(answers.predicted_counts).sum(axis=1),
        np.square(answers.gold_counts).sum(),
    )


def _mcc_without(answers: _Answers) -> FloatArray:
    """MCC of each run without each item, (runs, items)."""
    predicted_gold, predicted_answer = answers.each(answers.predicted_counts)
    gold_gold = answers.gold_counts[answers.gold]
    gold_answer = answers.gold_counts[answers.predicted]
    hit = answers.hit.astype(np.float64)
    product = (answers.predicted_counts @ answers.gold_counts)[:, None]
    return _correlation(
        hit.sum(axis=1, keepdims=True) - hit,
        answers.gold.size - 1.0,
        product - predicted_gold - gold_answer + hit,
        np.square(answers.predicted_counts).sum(axis=1, keepdims=True) - 2 * predicted_answer + 1,
        np.square(answers.gold_counts).sum() - 2 * gold_gold + 1,
    )


def _correlation(hits: FloatArray, items: float, product: FloatArray, predicted: FloatArray, gold: Any) -> FloatArray:
    """MCC from its sums: hits, items, and the products and squares of the class counts summed over classes."""
    spread = (items**2 - predicted) * (items**2 - gold)
    return _ratio(hits * items - product, np.sqrt(spread))


_WHOLE: dict[Metric, Callable[[_Answers], FloatArray]] = {"accuracy": _accuracy, "macro_f1": _macro_f1, "mcc": _mcc}
_WITHOUT: dict[Metric, Callable[[_Answers], FloatArray]] = {"macro_f1": _macro_f1_without, "mcc": _mcc_without}
