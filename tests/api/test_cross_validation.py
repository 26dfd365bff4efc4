"""A file of rows and nothing else: every row is scored once a seed, by a model that never saw it."""

import json
from collections import Counter
from pathlib import Path

import pytest
from project import Project, make_project

from fewtune.runtime.chosen import chosen as chosen_model
from fewtune.runtime.chosen import on_all_labels
from fewtune.store.predictions import parse_predictions


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(
        tmp_path_factory.mktemp("cv"), train=60, test=0,
        data={"label_budget": "all"}, evaluation={"data_seeds": 2, "folds": 3},
    )  # fmt: skip
    table = made.rows("train.csv")
    made.write("train.csv", [*table, [table[1][0].upper() + "!", table[1][1]]])  # the twin of the first row
    assert made.apply().state == "succeeded"
    return made


def events(project: Project, kind: str) -> list[dict[str, object]]:
    lines = map(json.loads, project.reader.workspace.journal.read_text().splitlines())
    return [line["data"] for line in lines if line["kind"] == kind]


def test_no_row_is_scored_by_a_model_that_saw_it(project: Project) -> None:
    planned = project.plan()
    groups = planned.probed.facts.data.train.groups
    by_content = {event["content"]: event for event in events(project, "sampled")}
    samples = {sample.id: by_content[sample.content] for sample in planned.plan.samples}
    history, checked = project.reader.history(), 0
    for stage in planned.plan.stages:
        if stage.kind != "evaluate" or stage.split != "cv" or stage.sample is None:
            continue
        predictions = parse_predictions(project.reader.read(history.evaluated[stage.fingerprint].artefact))
        seen = samples[stage.sample]
        trained = {groups[row] for row in [*seen["train"], *seen["validation"]]}  # type: ignore[misc]
        assert trained.isdisjoint(groups[row] for row in predictions.rows)
        checked += len(predictions.rows)
    assert checked


def test_every_row_is_scored_once_a_seed(project: Project) -> None:
    plan, history = project.plan().plan, project.reader.history()
    for trial in plan.trials:
        scored: Counter[int] = Counter()
        for stage in plan.stages:
            if stage.trial == trial.id and stage.split == "cv":
                scored.update(
                    parse_predictions(project.reader.read(history.evaluated[stage.fingerprint].artefact)).rows
                )
        assert set(scored) == set(range(61)), trial.id
        assert set(scored.values()) == {1}


def test_twins_share_a_fold(project: Project) -> None:
    for sample in project.plan().compiled.samples:
        if sample.scored is not None:
            assert (0 in sample.scored) == (60 in sample.scored)


def test_final_model_is_trained_on_all_rows(project: Project) -> None:
    refit = next(sample for sample in project.plan().compiled.samples if sample.id == "refit")
    assert set(refit.train) == set(range(61))
    assert any(fitted.stage_kind == "refit" for fitted in project.reader.history().fitted.values())


def test_no_model_of_a_fold_is_handed_out(project: Project) -> None:
    """Only what was trained on all rows may predict: not the other arms, and nothing before the last training."""
    plan = project.plan().plan
    chosen = project.reader.selection_of(project.reader.runs()[-1].id)
    assert chosen is not None
    for arm in plan.arms:
        if arm.seeded and arm.name != chosen.arm:
            done = project.cli("predict", "train.csv", "--arm", arm.name, "--json")
            fault = json.loads(done.stdout)["diagnostics"][0]
            assert (done.returncode, fault["code"]) == (7, "E-nothing-to-show")
            assert chosen.arm in fault["message"]
    (event,) = [e for e in project.reader.history().fitted.values() if e.stage_kind == "refit"]
    model = chosen_model(project.reader)
    assert model.fingerprint == event.fingerprint
    assert {stage.kind for stage in on_all_labels(plan, model.arm)} == {"refit"}


def test_leaderboard_is_of_cross_validation(project: Project, tmp_path: Path) -> None:
    found = json.loads(project.cli("results", "--json").stdout)
    assert {row["split"] for row in found["data"]["leaderboard"]} == {"cv"}
    assert "by cross-validation" in found["data"]["verdict"]["sentence"]
