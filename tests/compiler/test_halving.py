"""Successive halving over data seeds: who waits for whom, what is not compared, what it saves."""

from typing import Any

import pytest
from situations import codes, compiled

from fewtune.compiler.diff import KnownWork, diff
from fewtune.compiler.halving import Rung, rungs, share

Tables = dict[str, Any]
LORA = {"method": "pattern+lora", "rank": [2, 4, 8, 16], "learning_rate": [2e-4, 5e-4]}
GRID: Tables = {
    "data": {"label_budget": 160},
    "evaluation": {"data_seeds": 5, "halving": 2},
    "methods": {"include": ["majority", "zero-shot"], "arms": [LORA]},
}


@pytest.mark.parametrize(
    ("candidates", "seeds", "factor", "expected", "part"),
    [
        (8, 5, 2, [(1, 4), (2, 2), (4, 1)], (8 + 4 + 2 * 2 + 1) / 40),
        (9, 5, 3, [(1, 3), (3, 1)], (9 + 3 * 2 + 1 * 2) / 45),
        (3, 3, 2, [(1, 2), (2, 1)], (3 + 2 + 1) / 9),
        (7, 2, 10, [(1, 1)], (7 + 1) / 14),
        (1, 5, 2, [], 1.0),
        (8, 1, 2, [], 1.0),
    ],
)
def test_who_stays(candidates: int, seeds: int, factor: int, expected: list[tuple[int, int]], part: float) -> None:
    assert rungs(candidates, seeds, factor) == tuple(Rung(*each) for each in expected)
    assert share(candidates, seeds, rungs(candidates, seeds, factor)) == pytest.approx(part)


def test_later_seeds_wait_for_the_gates() -> None:
    plan = compiled(GRID).plan
    waits = {(trial.data_seed, trial.gate) for trial in plan.trials if "LoRA" in trial.arm}
    assert waits == {(0, None), (1, "halve/1"), (2, "halve/2"), (3, "halve/2"), (4, "halve/3")}
    assert {trial.gate for trial in plan.trials if "LoRA" not in trial.arm} == {None}, "baselines have every seed"
    gates = [gate for gate in plan.gates if gate.kind == "best-share"]
    assert [(gate.stage, gate.keep) for gate in gates] == [("halve/1", 4), ("halve/2", 2), ("halve/3", 1)]
    assert all(len(gate.arms) == 8 for gate in gates)
    for gate, seeds in zip(gates, (1, 2, 4), strict=True):
        needs = [plan.stage_index[need] for need in plan.stage_index[gate.stage].needs]
        assert {need.split for need in needs} == {"validation"}
        trials = {plan.trial_index[need.trial or ""] for need in needs}
        assert {trial.data_seed for trial in trials} == set(range(seeds))
        assert len(needs) == 8 * seeds


def test_a_trial_is_the_same_with_and_without() -> None:
    halved, whole = compiled(GRID), compiled({**GRID, "evaluation": {"data_seeds": 5}})
    assert {trial.id: trial.fingerprint for trial in halved.plan.trials} == {
        trial.id: trial.fingerprint for trial in whole.plan.trials
    }
    assert halved.plan.hash != whole.plan.hash
    saved = {cost.arm: cost.seconds.mid for cost in halved.estimate.arms}
    for cost in whole.estimate.arms:
        part = share(8, 5, rungs(8, 5, 2)) if "LoRA" in cost.arm else 1.0
        assert saved[cost.arm] == pytest.approx(part * cost.seconds.mid, rel=0.08)  # fewer share their steps


def test_a_choice_is_named_by_its_halvings() -> None:
    factors = (None, 2, 3)
    tables = [{**GRID, "evaluation": {"data_seeds": 5, "halving": factor}} for factor in factors]
    assert len({compiled(each).plan.stage_index["select"].fingerprint for each in tables}) == 3


def test_it_is_explained_and_no_limit_makes_it_a_fault() -> None:
    decision = next(each for each in compiled(GRID).plan.decisions if each.field == "/halving")
    assert (decision.value, decision.pinned) == (2, True)
    assert "4 go on, after 2 data seeds 2 go on" in decision.because
    tight = compiled({"data": {"label_budget": 160}, "evaluation": {"halving": 2}, "constraints": {"trials": 30}})
    assert "W-cut" in {warning.code for warning in tight.plan.warnings}


def test_no_more_share_a_step_than_a_halving_lets_run() -> None:
    one, two = (
        compiled({**GRID, "evaluation": {"data_seeds": 5, **more}}, device="h100") for more in ({}, {"halving": 2})
    )
    (whole,), (halved,) = (made.estimate.packing for made in (one, two))
    assert whole.slots > 8 >= halved.slots
    assert halved.trials == round(0.425 * whole.trials) == 17
    assert halved.alone_seconds == pytest.approx(0.425 * whole.alone_seconds, rel=0.01)


def test_a_dropped_arm_misses_nothing() -> None:
    plan = compiled(GRID).plan
    arms = next(gate.arms for gate in plan.gates if gate.kind == "best-share")
    first = plan.stage_index["halve/1"].fingerprint
    changes = diff(plan, KnownWork(kept={first: arms[:4]}))
    actions = {(trial.arm in arms[:4], trial.data_seed): changes.trials[trial.id]
               for trial in plan.trials if trial.arm in arms}  # fmt: skip
    assert actions == {
        **{(True, seed): "create" for seed in range(5)},
        **{(False, seed): "create" for seed in (0, 2, 3, 4)},  # what later gates decide is not known yet
        (False, 1): "drop",
    }


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({}, False),
        ({"data": {"label_budget": 16}}, True),  # nothing is held out
        ({"evaluation": {"data_seeds": 1, "halving": 2}}, True),
        ({"methods": {"exclude": ["head+lora", "pattern+full"]}}, True),  # one trained arm
    ],
)
def test_halving_that_cannot_be_is_refused(change: Tables, *, refused: bool) -> None:
    assert ("E-no-effect" in codes({**GRID, **change})) is refused
