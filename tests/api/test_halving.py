"""Successive halving through apply: the better arms go on, the others are neither trained nor compared."""

from pathlib import Path
from typing import Any

import pytest
from project import Project, make_project

from fewtune.api.answers import results
from fewtune.runtime.train.tuner import Tuner

ARM = {"method": "pattern+lora", "steps": 12, "rank": 4}
IDLE, GOOD = 1e-9, 2e-2
"""Learning rates: an arm that stays where it was, and one that learns the toy task."""
RATES = {"idle": IDLE, "good": GOOD, "idler": IDLE / 2, "fair": GOOD / 2}
OTHERS = ["tfidf", "encoder", "probe", "zero-shot", "in-context", "head+lora", "pattern+full"]


def compared(folder: Path, **rates: float) -> Project:
    """Arms that differ by their learning rates alone."""
    arms = [{**ARM, "name": name, "learning_rate": rate} for name, rate in rates.items()]
    return make_project(
        folder, n=48, train=120, test=20,
        evaluation={"data_seeds": 3, "halving": 2, "validation": "held-out"},
        methods={"exclude": OTHERS, "pin": {}, "arms": arms},
    )  # fmt: skip


def states(made: Project) -> dict[tuple[str, int], str]:
    """(arm, data seed) -> what became of the trial in the last run."""
    rows = made.sql("SELECT arm, data_seed, state FROM trials WHERE run = (SELECT max(run) FROM runs)")
    return {(arm, seed): state for arm, seed, state in rows}


def chosen(made: Project) -> str:
    ((arm,),) = made.sql("SELECT DISTINCT arm FROM leaderboard WHERE chosen")
    return str(arm)


def test_the_worse_arms_stop_after_the_first_seed(tmp_path: Path) -> None:
    made = compared(tmp_path, **RATES)
    assert made.apply().state == "succeeded"
    found = states(made)
    assert {state for (arm, _), state in found.items() if arm == "majority"} == {"finished"}
    assert {found[arm, 0] for arm in RATES} == {"finished"}
    assert {arm for arm in RATES if found[arm, 1] == "dropped"} == {"idle", "idler"}
    last = {arm for arm in RATES if found[arm, 2] == "finished"}
    assert len(last) == 1
    assert last < {"good", "fair"}
    jobs = [str(job) for (job,) in made.sql("SELECT job FROM attempts")]
    assert not [job for job in jobs if "idle" in job and "/d0/" not in job]
    assert [line for line in made.reporter.lines if "go on: " in line]
    assert {chosen(made)} == last, "arms are compared on the same seeds"
    said = results(made.workspace).verdict
    assert said is not None
    assert "left behind by the halving: " in said.sentence
    assert "idler (1 seed)" in said.sentence
    actions = {made.plan().changes.trials[trial.id] for trial in made.plan().plan.trials if trial.arm == "idle"}
    assert actions == {"reuse", "drop"}
    assert made.apply().started == 0
    assert made.plan().changes.nothing


def test_what_is_known_decides_at_once(tmp_path: Path) -> None:
    """Every score is there already: the halvings and the choice need no job; and they leave the other choice alone."""
    made = compared(tmp_path, good=GOOD, idle=IDLE)
    made.spec["evaluation"].pop("halving")
    assert made.apply().state == "succeeded"
    made.spec["evaluation"]["halving"] = 2
    done = made.apply()
    assert (done.state, done.started) == ("succeeded", 0)
    assert chosen(made) == "good"


def test_an_arm_that_failed_is_weighed_when_it_no_longer_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, fit = compared(tmp_path, good=GOOD, idle=IDLE), Tuner.fit

    def failing(tuner: Tuner, job: Any, *more: Any) -> Any:
        if job.arm.name == "good":
            raise ValueError("not today")
        return fit(tuner, job, *more)

    monkeypatch.setattr(Tuner, "fit", failing)
    assert made.apply(slots=1).state == "partial"
    monkeypatch.setattr(Tuner, "fit", fit)
    assert made.apply(slots=1).state == "succeeded"
    assert chosen(made) == "good"
    assert states(made)["good", 2] == "finished"
