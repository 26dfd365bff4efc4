"""What more labels would bring, after a run with several data sizes."""

import json
from pathlib import Path

import pytest
from project import make_project

from fewtune.api.answers import results
from fewtune.api.comparing import compare_arms
from fewtune.store.learning import gained


def test_a_learning_curve_is_carried_a_step_further(tmp_path: Path) -> None:
    """The tiny task is learnt from its words, by counting them."""
    made = make_project(
        tmp_path, train=160, test=60, data={"label_budget": [8, 24, 64]}, evaluation={"data_seeds": 3},
        methods={"exclude": ["zero-shot", "in-context", "probe", "encoder", "head+lora", "pattern+full",
                             "pattern+lora"], "pin": {}},
    )  # fmt: skip
    assert made.apply().state == "succeeded"
    found = results(made.workspace)
    assert found.verdict is not None
    forecast = found.forecast
    assert forecast is not None
    assert (forecast.arm, forecast.sizes, forecast.more) == (found.verdict.chosen, (24, 64), 64)
    assert forecast.low <= forecast.gain <= forecast.high
    scores = {(row.n, row.arm): row.mean for row in found.board + found.others if row.split == "test"}
    small, large = (scores[n, forecast.arm] for n in forecast.sizes)
    assert forecast.gain == pytest.approx(gained(1 - large, large - small, forecast.sizes, 64), abs=1e-3)
    assert compare_arms(made.workspace, forecast.arm, "majority", n=24).n == 24
    told = made.cli("results")
    assert forecast.sentence.split(":")[0] in told.stdout
    data = json.loads(made.cli("results", "--json").stdout)["data"]
    assert data["forecast"]["more"] == 64


def test_one_size_foretells_nothing(tmp_path: Path) -> None:
    made = make_project(tmp_path, methods={"exclude": ["pattern+full", "encoder", "probe"], "pin": {"steps": 2}})
    made.apply()
    assert results(made.workspace).forecast is None
