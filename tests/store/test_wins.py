"""Who was ahead in an experiment, and how long runs took."""

from pathlib import Path

import pytest
from miniature import applied, make_plan

from fewtune.store import wins
from fewtune.store.reader import ComparisonRow, LeaderboardRow, Reader

PLAN = make_plan()
ARMS = [arm.name for arm in PLAN.arms]
CHOSEN, OTHER, *REST = ARMS[::-1]


def row(arm: str, mean: float) -> LeaderboardRow:
    return LeaderboardRow(
        experiment="e", metric="accuracy", split="test", n=32, arm=arm, rank=1, chosen=arm == CHOSEN, mean=mean,
        ci_low=mean - 0.1, ci_high=mean + 0.1, seeds=3, trials=3, diverged=0, items=40, basis="", method="", role="",
        run="r", level=0.95, look=1, looks=1,
    )  # fmt: skip


def against(arm: str, difference: float, verdict: str, width: float = 0.05) -> ComparisonRow:
    return ComparisonRow(
        experiment="e", metric="accuracy", split="test", n=32, chosen_arm=CHOSEN, arm=arm, difference=difference,
        ci_low=difference - width, ci_high=difference + width, verdict=verdict, p_value=None, basis="", seeds=3,
        items=40, more_seeds=None, more_items=None, run="r", level=0.95,
        p_raw=None, raw_low=difference - width, raw_high=difference + width, look=1,
    )  # fmt: skip


BOARD = [row(arm, 0.5) for arm in ARMS]


def test_the_chosen_arm_is_ahead_of_what_it_beats() -> None:
    compared = [against(OTHER, 0.2, "better"), *(against(arm, 0.3, "cannot tell", width=0.4) for arm in REST)]
    found = wins.contest("e", "r", PLAN, BOARD, compared)
    assert found is not None
    assert found.win is not None
    assert (found.win.arm, [(one.arm, one.low) for one in found.win.behind]) == (
        CHOSEN, [(OTHER, pytest.approx(0.15))],
    )  # fmt: skip
    assert found.undecided == len(REST)


def test_an_arm_that_beats_the_chosen_one_is_ahead_of_it_alone() -> None:
    compared = [against(OTHER, -0.2, "worse"), *(against(arm, 0.3, "better") for arm in REST)]
    found = wins.contest("e", "r", PLAN, BOARD, compared)
    assert found is not None
    assert found.win is not None
    (behind,) = found.win.behind
    assert (found.win.arm, behind.arm) == (OTHER, CHOSEN)
    assert found.win.undecided == tuple(REST[::-1])
    assert (behind.low, behind.difference, behind.high) == pytest.approx((0.15, 0.2, 0.25))


def test_the_highest_mean_alone_is_not_ahead() -> None:
    board = [row(arm, 0.9 if arm == OTHER else 0.5) for arm in ARMS]
    found = wins.contest("e", "r", PLAN, board, [against(arm, -0.4, "cannot tell", width=0.5) for arm in ARMS[:-1]])
    assert found is not None
    assert (found.leader.arm, found.win) == (OTHER, None)
    won = [against(REST[0], 0.2, "better"), against(OTHER, -0.4, "cannot tell", width=0.5)]
    found = wins.contest("e", "r", PLAN, board, won)
    assert found is not None
    assert found.win is not None
    assert (found.leader.arm, found.win.arm) == (OTHER, CHOSEN)
    assert wins.contest("e", "r", PLAN, [each for each in BOARD if each.arm != CHOSEN], []) is None


def test_whole_runs_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wins, "SHORTEST", 0.0)
    applied(tmp_path, PLAN)
    applied(tmp_path, PLAN)  # everything was there: it says nothing of the device
    (pace,) = wins.paces(Reader(tmp_path))
    assert (pace.device, pace.runs) == (PLAN.facts.device, 1)
    assert pace.methods == tuple(sorted({arm.method for arm in PLAN.arms}))
    assert 0 < pace.ratio < 10
    monkeypatch.setattr(wins, "SHORTEST", 60.0)
    assert wins.paces(Reader(tmp_path)) == ()
