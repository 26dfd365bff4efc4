"""Continued pre-training, from the spec to the results."""

from pathlib import Path

import pytest
from project import Project, make_project, write_csv
from tiny import tiny_rows

from fewtune.compiler.sample import pretrained_on

ARMS = [{"method": "pattern+lora"}, {"method": "pattern+lora", "pretraining_steps": 4}]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Half of the texts without labels are test rows."""
    made = make_project(tmp_path, methods={"arms": ARMS, "exclude": ["encoder", "probe", "in-context"]})
    write_csv(tmp_path / "more.csv", [*tiny_rows(40, seed=2), *tiny_rows(40, seed=7)])
    write_csv(tmp_path / "general.csv", tiny_rows(30, seed=9))
    made.spec["data"] |= {"unlabelled": "more.csv", "replay": "general.csv"}
    return made


def test_it_runs_and_is_found_again(project: Project) -> None:
    planned = project.plan()
    arm = next(arm for arm in planned.plan.arms if "pre-training" in arm.name)
    assert arm.name == "pattern + LoRA r=8, 4 steps of pre-training, lr=0.005, 6 steps"
    recipe = arm.recipes[0]
    assert (recipe.pretraining_steps, recipe.replay) == (4, 0.1)
    data = planned.probed.facts.data
    rows = pretrained_on(data, recipe)
    assert {name: len(found) for name, found in rows.items()} == {"unlabelled": 29, "replay": 3}
    assert not {data.splits["unlabelled"].groups[row] for row in rows["unlabelled"]} & set(data.splits["test"].groups)
    assert project.apply().state == "succeeded", project.reporter.lines
    finished = project.sql("SELECT count(*) FROM trials WHERE state = 'finished' AND arm LIKE '%pre-training%'")
    assert finished == [[2]]
    fits = {stage.id: stage.fingerprint for stage in planned.plan.stages if stage.kind == "train"}
    write_csv(project.folder / "general.csv", tiny_rows(30, seed=10))
    again = {stage.id: stage.fingerprint for stage in project.plan().plan.stages if stage.kind == "train"}
    assert {id for id in fits if fits[id] != again[id]} == {id for id in fits if "pre-training" in id}


@pytest.mark.parametrize(
    ("data", "pins", "message"),
    [
        ({}, {"pretraining_steps": 4}, "no texts without labels to go on with"),
        ({"unlabelled": "more.csv"}, {"pretraining_steps": 4, "replay": 0.2}, "no general texts to replay"),
        ({"unlabelled": "more.csv"}, {"replay": 0.2}, "replay is pinned"),
    ],
)
def test_what_cannot_be_is_refused(
    project: Project, data: dict[str, str], pins: dict[str, float], message: str
) -> None:
    for name in ("unlabelled", "replay"):
        project.spec["data"].pop(name)
    project.spec["data"] |= data
    project.spec["methods"]["arms"] = [{"method": "pattern+lora", **pins}]
    project.path  # noqa: B018 -- written once
    done = project.cli("plan", "spec.json")
    assert done.returncode != 0
    assert message in " ".join(done.stderr.split())
