"""Leaderboard and comparisons hold what `statistics` says of the predictions."""

from pathlib import Path

import miniature
import numpy as np
import pytest

from fewtune.store.query import run_sql
from fewtune.store.statistics import Runs, compare_family, score_interval
from fewtune.store.workspace import Workspace

PLAN = miniature.make_plan(seeds=3, arms=("majority", "zero-shot", "pattern + LoRA r=8"))
CHOSEN = "pattern + LoRA r=8"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("standings")
    miniature.applied(root, PLAN, publish=False)
    return Workspace(root)


def runs_of(arm: str) -> tuple[np.ndarray, Runs]:
    """Labels and answers, straight from what was predicted."""
    stages = [stage for stage in PLAN.stages if stage.arm == arm and stage.split == "test"]
    said = [miniature.predictions(stage, miniature.SKILL[arm]) for stage in stages]
    seeds = tuple(range(len(said))) if len(said) > 1 else None
    return np.asarray(said[0].labels), Runs(predicted=np.asarray([each.predicted for each in said]), data_seeds=seeds)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc"])
@pytest.mark.parametrize("arm", ["majority", "zero-shot", CHOSEN])
def test_intervals_are_those_of_the_predictions(workspace: Workspace, arm: str, metric: str) -> None:
    labels, runs = runs_of(arm)
    expected = score_interval(metric, labels, runs.predicted, runs.data_seeds, 0.95)
    columns = "mean, ci_low, ci_high, seeds, items, basis"
    sql = f"SELECT {columns} FROM leaderboard WHERE arm = '{arm}' AND metric = '{metric}' AND split = 'test'"
    [row] = run_sql(workspace, sql).rows
    assert row == [
        expected.mean, expected.low, expected.high, expected.seeds, expected.items, expected.basis,
    ]  # fmt: skip


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "mcc"])
def test_comparisons_are_one_family(workspace: Workspace, metric: str) -> None:
    labels, chosen = runs_of(CHOSEN)
    others = ["majority", "zero-shot"]
    expected = compare_family(metric, labels, chosen, [runs_of(arm)[1] for arm in others])
    columns = "arm, difference, ci_low, ci_high, verdict, p_value, basis, seeds, items, more_seeds, more_items"
    rows = run_sql(workspace, f"SELECT {columns} FROM comparisons WHERE metric = '{metric}' AND split = 'test'").rows
    assert rows == [
        [arm, c.difference, c.low, c.high, c.verdict, c.p_value, c.basis, c.seeds, c.items, c.more_seeds, c.more_items]
        for arm, c in zip(others, expected, strict=True)
    ]


def test_the_chosen_arm_is_marked_and_compared_with_every_other(workspace: Workspace) -> None:
    marked = run_sql(workspace, "SELECT DISTINCT arm FROM leaderboard WHERE chosen").rows
    compared = run_sql(workspace, "SELECT DISTINCT chosen_arm, arm FROM comparisons ORDER BY ALL").rows
    assert marked == [[CHOSEN]]
    assert compared == [[CHOSEN, "majority"], [CHOSEN, "zero-shot"]]
    ranks = run_sql(workspace, "SELECT arm, rank FROM leaderboard WHERE metric = 'accuracy' ORDER BY rank").rows
    assert ranks[0] == [CHOSEN, 1]


def test_the_journal_decides_the_order_of_nothing(workspace: Workspace, tmp_path: Path) -> None:
    """Trials that finished in another order give the same standings."""
    backwards = PLAN.model_copy(update={"trials": PLAN.trials[::-1]})
    miniature.applied(tmp_path / "w", backwards, publish=False)
    sql = "SELECT * FROM leaderboard ORDER BY metric, split, arm"
    assert run_sql(Workspace(tmp_path / "w"), sql).rows == run_sql(workspace, sql).rows
