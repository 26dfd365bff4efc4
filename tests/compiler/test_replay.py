"""The trace replays: each decision's rule, asked again in the situation as it stood, says what the plan recorded."""

from typing import Any

import pytest
from replay import Replay
from situations import SHAPES, compiled, experiment, facts

from fewtune.compiler.plan import Plan

Tables = dict[str, Any]

MORE: dict[str, tuple[Tables, Tables]] = {
    "synthetic examples": (
        {
            "data": {"label_budget": [16, 32]},
            "augmentation": {"teacher": {"model": "smollm2-135m-instruct"}, "eda": True, "max_tokens": 90_000},
        },
        {},
    ),
    "label noise": ({"data": {"label_budget": 40, "label_noise": [0.1, 0.3]}}, {}),
    "cut": ({"data": {"label_budget": [8, 64]}, "constraints": {"wall_time": "20 min"}}, {"tokens": 40}),
    "cut harder": ({"data": {"label_budget": [8, 64]}, "constraints": {"wall_time": "4 min"}}, {"tokens": 40}),
    "halved": ({"data": {"label_budget": 160}, "evaluation": {"halving": 2}}, {}),
    "distilled": (
        {
            "data": {"label_budget": 32, "unlabelled": "u.csv"},
            "methods": {"arms": [{"method": "pattern+lora", "objective": "context-distillation"}]},
        },
        {"unlabelled_rows": 80},
    ),
    "pinned": (
        {
            "data": {"label_budget": 160},
            "methods": {"pin": {"rank": 4, "steps": 20, "learning_rate": [1e-4, 2e-4], "early_stopping": False}},
            "evaluation": {"data_seeds": 4, "validation_fraction": 0.3},
            "constraints": {"forgetting": 0.01},
        },
        {},
    ),
    "a large model": (
        {"data": {"label_budget": 160}, "methods": {"include": ["pattern+qlora", "head+adapter"]}},
        {"model": "llama-7b", "device": "h100"},
    ),
}
REPLAYED = SHAPES | MORE


def replay(shape: str, plan: Plan | None = None) -> Replay:
    tables, parameters = REPLAYED[shape]
    asked = experiment(**tables)
    return Replay(plan or compiled(tables, **parameters).plan, facts(asked, **parameters))


@pytest.mark.parametrize("shape", REPLAYED)
def test_the_trace_replays(shape: str) -> None:
    """Value, reasons, evidence and alternatives; nearly all decisions are a rule's, the rest are limits and facts."""
    again = replay(shape)
    assert again.run() == []
    assert again.asked > 0.8 * len([one for one in again.plan.decisions if one.rule != "budget"])


TAMPERED: list[tuple[str, dict[str, Any], str]] = [
    ("/metric", {"value": "mcc"}, "/metric: value"),
    ("/metric", {"because": "somebody said so"}, "/metric: because"),
    ("/data_seeds", {"value": 9}, "/data_seeds: value"),
    ("/arms/6/lora/rank", {"value": 64}, "/arms/6/lora/rank: value"),
    ("/arms/6/recipes/0/steps", {"value": 61}, "/arms/6/recipes/0/steps: value"),
    ("/arms/6/recipes/0/learning_rate", {"rule": "R-048"}, "/arms/6/recipes/0/learning_rate: rule"),
]
"""A decision, what is written into it, what the replay says."""


@pytest.mark.parametrize(("field", "change", "said"), TAMPERED, ids=[f"{one} {set(two)}" for one, two, _ in TAMPERED])
def test_a_record_that_no_rule_says_is_told(field: str, change: dict[str, Any], said: str) -> None:
    plan = replay("fixed schedule").plan
    assert field in {one.field for one in plan.decisions}
    forged = tuple(one.model_copy(update=change) if one.field == field else one for one in plan.decisions)
    told = replay("fixed schedule", plan.model_copy(update={"decisions": forged})).run()
    assert any(one.startswith(said) for one in told)
