"""The trace replays: each decision's rule, asked again in the situation as it stood, says what the plan recorded."""

from typing import Any

import pytest
from replay import REPLAYED, Replay
from situations import compiled, experiment, facts

from fewtune.compiler.plan import Plan


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
