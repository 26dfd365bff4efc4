"""Logistic regression as plain arrays: what every arm ends in that moves no weight of a network."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fewtune.runtime.train.prediction import finite_rows

Floats = NDArray[np.float64]
ITERATIONS = 1000
"""Of the solver; a few labels need about fifty."""
NARROW = 1e-6
"""A feature whose deviation is below this share of its size is a constant."""


@dataclass(frozen=True)
class Linear:
    """logits = features . coefficients + intercept."""

    coefficients: Floats
    """(labels, features)"""
    intercept: Floats
    """(labels,); minus infinity for a label that was not in the training data."""

    def probabilities(self, features: Any) -> list[tuple[float, ...]]:
        """Softmax of the logits; `features` (rows, features) may be sparse."""
        logits = self.intercept + features @ self.coefficients.T
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return finite_rows((shares / shares.sum(axis=1, keepdims=True)).tolist())

    def shares(self, features: Any) -> tuple[tuple[float, ...], ...]:
        """Sigmoid of each logit: the probability of each label by itself."""
        with np.errstate(over="ignore"):
            found = 1.0 / (1.0 + np.exp(-(self.intercept + features @ self.coefficients.T)))
        return tuple(map(tuple, found.tolist()))


def separate(features: Any, sets: Sequence[Sequence[int]], kinds: int, penalty: float = 1.0) -> Linear:
    """A logistic regression for each label against all others (one-vs-rest); logits are each label's by itself.

    Rows weigh as much as they are rare: with few rows a label would else stay below a probability of 0.5 everywhere.
    A label that no row has, or every row, is never given, or always.

    Args:
        features: (rows, features), dense or sparse.
        sets: labels of each row.
        kinds: how many labels the task has.
        penalty: scikit-learn's 1 / C.
    """
    coefficients, intercept = np.zeros((kinds, features.shape[1])), np.zeros(kinds)
    for label in range(kinds):
        own = [int(label in each) for each in sets]
        if len(set(own)) < 2:
            intercept[label] = np.inf if own[0] else -np.inf
            continue
        both = logistic(features, own, 2, penalty, balanced=True)  # the first one's logit is 0
        coefficients[label], intercept[label] = both.coefficients[1], both.intercept[1]
    return Linear(coefficients, intercept)


def separate_standardised(features: Floats, sets: Sequence[Sequence[int]], kinds: int, penalty: float) -> Linear:
    """The same on features of mean 0 and deviation 1, written as one on the features themselves."""
    return _on_standardised(features, lambda scaled: separate(scaled, sets, kinds, penalty))


def usual_set(sets: Sequence[Sequence[int]], kinds: int, features: int) -> Linear:
    """Gives the most frequent set of labels, whatever the features; of equally frequent ones the first in order."""
    counts = Counter(tuple(sorted(each)) for each in sets)
    found = min(counts, key=lambda each: (-counts[each], each))
    intercept = np.full(kinds, -np.inf)
    intercept[list(found)] = np.inf
    return Linear(np.zeros((kinds, features)), intercept)


def _on_standardised(features: Floats, fit: Callable[[Floats], Linear]) -> Linear:
    """What is fitted to features of mean 0 and deviation 1, written as one on the features themselves."""
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    scale = np.where(deviation > NARROW * (1 + np.abs(mean)), deviation, np.inf)  # a constant feature says nothing
    found = fit((features - mean) / scale)
    coefficients = found.coefficients / scale
    return Linear(coefficients, found.intercept - coefficients @ mean)


def frequencies(labels: Sequence[int], kinds: int, features: int) -> Linear:
    """Predicts the label frequencies, whatever the features."""
    counts = np.bincount(np.asarray(labels, dtype=np.int64), minlength=kinds)
    with np.errstate(divide="ignore"):
        intercept = np.log(counts / counts.sum())
    return Linear(np.zeros((kinds, features)), intercept)


def logistic(
    features: Any, labels: Sequence[int], kinds: int, penalty: float = 1.0, *, balanced: bool = False
) -> Linear:
    """Logistic regression with an L2 penalty (scikit-learn's, lbfgs); label frequencies where there is one label.

    Args:
        features: (rows, features), dense or sparse.
        labels: of each row.
        kinds: how many labels the task has.
        penalty: scikit-learn's 1 / C.
        balanced: whether rows weigh as much as their label is rare.
    """
    if len(set(labels)) < 2:
        return frequencies(labels, kinds, features.shape[1])
    from sklearn.linear_model import LogisticRegression

    weight = "balanced" if balanced else None
    fitted = LogisticRegression(C=1.0 / penalty, max_iter=ITERATIONS, class_weight=weight).fit(features, labels)
    weights, bias = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # scikit-learn keeps one row: the second label's logit, the first one's being 0
        weights, bias = np.vstack([np.zeros_like(weights), weights]), np.array([0.0, bias[0]])
    coefficients, intercept = np.zeros((kinds, weights.shape[1])), np.full(kinds, -np.inf)
    coefficients[fitted.classes_], intercept[fitted.classes_] = weights, bias
    return Linear(coefficients, intercept)


def standardised(features: Floats, labels: Sequence[int], kinds: int, penalty: float) -> Linear:
    """Logistic regression on features of mean 0 and deviation 1, written as one on the features themselves."""
    return _on_standardised(features, lambda scaled: logistic(scaled, labels, kinds, penalty))
