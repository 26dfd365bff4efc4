"""The trace holds what the plan was made of: its values, written into a spec, give the same work again."""

import json
from typing import Any

import pytest
from situations import compiled

from fewtune.compiler.plan import Plan
from fewtune.specs.methods import ArmPin, Pins

Tables = dict[str, Any]

SITUATIONS: dict[str, tuple[Tables, dict[str, Any]]] = {
    "validated": ({"data": {"label_budget": 160}}, {}),
    "few": ({"data": {"label_budget": 16}}, {}),
    "many": ({"data": {"label_budget": 2_000}}, {"n_rows": 3_000}),
    "7B on a GPU": ({"data": {"label_budget": 64}}, {"model": "llama-7b", "device": "h100"}),
    "small memory": ({"data": {"label_budget": 64}, "constraints": {"gpu_memory": "11 GB"}},
                     {"model": "llama-7b", "device": "t4"}),
    "in a hurry": ({"data": {"label_budget": 64}, "constraints": {"wall_time": "4 min"}}, {"tokens": 40}),
    "pinned": ({"data": {"label_budget": 160}, "methods": {"pin": {"rank": 4, "schedule": "constant"}}}, {}),
    "pairs": ({"task": {"type": "pair-classification"},
               "data": {"text": None, "premise": "a", "hypothesis": "b", "label_budget": 48}}, {"labels": 3}),
}  # fmt: skip

NONE_AT_ZERO = {"pretraining_steps", "replay"}
"""What a spec leaves out where there is none."""


def traced(plan: Plan, arm: int) -> Tables:
    """The arm as the trace tells it, in the language of a spec."""
    told = {one.field.rsplit("/", 1)[-1]: one.value for one in plan.decisions if one.field.startswith(f"/arms/{arm}/")}
    pins = {name: told[name] for name in Pins.model_fields if name in ArmPin.model_fields and name in told}
    absent = {name for name, value in pins.items() if value is None or (name in NONE_AT_ZERO and not value)}
    return {"method": told["method"], **{name: value for name, value in pins.items() if name not in absent}}


def work(plan: Plan, arm: str) -> set[str]:
    """What an arm's trials are named by: all that can change their results."""
    return {trial.fingerprint for trial in plan.trials if trial.arm == arm}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_trace_gives_the_same_work_again(situation: str) -> None:
    """And with one value of it changed, other work."""
    tables, given = SITUATIONS[situation]
    plan = compiled(tables, **given).plan
    known = {one.field: one.value for one in plan.decisions}
    trained = [index for index, arm in enumerate(plan.arms) if arm.trained]
    assert trained
    for index in trained:
        arm = traced(plan, index)
        for changed in (False, True):
            written = {**arm, "name": "again", **({"max_grad_norm": 0.77} if changed else {})}
            again: Tables = json.loads(json.dumps(tables))
            again.pop("constraints", None)
            again["methods"] = {"arms": [written]}
            again["model"] = {"precision": known["/precision"]}
            again["evaluation"] = {
                "metric": known["/metric"], "data_seeds": known["/data_seeds"], "model_seeds": known["/model_seeds"],
            }  # fmt: skip
            made = compiled(again, **given).plan
            same = work(made, "again") == work(plan, plan.arms[index].name)
            assert same is not changed, plan.arms[index].name
