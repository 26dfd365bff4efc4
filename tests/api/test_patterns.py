"""Ways of asking, from the spec to a prediction by what was saved."""

import json
from pathlib import Path
from typing import Any

import pytest
from project import Project, make_project

from fewtune.api.using import export_folder, predict_source
from fewtune.runtime.minilm import encoder_is_ready
from fewtune.runtime.train.state import about
from fewtune.specs.diagnostic import RunError

WORDS = {"world": ["world", "World"], "sports": ["sports", "Sports"], "business": "business", "science": "science"}
TASK: dict[str, Any] = {"patterns": ["minimal", "question", "{text} Topic:"], "verbalizer": WORDS}


def only(folder: Path, arms: list[dict[str, Any]], **tables: Any) -> Project:
    """A project with these arms alone."""
    methods = {"exclude": ["encoder", "probe", "tfidf"], "pin": {}, "arms": arms}
    return make_project(folder, test=20, task=TASK, methods=methods, evaluation={"data_seeds": 1}, **tables)


def predicted(project: Project, arm: str) -> list[str]:
    """What an arm's trial said of the test rows."""
    where = f"WHERE arm LIKE '{arm}' AND split = 'test' ORDER BY row_number"
    return [label for (label,) in project.sql(f"SELECT predicted FROM predictions {where}")]


def test_a_search_runs_to_a_prediction_and_an_export(tmp_path: Path) -> None:
    project = only(tmp_path, [{"method": "pattern+lora", "pattern_use": "search", "steps": 4}])
    assert project.apply().state == "succeeded", project.reporter.lines
    (row,) = project.sql("SELECT arm, note FROM trials WHERE note IS NOT NULL")
    assert row[0] == "pattern + LoRA r=8, pattern search, 4 steps"
    assert row[1].startswith("pattern search on 16 labelled texts: ")
    assert "pattern search on 16 labelled texts" in project.cli("results").stdout
    labels = predict_source(project.workspace, str(tmp_path / "test.csv")).labels
    assert predicted(project, "%search%") == labels, "a fresh process finds what the fit found"
    reader = project.reader
    states = [event for event in reader.history().fitted.values() if event.artefact and event.steps]
    facts = about(reader.read(states[0].artefact or ""))
    export_folder(project.workspace, tmp_path / "export")
    card = json.loads((tmp_path / "export" / "fewtune.json").read_text())
    assert card["pattern"] == facts["pattern"]
    assert [card["words"][label] for label in card["labels"]] == facts["words"]
    assert card["tokens"] == facts["tokens"]
    page = (tmp_path / "export" / "README.md").read_text()
    assert facts["pattern"] in page
    assert project.apply().state == "succeeded"
    assert not [line for line in project.reporter.lines if ": done" in line], "nothing is searched twice"


def test_an_ensemble_predicts_and_is_not_exported(tmp_path: Path) -> None:
    project = only(tmp_path, [{"method": "pattern+lora", "pattern_use": "ensemble", "steps": 4}])
    project.spec["task"] = {"type": "classification", "patterns": TASK["patterns"]}
    assert project.apply().state == "succeeded", project.reporter.lines
    assert len(predict_source(project.workspace, str(tmp_path / "test.csv")).labels) == 20
    with pytest.raises(RunError, match="mean of 3 patterns"):
        export_folder(project.workspace, tmp_path / "export")


@pytest.mark.skipif(not encoder_is_ready(), reason="the sentence encoder is not on this machine")
def test_in_context_is_calibrated_beside_nearest_examples_and_known_again(tmp_path: Path) -> None:
    arms = [{"method": "in-context", "demonstrations_by": "nearest", "calibration": "contextual", "demonstrations": 3}]
    project = only(tmp_path, arms)
    project.spec["task"] = {"type": "classification"}
    project.spec["methods"]["exclude"] += ["zero-shot", "majority"]
    assert project.apply().state == "succeeded", project.reporter.lines
    labels = predict_source(project.workspace, str(tmp_path / "test.csv")).labels
    assert predicted(project, "in-context%") == labels


def test_a_search_on_a_head_is_refused_with_its_place(tmp_path: Path) -> None:
    project = only(tmp_path, [{"method": "head+lora", "pattern_use": "search"}])
    project.spec["task"] = {"type": "classification"}
    project.path  # noqa: B018 -- written once
    found = json.loads(project.cli("plan", "spec.json", "--json").stdout)
    (fault,) = [one for one in found["diagnostics"] if one["code"] == "E-no-effect"]
    assert fault["pointer"] == "/methods/arms/0/pattern_use"
