"""Trainings that share their steps, through apply: the same table as one by one, nothing trained twice."""

from pathlib import Path

import pytest
from project import Project, make_project

PINS = {"steps": 6, "learning_rate": 5e-3, "rank": [2, 4], "dropout": 0.1}


def scores(made: Project) -> dict[str, float]:
    found = made.sql("SELECT trial, accuracy FROM evaluations WHERE split = 'test'")
    return {str(trial): float(str(accuracy)) for trial, accuracy in found}


def test_sharing_steps_changes_no_score_and_trains_nothing_twice(tmp_path: Path) -> None:
    tables = {"methods": {"exclude": ["pattern+full", "encoder"], "pin": PINS}}
    alone, packed = make_project(tmp_path / "alone", **tables), make_project(tmp_path / "packed", **tables)
    alone.apply(slots=1)
    done = packed.apply(slots=3)
    assert done.state == "succeeded"
    assert scores(packed) == pytest.approx(scores(alone), abs=0.03)
    attempts = packed.sql("SELECT job, arm, slots FROM attempts")
    jobs = [job for job, _, _ in attempts]
    assert len(jobs) == len(set(jobs))
    assert not [job for job in jobs if str(job).startswith("refit/")], "a trial is the same training"
    trained = {slots for _, arm, slots in attempts if "LoRA" in str(arm)}
    assert trained == {3}
    assert {slots for _, arm, slots in attempts if "LoRA" not in str(arm)} == {1, None}


def test_a_plan_for_a_tiny_model_shares_by_itself(tmp_path: Path) -> None:
    made = make_project(tmp_path, evaluation={"data_seeds": 4})
    slots = {group.slots for group in made.plan().compiled.estimate.packing}
    assert min(slots) > 1
    made.apply()
    assert made.sql("SELECT max(slots) FROM attempts") == [[max(slots)]]
