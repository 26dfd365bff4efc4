"""A plan in few words, for who pays by the token: what would run, what it costs, what it can tell, who must agree."""

from collections import Counter
from typing import Any

from fewtune.api.client import Client
from fewtune.api.session import Planned
from fewtune.compiler.admission import Admission
from fewtune.store.submissions import Submissions
from fewtune.store.workspace import Workspace

BECAUSE = 200
"""Characters of a reason."""


def concise(planned: Planned, admission: Admission) -> dict[str, Any]:
    """What an agent needs to decide; `plan_data` has all of it."""
    plan, estimate = planned.plan, planned.compiled.estimate
    actions = Counter(planned.changes.trials.values())
    trials = Counter(trial.arm for trial in plan.trials)
    seconds = {cost.arm: round(cost.seconds.mid) for cost in estimate.arms}
    detectable = estimate.detectable
    return {
        "plan_hash": plan.hash,
        "experiment": plan.experiment_name,
        "task": plan.experiment.task.type,
        "metric": plan.metric,
        "levels": [level.n for level in plan.levels],
        "seeds": {"data": plan.data_seeds, "model": plan.model_seeds},
        "scored": plan.facts.rows.get("test") or f"{plan.folds} folds",
        "arms": [
            {"arm": arm.name, "role": arm.role, "trials": trials[arm.name], "seconds": seconds.get(arm.name)}
            for arm in plan.arms
        ],
        "trials": {"total": len(plan.trials), **actions},
        "cost": {
            "seconds": [round(estimate.seconds.low), round(estimate.seconds.mid), round(estimate.seconds.high)],
            "basis": estimate.seconds.basis,
            "peak_memory_gb": round(estimate.peak_memory_bytes.high / 1e9, 2),
            "disk_mb": round(estimate.disk_bytes.high / 1e6, 1),
        },
        "look": planned.look.data() if planned.look else None,
        "earlier": [one.data() for one in planned.earlier],
        "detectable": None if detectable is None else detectable.model_dump(mode="json"),
        "decisions": [
            {"field": d.field, "value": d.value, "rule": d.rule, "because": d.because[:BECAUSE]}
            for d in plan.decisions
            if not d.field.startswith(("/arms/", "/left_out/"))
        ],
        "left_out": [
            {"what": d.value, "rule": d.rule, "because": d.because[:BECAUSE]}
            for d in plan.decisions
            if d.field.startswith("/left_out/")
        ],
        "admission": admitted(admission),
    }


def admitted(admission: Admission) -> dict[str, Any]:
    """The policy's answer: the tier, what decides it, what would get below."""
    return {
        "tier": admission.tier,
        "because": admission.because,
        "reserve_device_hours": round(admission.reserve_device_hours, 4),
        "lower": [excess.lower for excess in admission.over],
    }


def budget(client: Client) -> dict[str, Any]:
    """What may still be done without asking the operator."""
    policy = client.in_force
    totals, each = policy.totals, policy.each
    spent = Submissions(Workspace(client.folder)).spent(totals.window.seconds)
    hours = None if totals.device_hours is None else totals.device_hours.seconds / 3600
    return {
        "submit": policy.agents_submit or client.channel == "terminal",
        "each": {name: value for name, value in each.model_dump(mode="json").items() if value is not None},
        "window": str(totals.window),
        "device_hours_left": None if hours is None else round(max(0.0, hours - spent.device_hours), 4),
        "submissions_left": None if totals.submissions is None else max(0, totals.submissions - spent.submissions),
    }
