"""A plan with its estimate, as rows of private tables."""

import json
from collections import Counter
from typing import Any

from fewtune.compiler.arm import Arm
from fewtune.compiler.plan import Plan
from fewtune.compiler.price import Estimate, Range
from fewtune.store.event_rows import Row, Rows


def plan_rows(run: str, plan: Plan, estimate: Estimate) -> Rows:
    """What the database keeps of the plan that a run applies."""
    tables: Rows = {
        "plan": [_whole(plan)],
        "plan_level": [{"n": level.n} for level in plan.levels],
        "plan_label": [{"number": number, "label": label} for number, label in enumerate(plan.labels)],
        "plan_arm": [_arm(place, arm) for place, arm in enumerate(plan.arms)],
        "plan_recipe": [_recipe(arm, place) for arm in plan.arms for place in range(len(arm.recipes))],
        "plan_trial": [
            {"place": place, "trial": trial.id, **trial.model_dump(exclude={"id"})}
            for place, trial in enumerate(plan.trials)
        ],
        "plan_stage": [{"stage": stage.id, **stage.model_dump(exclude={"id", "needs"})} for stage in plan.stages],
        "plan_decision": _decisions(plan),
        "plan_cost": _costs(plan, estimate),
    }
    return {table: [{"run": run, **row} for row in rows] for table, rows in tables.items()}


def _whole(plan: Plan) -> Row:
    level, facts = plan.experiment.evaluation.confidence, plan.facts
    return {"metric": plan.metric, "level": level, "model": facts.model, "model_parameters": facts.parameters}


def _arm(place: int, arm: Arm) -> Row:
    values = arm.model_dump(include={"method", "formulation", "adaptation", "role", "label_noise"})
    twin = arm.augmentation.twin if arm.augmentation else None
    return {"place": place, "arm": arm.name, "rank": arm.lora.rank if arm.lora else None, "twin": twin, **values}


def _recipe(arm: Arm, place: int) -> Row:
    return {"arm": arm.name, **arm.recipes[place].model_dump(include={"n", "steps", "batch_size", "learning_rate"})}


def _decisions(plan: Plan) -> list[Row]:
    return [
        {
            "place": place,
            **decision.model_dump(exclude={"value", "evidence", "alternatives"}),
            "value": _json(decision.value),
            "evidence": _json(decision.evidence),
            "alternatives": _json([item.model_dump(mode="json") for item in decision.alternatives]),
        }
        for place, decision in enumerate(plan.decisions)
    ]


def _costs(plan: Plan, estimate: Estimate) -> list[Row]:
    whole = {
        "arm": None,
        "trials": len(plan.trials),
        **_range("seconds", estimate.seconds),
        **_range("peak_memory", estimate.peak_memory_bytes),
        "basis": estimate.seconds.basis,
        "disk_bytes": estimate.disk_bytes.mid,
        "trainable_parameters": None,
    }
    fits = Counter(stage.arm for stage in plan.stages if stage.kind == "train")
    arms = [
        {
            "arm": cost.arm,
            "trials": cost.trials,
            **_range("seconds", cost.seconds),
            **_range("peak_memory", cost.peak_memory_bytes),
            "basis": cost.seconds.basis,
            "disk_bytes": cost.artefact_bytes * max(1, fits[cost.arm]),
            "trainable_parameters": cost.trainable_parameters,
        }
        for cost in estimate.arms
    ]
    return [whole, *arms]


def _range(name: str, estimate: Range) -> Row:
    return {f"{name}_low": estimate.low, f"{name}_mid": estimate.mid, f"{name}_high": estimate.high}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
