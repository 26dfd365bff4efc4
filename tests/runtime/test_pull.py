"""pull, on local folders in the layout of the hub: the real code paths, without a network."""

import json
import os
import shutil
from pathlib import Path

import pytest
from project import fewtune, write_csv
from tiny import tiny_encoder, tiny_model, tiny_rows

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a hub cache that holds one model, and a data set that lies where its name says."""
    snapshot = tmp_path / "hub" / "models--org--tiny" / "snapshots" / REVISION
    tiny_model(snapshot)
    refs = tmp_path / "hub" / "models--org--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text(REVISION)
    write_csv(tmp_path / "org" / "toy" / "train.csv", tiny_rows(40, seed=1))
    write_csv(tmp_path / "org" / "toy" / "test.csv", tiny_rows(20, seed=2))
    spec = {
        "spec_version": 1,
        "task": {"type": "classification"},
        "data": {
            "train": {"hub": "org/toy", "split": "train"},
            "test": {"hub": "org/toy", "split": "test", "rows": "1-10"},
            "label_budget": 16,
        },
        "model": {"name": "org/tiny"},
        "methods": {"exclude": ["pattern+full", "head+lora", "in-context"], "pin": {"steps": 8}},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    return tmp_path


def run(place: Path, *arguments: str) -> dict[str, object]:
    environment = {
        "HF_HUB_CACHE": str(place / "hub"), "HF_HUB_OFFLINE": "1", "FEWTUNE_CACHE": str(place / "cache"),
        "HF_DATASETS_CACHE": str(place / "datasets"), "HF_HOME": str(place / "home"),
    }  # fmt: skip
    done = fewtune(*arguments, "--json", cwd=place, env=environment, fresh=True)
    return {**json.loads(done.stdout), "status": done.returncode}


def test_plan_asks_for_pull_and_pull_writes_the_lock(place: Path) -> None:
    before = run(place, "plan", "spec.json")
    assert before["status"] == 3
    assert {fault["code"] for fault in before["diagnostics"]} == {"E-facts-missing"}  # type: ignore[attr-defined]
    pulled = run(place, "pull", "spec.json")
    assert pulled["status"] == 0, pulled
    lock = json.loads((place / "fewtune.lock").read_text())
    assert lock["models"]["org/tiny"]["revision"] == REVISION
    assert {entry["rows"] for entry in lock["data"].values()} == {40, 20}
    plan = run(place, "plan", "spec.json")
    assert plan["status"] == 0, plan
    assert plan["data"]["facts"]["rows"] == {"test": 10, "train": 40}  # type: ignore[index]


def test_an_encoder_is_pulled_and_locked_beside_the_model(place: Path) -> None:
    snapshot = place / "hub" / "models--org--encoder" / "snapshots" / REVISION
    tiny_encoder(snapshot, architecture="roberta")
    (place / "hub" / "models--org--encoder" / "refs").mkdir()
    (place / "hub" / "models--org--encoder" / "refs" / "main").write_text(REVISION)
    spec = json.loads((place / "spec.json").read_text())
    spec["model"]["encoder"], spec["methods"]["arms"] = "org/encoder", [{"method": "setfit"}]
    spec["methods"]["exclude"] = ["encoder", "probe"]
    (place / "spec.json").write_text(json.dumps(spec))
    assert run(place, "pull", "spec.json")["status"] == 0
    lock = json.loads((place / "fewtune.lock").read_text())
    assert {name: entry["revision"] for name, entry in lock["models"].items()} == dict.fromkeys(
        ("org/tiny", "org/encoder"), REVISION
    )
    assert not (place / "cache" / "models" / "all-minilm-l6-v2").exists()  # no arm reads with it
    plan = run(place, "plan", "spec.json")
    assert plan["status"] == 0, plan
    assert plan["data"]["facts"]["encoder"] == "org/encoder"  # type: ignore[index]
    spec["model"]["encoder"] = "org/tiny"
    (place / "spec.json").write_text(json.dumps(spec))
    pulled = run(place, "pull", "spec.json")
    assert pulled["diagnostics"][0]["code"] == "E-model"  # type: ignore[index]


def test_pulled_things_need_no_network_and_no_library(place: Path) -> None:
    spec = json.loads((place / "spec.json").read_text())
    spec["evaluation"] = {"data_seeds": 1, "validation": "fixed-schedule"}
    (place / "spec.json").write_text(json.dumps(spec))
    run(place, "pull", "spec.json")
    shutil.rmtree(place / "org")
    applied = run(place, "apply", "spec.json", "--in-process", "--within", "30 min")
    assert applied["status"] == 0, applied


def test_unknown_model_is_an_error_with_a_remedy(place: Path) -> None:
    spec = json.loads((place / "spec.json").read_text())
    spec["model"]["name"] = "org/absent"
    (place / "spec.json").write_text(json.dumps(spec))
    pulled = run(place, "pull", "spec.json")
    assert pulled["status"] == 11
    assert pulled["diagnostics"][0]["code"] == "E-download"  # type: ignore[index]


def test_model_code_and_pickles_are_refused(place: Path) -> None:
    snapshot = place / "hub" / "models--org--tiny" / "snapshots" / REVISION
    config = json.loads((snapshot / "config.json").read_text())
    (snapshot / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoModel": "evil.Model"}}))
    assert run(place, "pull", "spec.json")["diagnostics"][0]["code"] == "E-model"  # type: ignore[index]
    (snapshot / "config.json").write_text(json.dumps(config))
    os.remove(snapshot / "model.safetensors")
    (snapshot / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch evil'\ntR.")
    assert run(place, "pull", "spec.json")["diagnostics"][0]["code"] == "E-model"  # type: ignore[index]


def test_missing_and_unreadable_files_are_told_at_once(place: Path) -> None:
    spec = json.loads((place / "spec.json").read_text())
    spec["data"] = {"train": "absent.csv", "test": "broken.parquet", "label_budget": 16}
    (place / "spec.json").write_text(json.dumps(spec))
    (place / "broken.parquet").write_text("no parquet")
    planned = run(place, "plan", "spec.json")
    faults = {(fault["code"], fault["pointer"]) for fault in planned["diagnostics"]}  # type: ignore[attr-defined]
    assert faults == {("E-file-missing", "/data/train"), ("E-file-unreadable", "/data/test")}
