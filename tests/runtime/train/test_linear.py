"""Logistic regression on features, against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fewtune.runtime.train.linear import frequencies, standardised


def _data(kinds: int, rows: int = 60, features: int = 20) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(kinds)
    labels = np.arange(rows) % kinds
    x = source.normal(size=(rows, features)) * source.uniform(0.01, 100, features) + 5
    x[:, 0] += 3 * labels
    return x, labels


@pytest.mark.parametrize("penalty", [1.0, 100.0])
@pytest.mark.parametrize("kinds", [2, 3, 7])
def test_it_is_scikit_learns_on_standardised_features(kinds: int, penalty: float) -> None:
    x, labels = _data(kinds)
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=1000)).fit(x[:40], labels[:40])
    ours = standardised(x[:40], labels[:40].tolist(), kinds, penalty).probabilities(x[40:])
    np.testing.assert_allclose(ours, oracle.predict_proba(x[40:]), atol=1e-9)


def test_constant_features_say_nothing() -> None:
    x, labels = _data(3)
    wide = np.hstack([x, np.full((60, 2), 7.0)])
    ours = standardised(wide[:40], labels[:40].tolist(), 3, 1.0)
    assert not ours.coefficients[:, -2:].any()
    wide[:, -2:] = -1e6
    narrow = standardised(x[:40], labels[:40].tolist(), 3, 1.0)
    np.testing.assert_allclose(ours.probabilities(wide), narrow.probabilities(x), atol=1e-9)


def test_labels_without_a_training_row_are_never_predicted() -> None:
    x, labels = _data(2)
    for row in standardised(x, (1 + 2 * labels).tolist(), 5, 1.0).probabilities(x):
        assert row[0] == row[2] == row[4] == 0.0


def test_one_label_gives_frequencies() -> None:
    x, _ = _data(2)
    assert standardised(x, [1] * 60, 3, 1.0).probabilities(x[:1]) == [(0.0, 1.0, 0.0)]
    assert frequencies([0, 0, 1, 2], 3, 20).probabilities(x[:1]) == [pytest.approx((0.5, 0.25, 0.25))]
