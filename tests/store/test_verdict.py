"""The verdict's sentence: what is named, and what is only counted where there are many arms."""

import pytest

from fewtune.store.looks import Look
from fewtune.store.reader import ComparisonRow, LeaderboardRow
from fewtune.store.verdict import MOST, verdict


def standing(arm: str, mean: float, *, chosen: bool = False) -> LeaderboardRow:
    return LeaderboardRow(
        experiment="e", metric="accuracy", split="test", n=32, arm=arm, rank=1, chosen=chosen, mean=mean,
        ci_low=mean - 0.1, ci_high=mean + 0.1, seeds=3, trials=3, diverged=0, items=100, basis="seeds_and_items",
        method="pattern+lora", role="candidate", run="r",
        level=0.95, look=None, looks=None,
    )  # fmt: skip


def against(arm: str, difference: float, judged: str) -> ComparisonRow:
    return ComparisonRow(
        experiment="e", metric="accuracy", split="test", n=32, chosen_arm="best", arm=arm, difference=difference,
        ci_low=difference - 0.05, ci_high=difference + 0.05, verdict=judged, p_value=0.01, basis="seeds_and_items",
        seeds=3, items=100, more_seeds=2, more_items=None, run="r", level=0.99, p_raw=0.005,
        raw_low=difference - 0.04, raw_high=difference + 0.04, look=None,
    )  # fmt: skip


def sentence(*rivals: tuple[float, str], dropped: int = 0) -> str:
    """Rivals are called a0, a1 ...; the last `dropped` of them were left behind."""
    names = [f"a{place}" for place in range(len(rivals))]
    board = [standing("best", 0.8, chosen=True)]
    board += [standing(name, 0.8 - gap) for name, (gap, _) in zip(names, rivals, strict=True)]
    rows = [against(name, gap, judged) for name, (gap, judged) in zip(names, rivals, strict=True)]
    found = verdict(board, rows, dropped=names[len(names) - dropped :] if dropped else ())
    assert found is not None
    return found.sentence


def test_a_few_arms_are_all_named() -> None:
    said = sentence((0.2, "better"), (0.1, "better"), (-0.1, "worse"), (0.01, "cannot tell"))
    assert "it beats a0 by 0.20 [0.15, 0.25] and a1 by 0.10 [0.05, 0.15]" in said
    assert "a2 is better by 0.10 [0.05, 0.15]; the choice was made before and stays" in said
    assert "against a3: cannot tell (+0.01 [-0.04, 0.06]), 2 more seeds would" in said


@pytest.mark.parametrize(("count", "others"), [(MOST, None), (MOST + 1, "1 other arm"), (40, "34 other arms")])
def test_of_many_the_nearest_are_named(count: int, others: str | None) -> None:
    said = sentence(*((0.5 - 0.01 * place, "better") for place in range(count)))
    assert said.count(" by ") == MOST
    assert f"a{count - 1} by" in said
    assert (f"and {others}" in said) if others else "other arm" not in said


@pytest.mark.parametrize("judged", ["worse", "cannot tell"])
def test_many_of_the_others_are_counted(judged: str) -> None:
    said = sentence(*((-0.1, judged) for _ in range(MOST + 3)))
    assert "3 other arms" in said
    assert f"against a{MOST}:" not in said
    assert f"a{MOST} is better" not in said


def test_what_a_halving_left_behind_is_not_open() -> None:
    said = sentence((0.01, "cannot tell"), (0.02, "cannot tell"), dropped=1)
    assert "left behind by the halving: a1 (3 seeds)" in said
    assert "against a1" not in said


@pytest.mark.parametrize(
    ("rivals", "look", "said"),
    [
        (1, None, None),
        (1, 1, None),
        (2, 1, "intervals of differences are 99 % ones: the risk is shared (2 comparisons)"),
        (1, 2, "intervals of differences are 99 % ones: the risk is shared (look 2 at this split)"),
        (3, 4, "intervals of differences are 99 % ones: the risk is shared (3 comparisons, look 4 at this split)"),
    ],
)
def test_levels_are_said_where_the_risk_is_shared(rivals: int, look: int | None, said: str | None) -> None:
    board = [standing("best", 0.8, chosen=True), *(standing(f"a{place}", 0.7) for place in range(rivals))]
    rows = [against(f"a{place}", 0.1, "better") for place in range(rivals)]
    at = Look(number=look, total=look, arms=rivals + 1, earlier_arms=0) if look else None
    found = verdict(board, rows, look=at)
    assert found is not None
    assert (said in found.sentence) if said else "intervals of differences" not in found.sentence
    assert ("looked at by" in found.sentence) == (look is not None and look > 1)
