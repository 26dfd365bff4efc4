"""The embedded model for real: its packaged facts, a short run on real clauses, and exports that agree with predict."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from project import fewtune

from fewtune.api.using import export_folder, predict_source
from fewtune.runtime.folders import embedded_folder
from fewtune.runtime.probe.device import device_facts
from fewtune.runtime.probe.model import embedded_shape, shape_of
from fewtune.runtime.smollm2 import is_ready
from fewtune.runtime.tokens import tokenizer_of

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(not is_ready(), reason="the embedded model is not in the cache: make pull"),
]

ITEMS = 8
SPEC = """\
spec_version = 1
name = "clauses"
[task]
type = "classification"
[data]
train = "train.csv"
test = "test.csv"
label_budget = 12
[evaluation]
data_seeds = 2
validation = "fixed-schedule"
[methods]
exclude = ["in-context", "head+lora", "pattern+full"]
pin = { steps = 4, batch_size = 4 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which 12 clauses were learnt for four steps."""
    made = tmp_path_factory.mktemp("embedded")
    for name, rows in (("train.csv", 240), ("test.csv", ITEMS)):
        text = (ROOT / "examples" / "legal" / name).read_text()
        (made / name).write_text("".join(text.splitlines(keepends=True)[: rows + 1]))
    (made / "spec.toml").write_text(SPEC)
    done = fewtune("apply", "spec.toml", "--in-process", "--json", cwd=made, timeout=600)
    assert done.returncode == 0, done.stderr
    return made


def test_packaged_facts_are_those_of_the_converted_files() -> None:
    measured = json.loads(json.dumps(shape_of(embedded_folder())))
    assert measured == embedded_shape()
    assert tokenizer_of(embedded_folder())[1] == tokenizer_of(None)[1]


def test_results_have_every_baseline(folder: Path) -> None:
    board = json.loads(fewtune("results", "--json", cwd=folder).stdout)["data"]["leaderboard"]
    arms = {row["arm"] for row in board}
    regressions = {f"{of} + logistic regression" for of in ("TF-IDF", "frozen base", "sentence encoder")}
    assert regressions | {"majority", "zero-shot", "pattern + LoRA r=8"} == arms
    assert next(row["seeds"] for row in board if row["arm"] == "pattern + LoRA r=8") == 2


@pytest.mark.parametrize("merged", [False, pytest.param(True, marks=pytest.mark.full)])
def test_an_export_agrees_with_predict_in_fp32(folder: Path, merged: bool) -> None:
    """Adapter with plain peft, merged model with plain transformers and an empty model cache."""
    made = folder / f"merged-{merged}"
    export_folder(folder / ".fewtune", made, merged=merged)
    with (folder / "test.csv").open(newline="") as handle:
        rows = [json.dumps({"text": row["clause"]}) for row in csv.DictReader(handle)]
    environment = {**os.environ, "HF_HOME": str(folder / "empty"), "HF_HUB_OFFLINE": "1"}
    said = subprocess.run(
        [sys.executable, made / "predict.py"], input="\n".join(rows), capture_output=True, text=True, env=environment
    )
    assert said.returncode == 0, said.stderr
    expected = predict_source(folder / ".fewtune", str(folder / "test.csv"), precision="fp32").labels
    assert [json.loads(line)["label"] for line in said.stdout.splitlines()] == expected
    card = (made / "README.md").read_text()
    assert ("the labels of both agree for" in card) is device_facts().bf16, "where there are two precisions"
