"""A file of rows and nothing else: every row is scored once a seed, by a model that never saw it."""

import json
from collections import Counter
from pathlib import Path

import pytest
from project import Project, make_project

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


def test_leaderboard_is_of_cross_validation(project: Project, tmp_path: Path) -> None:
    found = json.loads(project.cli("results", "--json").stdout)
    assert {row["split"] for row in found["data"]["leaderboard"]} == {"cv"}
    assert "by cross-validation" in found["data"]["verdict"]["sentence"]
