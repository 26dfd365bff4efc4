"""The learning curve, carried a step further, against hand-computed values."""

import pytest

from fewtune.store.learning import anchor, forecast, gained
from fewtune.store.statistics import Comparison


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([32], None), ([16, 32], 16), ([8, 16, 64], 16), ([48, 64], 48), ([64, 16, 32, 60], 32), ([30, 40, 50], 30)],
)
def test_the_nearest_size_of_at_most_half_is_compared(sizes: list[int], expected: int | None) -> None:
    assert anchor(sizes) == expected


@pytest.mark.parametrize(
    ("error", "difference", "sizes", "more", "expected"),
    [
        (0.4, 0.1, (16, 32), 32, 0.08),  # 0.5, 0.4, then 0.32
        (0.2, 0.2, (16, 64), 64, 0.2 * (1 - 0.5**0.5)),  # halved by two doublings
        (0.4, 0.1, (16, 32), 96, 0.4 * (1 - 0.8**2)),
        (0.4, 0.0, (16, 32), 32, 0.0),
        (0.4, -0.1, (16, 32), 32, -0.1),
        (0.0, 0.1, (16, 32), 32, 0.0),
    ],
)
def test_errors_fall_by_a_power_law(
    error: float, difference: float, sizes: tuple[int, int], more: int, expected: float
) -> None:
    assert gained(error, difference, sizes, more) == pytest.approx(expected)


def test_the_interval_is_that_of_the_step() -> None:
    step = Comparison(
        difference=0.1, low=-0.02, high=0.2, level=0.95, verdict="cannot tell", basis="seeds_and_items", p_value=0.1,
        p_raw=0.1, raw_low=-0.02, raw_high=0.2, seeds=3, items=200, more_seeds=None, more_items=None,
    )  # fmt: skip
    found = forecast("pattern+lora", "accuracy", (16, 32), 0.6, step)
    assert (found.gain, found.low, found.high) == pytest.approx((0.08, -0.02, 0.4 * (1 - 0.4 / 0.6)), abs=1e-4)
    assert found.sentence == (
        "32 more labels: about +0.08 [-0.02, +0.13] accuracy for pattern+lora, by its step from 16 to 32."
    )
