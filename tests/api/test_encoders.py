"""Tuned encoders from the spec to the exported model, with an encoder of the user's own."""

import json
from pathlib import Path
from typing import Any

import preloaded
import pytest
from project import Project, make_project
from tiny import tiny_encoder, tiny_model

from fewtune.api.using import export_folder, predict_source
from fewtune.specs.diagnostic import PlanError

ARMS = [
    {"method": "setfit", "pair_iterations": 4},
    {"method": "setfit+lora", "pair_iterations": 4},
    {"method": "encoder+lora"},
    {"method": "encoder+full"},
    {"method": "head+lora", "name": "head"},
]
NAMES = {"setfit": "setfit", "setfit+lora": "setfit + LoRA r=8", "encoder+lora": "encoder + LoRA r=8",
         "encoder+full": "encoder + full"}  # fmt: skip
BARE = ["encoder", "probe", "in-context", "zero-shot", "tfidf"]
COLUMNS = """
SELECT arm, training_seconds, peak_memory_bytes, trainable_parameters, adapter_bytes, latency_ms, forgetting
FROM trials WHERE state = 'finished'"""


def made(
    folder: Path, *, architecture: str = "roberta", pairs: bool = False, arms: Any = ARMS, **tables: Any
) -> Project:
    tiny_encoder(folder / "encoder", architecture=architecture)
    methods = {"arms": [{**arm, "name": NAMES[arm["method"]]} if arm["method"] in NAMES else arm for arm in arms],
               "exclude": BARE, "pin": {"steps": 6, "learning_rate": 5e-3}}  # fmt: skip
    usual = {"model": {"path": "model", "encoder_path": "encoder"}, "evaluation": {"data_seeds": 1}}
    return make_project(folder, train=24, test=24, pairs=pairs, methods=methods, **{**usual, **tables})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    found = made(tmp_path_factory.mktemp("encoders"))
    assert found.apply().state == "succeeded", found.reporter.lines
    return found


def test_causal_and_encoder_arms_stand_in_one_comparison(project: Project) -> None:
    rows = {row[0]: row[1:] for row in project.sql(COLUMNS)}
    assert {*NAMES.values(), "head", "majority"} <= rows.keys()
    costs = {cost.arm: cost for cost in project.plan().compiled.estimate.arms}
    for name in NAMES.values():
        seconds, memory, moved, size, latency, forgetting = rows[name]
        assert seconds > 0
        assert memory > 1e6
        assert latency > 0
        assert moved == costs[name].trainable_parameters > 0
        assert size > 1000
        assert forgetting is None
    assert rows["head"][-1] is not None


def test_a_second_apply_starts_nothing_and_other_weights_start_the_encoders_only(tmp_path: Path) -> None:
    found = made(tmp_path, arms=[{"method": "setfit"}, {"method": "head+lora"}])
    found.apply()
    assert found.apply().started == 0
    tiny_encoder(tmp_path / "encoder", architecture="roberta", seed=1)
    planned = found.plan()
    changed = {trial.arm for trial in planned.plan.trials if planned.changes.trials[trial.id] == "create"}
    assert changed == {"setfit"}


def script(folder: Path, rows: list[dict[str, str]]) -> list[str]:
    stdin = "".join(json.dumps(row) + "\n" for row in rows)
    done = preloaded.run(folder / "predict.py", alone=True, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["label"] for line in done.stdout.splitlines()]


@pytest.mark.parametrize("method", NAMES)
def test_an_export_says_what_predict_says(project: Project, method: str) -> None:
    """Through a script with transformers alone, and in the layout that sentence-transformers reads."""
    arm, folder = NAMES[method], project.folder / f"export-{method}"
    wanted = predict_source(project.workspace, str(project.folder / "test.csv"), arm=arm).labels
    export_folder(project.workspace, folder, merged=True, arm=arm)
    assert script(folder, [{"text": row[0]} for row in project.rows("test.csv")[1:]]) == wanted
    steps = json.loads((folder / "modules.json").read_text())
    kinds = [step["type"].rsplit(".", 1)[1] for step in steps]
    unit = ["Normalize"] if "setfit" in method else []
    assert kinds == ["Transformer", "Pooling", *unit, "Dense"]
    assert "`encoder`" in (folder / "README.md").read_text()


def test_an_encoder_is_exported_whole(project: Project) -> None:
    done = project.cli("export", "part", "--arm", NAMES["encoder+lora"], fresh=True)
    assert done.returncode == 11
    assert "export --merged" in done.stderr


def test_pairs_are_read_as_one_row(tmp_path: Path) -> None:
    found = made(tmp_path, architecture="bert", pairs=True, arms=[{"method": "encoder+full"}])
    assert found.apply().state == "succeeded"
    export_folder(found.workspace, tmp_path / "out", merged=True, arm=NAMES["encoder+full"])
    rows = [dict(zip(("premise", "hypothesis"), row, strict=False)) for row in found.rows("test.csv")[1:]]
    assert script(tmp_path / "out", rows) == predict_source(found.workspace, str(tmp_path / "test.csv")).labels


def refused(project: Project) -> list[tuple[str, str | None]]:
    with pytest.raises(PlanError) as caught:
        project.plan()
    return [(one.code, one.pointer) for one in caught.value.diagnostics if one.severity == "error"]


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    found = made(tmp_path, arms=[{"method": "setfit"}])
    tiny_model(tmp_path / "decoder")
    found.spec["model"]["encoder_path"] = "decoder"
    assert refused(found) == [("E-model", "/model/encoder_path")]
    found.spec["model"]["encoder_path"] = "nowhere"
    assert refused(found) == [("E-file-missing", "/model/encoder_path")]
    found.spec["model"] = {"path": "model", "encoder": "org/absent"}
    assert refused(found) == [("E-facts-missing", "/model/encoder")]


def test_an_encoder_that_nothing_tunes_is_named(tmp_path: Path) -> None:
    found = made(tmp_path, arms=[{"method": "head+lora"}])
    assert refused(found) == [("E-no-effect", "/model/encoder_path")]
