"""Metrics against scikit-learn, and contributions against deleting one item after another."""

import time
import warnings

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from fewtune.specs.evaluation import Metric
from fewtune.store.metrics import BOUNDS, contributions, score

Ints = npt.NDArray[np.int64]
METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1", "mcc")


def oracle(metric: Metric, labels: Ints, predicted: Ints) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one class only
        if metric == "accuracy":
            return float(accuracy_score(labels, predicted))
        if metric == "mcc":
            return float(matthews_corrcoef(labels, predicted))
        classes = sorted({*labels.tolist(), *predicted[predicted >= 0].tolist()})
        return float(f1_score(labels, predicted, average="macro", labels=classes, zero_division=0))


def cases() -> list[tuple[Ints, Ints]]:
    """Labels (items,) and predictions (2, 3, items): random, good, constant, with absent classes and no answers."""
    rng = np.random.default_rng(0)
    found = []
    for case in range(60):
        classes, items = int(rng.integers(1, 6)), int(rng.integers(3, 40))
        labels = rng.integers(0, classes, items)
        predicted = rng.integers(-1, classes + 1, (2, 3, items))
        if case % 3 == 0:
            predicted = np.where(rng.random(predicted.shape) < 0.8, labels, predicted)
        if case % 4 == 0:
            predicted[0] = rng.integers(-1, classes)
        found.append((7 * labels, np.where(predicted >= 0, 7 * predicted, -1)))  # class numbers with gaps
    return found


CASES = cases()


@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_those_of_scikit_learn(metric: Metric) -> None:
    for labels, predicted in CASES:
        scores = score(metric, labels, predicted)
        assert scores.shape == (2, 3)
        expected = [[oracle(metric, labels, run) for run in half] for half in predicted]
        np.testing.assert_allclose(scores, expected, atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_contributions_have_the_score_as_their_mean(metric: Metric) -> None:
    for labels, predicted in CASES:
        values = contributions(metric, labels, predicted)
        assert values.shape == predicted.shape
        np.testing.assert_allclose(values.mean(axis=-1), score(metric, labels, predicted), atol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_contributions_are_jackknife_pseudo_values(metric: Metric) -> None:
    for labels, predicted in CASES:
        items = labels.size
        whole = score(metric, labels, predicted)
        without = [score(metric, np.delete(labels, item), np.delete(predicted, item, axis=-1)) for item in range(items)]
        pseudo = items * whole[..., None] - (items - 1) * np.stack(without, axis=-1)
        centred = pseudo - pseudo.mean(axis=-1, keepdims=True) + whole[..., None]
        np.testing.assert_allclose(contributions(metric, labels, predicted), centred, atol=1e-9)


def test_by_hand() -> None:
    labels = np.array([0, 0, 0, 1])
    predicted = np.array([[0, 0, 1, 1], [0, 0, 0, 0], [-1, -1, -1, -1]])
    np.testing.assert_allclose(score("accuracy", labels, predicted), [3 / 4, 3 / 4, 0])
    np.testing.assert_allclose(score("macro_f1", labels, predicted), [(4 / 5 + 2 / 3) / 2, (6 / 7) / 2, 0])
    np.testing.assert_allclose(score("mcc", labels, predicted), [1 / np.sqrt(3), 0, 0])


def test_no_answer_is_wrong_and_no_class() -> None:
    labels = np.array([0, 0, 1, 1])
    silent = np.array([0, -1, 1, 1])
    assert score("accuracy", labels, silent) == 0.75
    assert score("macro_f1", labels, silent) == pytest.approx((2 / 3 + 1) / 2)


@pytest.mark.parametrize("metric", METRICS)
def test_perfect_answers_reach_the_bound(metric: Metric) -> None:
    labels = np.array([0, 1, 2, 2, 1])
    assert score(metric, labels, labels) == pytest.approx(BOUNDS[metric][1])


def test_ten_runs_of_five_thousand_items_take_no_time() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 77, 5000)
    predicted = np.where(rng.random((10, 5000)) < 0.7, labels, rng.integers(0, 77, (10, 5000)))
    start = time.perf_counter()
    for metric in METRICS:
        contributions(metric, labels, predicted)
    assert time.perf_counter() - start < 0.5  # seconds; 0.03 on an idle core


@pytest.mark.parametrize(
    ("labels", "predicted"),
    [
        (np.array([[0, 1]]), np.array([0, 1])),
        (np.array([0]), np.array([0])),
        (np.array([0, 1]), np.array([0, 1, 1])),
        (np.array([0, -1]), np.array([0, 1])),
    ],
)
def test_refuses_what_is_no_table(labels: Ints, predicted: Ints) -> None:
    with pytest.raises(ValueError, match="expected"):
        score("accuracy", labels, predicted)
