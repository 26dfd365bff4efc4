"""What synthetic examples are worth in real ones, on curves whose answer is known."""

import math

import pytest

from fewtune.store.multiplier import multiplier

SIZES = (8, 16, 32, 64)


def curve(slope: float = 0.1, jitter: float = 0.0, seeds: int = 5) -> dict[int, dict[int, float]]:
    """Scores that rise by `slope` with each doubling; seeds differ by `jitter`."""
    return {
        size: {seed: 0.4 + slope * math.log2(size / 8) + jitter * (seed - (seeds - 1) / 2) for seed in range(seeds)}
        for size in SIZES
    }


@pytest.mark.parametrize(("score", "real"), [(0.4, 8), (0.5, 16), (0.55, 16 * 2**0.5), (0.7, 64)])
def test_the_curve_is_read_off_in_log_n(score: float, real: float) -> None:
    found = multiplier(8, dict.fromkeys(range(5), score), curve(), 0.95)
    assert found.multiplier == pytest.approx(real / 8)
    assert found.bound == ""
    assert found.seeds == 5


@pytest.mark.parametrize(("score", "bound", "times"), [(0.9, "at least", 8), (0.1, "at most", 1)])
def test_beyond_the_curve_there_is_a_bound(score: float, bound: str, times: float) -> None:
    found = multiplier(8, dict.fromkeys(range(5), score), curve(), 0.95)
    assert (found.multiplier, found.low, found.high) == (times, times, times)
    assert (found.bound, found.low_bound, found.high_bound) == (bound, bound, bound)
    said = f"{bound} {times:.1f}"
    assert found.says == f"worth {bound} {8 * times} real examples, {said} times 8 (95 % interval: {said} to {said})"


@pytest.mark.parametrize(
    ("score", "bounds", "ends"),
    [
        (0.45, ("", "at most", ""), "at most 1.0 to 5.5"),  # 0.45 +- 0.196, which is 2.776 * 0.158 / 5 ** 0.5
        (0.65, ("", "", "at least"), "1.5 to at least 8.0"),
        (0.55, ("", "at most", "at least"), "at most 1.0 to at least 8.0"),
        (0.75, ("at least", "", "at least"), "2.9 to at least 8.0"),
        (0.35, ("at most", "at most", ""), "at most 1.0 to 2.8"),
    ],
)
def test_an_end_of_the_interval_beyond_the_curve_is_a_bound(
    score: float, bounds: tuple[str, str, str], ends: str
) -> None:
    own = {seed: score + 0.1 * (seed - 2) for seed in range(5)}
    found = multiplier(8, own, curve(), 0.95)
    assert (found.bound, found.low_bound, found.high_bound) == bounds
    assert found.says.endswith(f"(95 % interval: {ends})")


def test_the_interval_holds_the_value_and_grows_with_the_scatter_of_the_seeds() -> None:
    def width(scatter: float) -> float:
        own = {seed: 0.55 + scatter * (seed - 2) for seed in range(5)}
        found = multiplier(8, own, curve(), 0.95)
        assert found.low is not None
        assert found.high is not None
        assert found.multiplier is not None
        assert found.low <= found.multiplier <= found.high
        return found.high - found.low

    assert width(0.0) == pytest.approx(0, abs=1e-9)
    assert 0 < width(0.01) < width(0.04)


def test_seeds_are_drawn_in_pairs() -> None:
    """Where a seed moves both arms alike, the multiplier does not scatter."""
    own = {seed: 0.5 + 0.02 * (seed - 2) for seed in range(5)}
    found = multiplier(8, own, curve(jitter=0.02), 0.95)
    assert (found.low, found.high) == (pytest.approx(2), pytest.approx(2))


@pytest.mark.parametrize(
    ("own", "twin", "why"),
    [
        ({0: 0.5, 1: 0.6}, {8: {0: 0.4, 1: 0.5}}, "two data sizes"),
        ({0: 0.5}, curve(), "one data seed"),
        ({0: 0.5, 1: 0.5}, curve(slope=0.0), "does not rise"),
        ({0: 0.5, 1: 0.5, 2: 0.5}, curve(slope=-0.1), "does not rise"),
        (
            {0: 0.5, 1: 0.5},
            {8: {0: 0.4, 1: 0.6}, 16: {0: 0.7, 1: 0.4}},
            "rises by 0.05 from n = 8 to 16, and scatters by",
        ),
        (
            {0: 0.5, 1: 0.5},
            {8: {0: 0.5, 1: 0.5}, 16: {0: 0.52, 1: 0.7}},  # it does rise, in both
            "rises by 0.11 from n = 8 to 16, and scatters by 0.09 (standard error over 2 data seeds)",
        ),
    ],
)
def test_where_it_cannot_be_told_it_says_so(own: dict[int, float], twin: dict[int, dict[int, float]], why: str) -> None:
    found = multiplier(8, own, twin, 0.95)
    assert (found.multiplier, found.low, found.high) == (None, None, None)
    assert found.says.startswith("cannot tell")
    assert why in found.says


def test_a_dip_of_the_curve_is_taken_for_noise() -> None:
    twin = curve()
    twin[32] = dict.fromkeys(range(5), 0.45)
    assert multiplier(8, dict.fromkeys(range(5), 0.5), twin, 0.95).multiplier == pytest.approx(2)
