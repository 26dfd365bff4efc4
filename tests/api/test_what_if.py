"""plan --what-if: what another n, another device limit or another pin would change."""

import json
from pathlib import Path
from typing import Any

import pytest
from project import fewtune

ROOT = Path(__file__).resolve().parents[2]
SPEC = "examples/quickstart.toml"


def asked(*changes: str, status: int = 0) -> dict[str, Any]:
    """What the changes do, within a limit that every processor keeps."""
    options = ["--within", "3 h", *(part for change in changes for part in ("--what-if", change))]
    done = fewtune("plan", SPEC, *options, "--json", cwd=ROOT)
    assert done.returncode == status, done.stdout
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_more_labels() -> None:
    found = asked("data.label_budget=120")["data"]
    values = {one["what"]: (one["now"], one["then"]) for one in found["values"]}
    assert values["levels/0/scheme"] == ("fixed-schedule", "held-out")
    assert values["levels/0/validation"] == (0, 24)
    assert all(now != then for now, then in values.values())
    assert found["plan_hash"]["now"] != found["plan_hash"]["then"]
    assert found["seconds"]["then"] != found["seconds"]["now"]


def test_a_pin_and_its_removal() -> None:
    found = asked("methods.pin.rank=[4, 64]")["data"]
    assert any("r=64" in name for name in found["arms"]["new"])
    assert any("r=8" in name for name in found["arms"]["gone"])
    assert found["trials"]["then"] > found["trials"]["now"]
    back = asked("methods.pin.rank=4", "methods.pin.rank=")["data"]
    assert (back["values"], back["arms"]) == ([], {"gone": [], "new": []})
    assert back["plan_hash"]["now"] == back["plan_hash"]["then"]


def test_operations_as_json() -> None:
    patch = json.dumps([{"op": "add", "path": "/methods", "value": {"exclude": ["tfidf"]}}])
    assert asked(patch)["data"]["arms"] == {"gone": ["TF-IDF + logistic regression"], "new": []}


def test_a_change_that_is_refused() -> None:
    found = asked("data.label_budget=5000", status=3)["diagnostics"]
    assert found[0]["code"] == "E-too-few-rows"
    assert found[0]["pointer"] == "/data/label_budget"
    assert asked("data.labelbudget=3", status=3)["diagnostics"][0]["code"] == "E-unknown-key"


@pytest.mark.parametrize("change", ["data.label_budget", "=3", "data..x=3", "name.x=3", "[{]", '[{"op": "turn"}]'])
def test_what_is_no_change(change: str) -> None:
    assert asked(change, status=2)["diagnostics"][0]["code"] == "E-usage"


@pytest.mark.parametrize("option", [["--save", "p.json"], ["--detect", "0.05"], ["--full"]])
def test_what_it_would_ignore_is_refused(option: list[str], tmp_path: Path) -> None:
    done = fewtune("plan", str(ROOT / SPEC), "--what-if", "data.label_budget=32", *option, cwd=tmp_path)
    assert done.returncode == 2
    assert option[0] in done.stdout + done.stderr
    assert not (tmp_path / "p.json").exists()


def test_it_is_printed() -> None:
    changes = ["--what-if", "constraints.wall_time=", "--what-if", "evaluation.data_seeds=10"]
    shown = fewtune("plan", SPEC, *changes, cwd=ROOT).stdout
    assert shown.startswith("what if constraints.wall_time=; evaluation.data_seeds=10\n")
    assert "data_seeds" in shown
    assert "trials" in shown
    assert " -> " in shown
