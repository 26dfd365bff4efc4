"""Nothing is computed twice: what an edit makes apply do again, and what it does not."""

from collections import Counter
from pathlib import Path

import pytest
from project import Project, make_project, write_csv
from tiny import tiny_rows


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(tmp_path_factory.mktemp("reuse"))
    assert made.apply().state == "succeeded"
    return made


def started(project: Project, before: int) -> list[str]:
    """Stages of the attempts that began since the journal had so many runs."""
    runs = [run.id for run in project.reader.runs()][before:]
    history = project.reader.workspace.journal.read_text()
    import json

    stages = []
    for line in history.splitlines():
        event = json.loads(line)
        if event["kind"] == "attempt_started" and event["data"]["run"] in runs:
            stages += event["data"]["stages"]
    return stages


def test_second_apply_starts_nothing(project: Project) -> None:
    size = project.reader.workspace.journal.stat().st_size
    again = project.apply()
    assert (again.state, again.started) == ("succeeded", 0)
    assert project.reader.workspace.journal.stat().st_size == size


def test_notes_start_nothing(project: Project) -> None:
    before = len(project.reader.runs())
    project.spec["notes"] = "a thought"
    again = project.apply()
    assert again.started == 0
    assert again.planned.plan.hash == project.reader.runs()[0].started.plan_hash
    assert started(project, before) == []
    assert project.reader.latest_run().started.spec["notes"] == "a thought"  # type: ignore[union-attr]


def test_out_of_domain_split_evaluates_and_does_not_train(project: Project) -> None:
    before = len(project.reader.runs())
    write_csv(project.folder / "other.csv", tiny_rows(12, seed=9))
    project.spec["data"]["ood"] = {"other": "other.csv"}
    assert project.apply().state == "succeeded"
    stages = started(project, before)
    assert stages
    assert {stage.rsplit("/", 1)[-1] for stage in stages} == {"other"}
    assert all(stage.startswith("evaluate/") for stage in stages)


def test_learning_rate_of_one_arm_retrains_that_arm_only(project: Project) -> None:
    arm = {"method": "pattern+lora", "name": "mine", "rank": 2, "learning_rate": 1e-3, "steps": 4}
    project.spec["methods"] = {"arms": [arm, {**arm, "name": "other", "rank": 4}]}
    assert project.apply().state == "succeeded"
    before = len(project.reader.runs())
    arm["learning_rate"] = 2e-3
    assert project.apply().state == "succeeded"
    stages = started(project, before)
    assert stages
    assert all("/mine" in stage for stage in stages)


def test_changed_label_reruns_what_depends_on_the_row(tmp_path: Path) -> None:
    project = make_project(tmp_path, n=12, train=80)
    project.apply()
    planned = project.plan()
    used = {sample.id: set(sample.train) for sample in planned.compiled.samples}
    count = Counter(row for rows in used.values() for row in rows)
    rows = (row for row in used["12/0"] if count[row] <= 2 and row not in used["12/1"])
    assert any(relabelled(project, row, used["12/1"]) for row in rows)
    before = len(project.reader.runs())
    project.apply()
    stages = started(project, before)
    assert any("/d0" in stage for stage in stages)
    assert not any("/d1" in stage or "zero-shot" in stage for stage in stages)


def relabelled(project: Project, row: int, other: set[int]) -> bool:
    """Give a training row another label, if that leaves the other seed's rows: it may move the labels' quotas."""
    table = project.rows("train.csv")
    changed = [list(line) for line in table]
    changed[row + 1][-1] = next(label for label in ("world", "sports") if label != table[row + 1][-1])
    project.write("train.csv", changed)
    after = {sample.id: set(sample.train) for sample in project.plan().compiled.samples}
    if after["12/1"] == other:
        return True
    project.write("train.csv", table)
    return False


def test_changed_test_label_evaluates_again(tmp_path: Path) -> None:
    project = make_project(tmp_path, train=20, test=10)
    project.apply()
    table = project.rows("test.csv")
    table[1][-1] = "sports" if table[1][-1] != "sports" else "world"
    project.write("test.csv", table)
    before = len(project.reader.runs())
    project.apply()
    stages = started(project, before)
    assert stages
    assert all(stage.startswith("evaluate/") for stage in stages)


def test_damaged_model_is_trained_again(tmp_path: Path) -> None:
    """Its size is right, one byte is not: predict refuses it, and apply makes it anew."""
    project = make_project(tmp_path, train=20, test=10, methods={"include": ["pattern+lora"]})
    project.apply()
    refit = next(stage for stage in project.plan().plan.stages if stage.kind == "refit")
    ref = project.reader.history().fitted[refit.fingerprint].artefact
    assert ref is not None
    path = project.reader.artefacts.path(ref)
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    assert project.cli("predict", "test.csv").returncode != 0
    again = project.apply()
    assert (again.state, again.started) == ("succeeded", 1)
    assert "began r0002 1" in project.reporter.lines
    assert project.cli("predict", "test.csv").returncode == 0


def test_lost_artefact_is_computed_again(tmp_path: Path) -> None:
    project = make_project(
        tmp_path, train=20, test=10, methods={"exclude": ["in-context", "head+lora", "pattern+full"]}
    )
    project.apply()
    history = project.reader.history()
    evaluation = next(iter(history.evaluated.values()))
    path = project.reader.artefacts.path(evaluation.artefact)
    path.write_bytes(path.read_bytes()[:-3])
    assert not project.plan().changes.nothing
    assert project.apply().started == 1
    assert project.plan().changes.nothing
