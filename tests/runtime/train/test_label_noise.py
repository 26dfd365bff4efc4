"""The rate of wrong labels, and how likely each one is wrong."""

import numpy as np
import pytest
from scipy.optimize import brute

from fewtune.runtime.train.label_noise import BEYOND, Noise, noise, pooled
from fewtune.runtime.train.linear import Floats


def drawn(rows: int, kinds: int, rate: float, seed: int, sharpness: float = 2.0) -> tuple[Floats, Floats, Floats]:
    """(log-probabilities, given labels, which are wrong): right labels are drawn from the probabilities."""
    source = np.random.default_rng(seed)
    logits = source.normal(size=(rows, kinds)) * sharpness
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    right = np.array([source.choice(kinds, p=row) for row in np.exp(logs)])
    wrong = source.random(rows) < rate
    given = np.where(wrong, (right + source.integers(1, kinds, rows)) % kinds, right)
    return logs, given, wrong


@pytest.mark.parametrize(("kinds", "rate"), [(2, 0.1), (4, 0.05), (4, 0.2), (10, 0.1)])
def test_the_rate_is_found_and_the_probabilities_are_honest(kinds: int, rate: float) -> None:
    logs, given, wrong = drawn(6000, kinds, rate, seed=1, sharpness=4.0)
    found = noise([logs], given)
    assert found.rate == pytest.approx(rate, abs=0.02)
    assert found.scales == (pytest.approx(1, abs=0.12),)
    assert found.beyond_chance
    assert found.wrong.sum() == pytest.approx(wrong.sum(), rel=0.2)
    sure = found.wrong > 0.5
    assert wrong[sure].mean() == pytest.approx(found.wrong[sure].mean(), abs=0.05)


def test_a_scale_is_a_temperature() -> None:
    logs, given, _ = drawn(3000, 3, 0.0, seed=2)
    assert noise([0.5 * logs], given).scales == (pytest.approx(2, abs=0.15),)


def test_right_labels_seldom_look_wrong() -> None:
    gains = [noise(*_right(seed)).gain for seed in range(40)]
    assert sum(gain > BEYOND for gain in gains) <= 6  # 1 in 20 is 2 of 40; more than 6 has odds of 1 in 300


def _right(seed: int) -> tuple[list[Floats], Floats]:
    logs, given, _ = drawn(200, 4, 0.0, seed=seed)
    return [logs], given


def test_a_view_that_knows_nothing_gets_no_weight() -> None:
    logs, given, _ = drawn(2000, 4, 0.05, seed=3)
    blind, _, _ = drawn(2000, 4, 0.05, seed=4)
    scales = noise([logs, blind], given).scales
    assert scales[0] > 0.8
    assert scales[1] < 0.1


def test_the_fit_is_the_best_of_a_grid() -> None:
    logs, given, _ = drawn(300, 3, 0.1, seed=5)

    def loss(parameters: Floats) -> float:
        own = pooled([logs], parameters[:1])[np.arange(300), given]
        return -float(np.log((1 - parameters[1]) * own + parameters[1] * (1 - own) / 2).sum())

    found: Noise = noise([logs], given)
    best = brute(loss, ((0.2, 3.0), (1e-3, 0.4)), Ns=60, finish=None)
    assert loss(np.array([*found.scales, found.rate])) <= loss(best) + 1e-6


def test_by_hand() -> None:
    """Two labels, one view, and the posterior as Bayes has it."""
    logs = np.log(np.array([[0.9, 0.1]] * 9 + [[0.1, 0.9]] * 9))
    given = np.array([0] * 8 + [1] + [1] * 8 + [0])
    found = noise([logs], given)
    own = found.probabilities[np.arange(18), given]
    expected = found.rate * (1 - own) / ((1 - found.rate) * own + found.rate * (1 - own))
    np.testing.assert_allclose(found.wrong, expected)
    assert found.wrong[8] == found.wrong.max() > found.wrong[0]
