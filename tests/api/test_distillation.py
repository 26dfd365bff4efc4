"""Arms with a teacher, from the spec to the results."""

from pathlib import Path

import pytest
from project import Project, make_project, write_csv
from tiny import tiny_rows

ARMS = [
    {"method": "pattern+lora"},
    {"method": "pattern+lora", "objective": "context-distillation", "temperature": [1.0, 2.0], "demonstrations": 4},
    {"method": "pattern+full", "objective": "few-shot-distillation", "context": "Name the topic."},
]


@pytest.fixture
def taught(tmp_path: Path) -> Project:
    project = make_project(tmp_path, methods={"arms": ARMS, "exclude": ["encoder", "probe"]})
    write_csv(tmp_path / "more.csv", tiny_rows(60, seed=7))
    project.spec["data"]["unlabelled"] = "more.csv"
    return project


def test_arms_with_a_teacher_run_to_a_result(taught: Project) -> None:
    planned = taught.plan()
    plan = planned.compiled.plan
    names = [arm.name for arm in plan.arms if arm.distillation]
    assert names == [
        "pattern + LoRA r=8, context distillation, T=1",
        "pattern + LoRA r=8, context distillation, T=2",
        "pattern + full, few-shot distillation, lr=0.005, 6 steps",
    ]
    assert [arm.recipes[0].transfer for arm in plan.arms if arm.distillation] == [48, 48, 0]
    gates = [gate for gate in plan.gates if gate.kind == "teacher-leads"]
    assert len(gates) == 6
    applied = taught.apply()
    assert applied.state == "succeeded", taught.reporter.lines
    states = taught.sql("SELECT state, count(*) FROM trials WHERE arm LIKE '%distillation%' GROUP BY state")
    assert states == [["finished", 6]]
    rows = taught.sql("SELECT arm, note FROM trials WHERE note IS NOT NULL")
    assert all("nothing was distilled" in note and "distillation" in arm for arm, note in rows)
    shown = taught.cli("results").stdout
    assert shown.count("nothing was distilled") == min(6, len(rows))
    assert taught.apply().state == "succeeded"
    assert not [line for line in taught.reporter.lines if ": done" in line]


def test_a_seed_has_its_own_texts(taught: Project) -> None:
    """Two data seeds' students differ in their texts; a change of the texts retrains them and nobody else."""
    before = {stage.id: stage.fingerprint for stage in taught.plan().compiled.plan.stages if stage.kind == "train"}
    write_csv(taught.folder / "more.csv", tiny_rows(60, seed=8))
    after = {stage.id: stage.fingerprint for stage in taught.plan().compiled.plan.stages if stage.kind == "train"}
    assert {id for id in before if before[id] != after[id]} == {id for id in before if "context-distillation" in id}


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ({"method": "pattern+lora", "objective": "context-distillation"}, "no texts without labels"),
        ({"method": "head+lora", "objective": "few-shot-distillation"}, "answers with label words"),
        ({"method": "pattern+lora", "temperature": 2.0}, "temperature is pinned"),
    ],
)
def test_what_cannot_be_taught_is_refused(tmp_path: Path, arm: dict[str, object], message: str) -> None:
    project = make_project(tmp_path, methods={"arms": [arm]})
    project.path  # noqa: B018
    found = project.cli("plan", "spec.json")
    assert found.returncode != 0
    assert message in " ".join(found.stderr.split())
