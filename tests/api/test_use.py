"""The chosen model in use: predict, and exports that plain peft and plain transformers load."""

import json
from pathlib import Path

import preloaded
import pytest
from project import Project, make_project

from fewtune.api.using import export_folder, predict_source

ARMS = {
    "pattern": {"method": "pattern+lora", "rank": 4, "learning_rate": 5e-3},
    "head": {"method": "head+lora", "rank": 4, "rslora": True, "learning_rate": 5e-3},
    "four bits": {"method": "pattern+qlora", "rank": 4, "learning_rate": 5e-3},
    "dora": {"method": "pattern+dora", "rank": 4, "learning_rate": 5e-3},
    "prefix": {"method": "pattern+prefix", "virtual_tokens": 4},
    "norms": {"method": "head+norm"},
    "full": {"method": "pattern+full", "learning_rate": 5e-4},
}


@pytest.fixture(scope="module", params=list(ARMS))
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = make_project(
        tmp_path_factory.mktemp(request.param), test=24,
        model={"path": "model", "precision": "fp32"},
        methods={"exclude": [], "pin": {"steps": 12}, "arms": [ARMS[request.param]]},
    )  # fmt: skip
    assert made.apply().state == "succeeded"
    return made


@pytest.fixture(scope="module")
def labels(project: Project) -> list[str]:
    """What predict says of the test rows."""
    return predict_source(project.workspace, str(project.folder / "test.csv")).labels


def objects(project: Project) -> str:
    return "".join(json.dumps({"text": row[0]}) + "\n" for row in project.rows("test.csv")[1:])


def script(folder: Path, stdin: str, *arguments: str) -> list[str]:
    """What the exported script says, with a model cache that is empty."""
    done = preloaded.run(folder / "predict.py", *arguments, alone=True, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["label"] for line in done.stdout.splitlines()]


def test_predict_reads_files_and_standard_input(project: Project, labels: list[str]) -> None:
    assert len(labels) == 24
    if not project.folder.name.startswith("pattern"):
        return  # what the command adds is the same for all
    done = project.cli("predict", "-", "--json", "--probabilities", stdin=objects(project))
    data = json.loads(done.stdout)["data"]
    assert [row[data["columns"].index("label")] for row in data["rows"]] == labels
    shares = [sum(row[data["columns"].index("probability") + 1 :]) for row in data["rows"]]
    assert shares == pytest.approx([1.0] * 24, abs=1e-4)


def test_predictions_of_the_final_model_are_those_of_its_trial(project: Project, labels: list[str]) -> None:
    """Under a fixed schedule with a test split the final model is the first data seed's."""
    plan = project.plan().plan
    refit = next(stage for stage in plan.stages if stage.kind == "refit")
    first = next(stage for stage in plan.stages if stage.kind == "train" and stage.arm == refit.arm)
    assert refit.fingerprint == first.fingerprint
    answer = project.cli(
        "sql",
        f"SELECT predicted FROM predictions WHERE trial = '{first.trial}' AND split = 'test' ORDER BY row_number",
        "--json",
    )
    assert [row[0] for row in json.loads(answer.stdout)["data"]["rows"]] == labels


def test_merged_model_needs_nothing_but_transformers(project: Project, labels: list[str]) -> None:
    if "prefix" in project.spec["methods"]["arms"][0]["method"]:
        done = project.cli("export", "merged", "--merged")
        assert (done.returncode, "E-no-effect" in done.stderr) == (11, True)
        assert "cannot be merged" in done.stderr
        return
    export_folder(project.workspace, project.folder / "merged", merged=True)
    assert script(project.folder / "merged", objects(project)) == labels
    card = (project.folder / "merged" / "README.md").read_text()
    for part in ("interval", "Plan `", "Base model", "## Limits", "predict.py"):
        assert part in card


def test_adapter_is_plain_peft(project: Project, labels: list[str]) -> None:
    folder = project.folder / "adapter"
    if project.spec["methods"]["arms"][0]["method"] in ("pattern+full", "head+norm"):
        done = project.cli("export", "adapter")
        assert done.returncode == 11
        assert "E-no-effect" in done.stderr
        return
    export_folder(project.workspace, folder)
    assert len((folder / "predict.py").read_text().splitlines()) <= 30
    assert script(folder, objects(project), str(project.folder / "model")) == labels


def test_export_refuses_a_folder_with_files(project: Project) -> None:
    if "prefix" in project.folder.name:
        return  # has no merged form
    (project.folder / "taken").mkdir(exist_ok=True)
    (project.folder / "taken" / "file").touch()
    done = project.cli("export", "taken", "--merged", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["diagnostics"][0]["code"] == "E-usage"


def test_missing_column_is_named(project: Project) -> None:
    (project.folder / "strange.csv").write_text("words\nhello\n")
    done = project.cli("predict", "strange.csv", "--json")
    fault = json.loads(done.stdout)["diagnostics"][0]
    assert (done.returncode, fault["code"]) == (3, "E-column")
    assert "words" in fault["remedy"]
