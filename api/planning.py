"""plan and explain: a plan as data, and its decisions by pointer or name."""

from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from fewtune.api.session import Planned
from fewtune.compiler.decision import Decision
from fewtune.compiler.detectable import detectable
from fewtune.compiler.evidence import overruled
from fewtune.compiler.flips import Flip, Flips, named_decisions
from fewtune.compiler.plan import Plan
from fewtune.compiler.sample import pool
from fewtune.compiler.situation import Situation
from fewtune.specs.diagnostic import Diagnostic, PlanError

MOST_FLIPS = 40
"""Decisions whose flips are looked for: each costs some tens of resolutions."""


def plan_data(planned: Planned) -> dict[str, Any]:
    """What `plan --json` answers with."""
    plan, estimate = planned.plan, planned.compiled.estimate
    trials = [{**trial.model_dump(mode="json"), "action": planned.changes.trials[trial.id]} for trial in plan.trials]
    return {
        "plan_hash": plan.hash,
        "experiment": plan.experiment_name,
        "facts": plan.facts.model_dump(mode="json"),
        "labels": list(plan.labels),
        "metric": plan.metric,
        "levels": [level.model_dump(mode="json") for level in plan.levels],
        "folds": plan.folds,
        "choosing": plan.choosing.model_dump(mode="json") if plan.choosing else None,
        "preferred": plan.preferred,
        "data_seeds": plan.data_seeds,
        "model_seeds": plan.model_seeds,
        "arms": [arm.model_dump(mode="json") for arm in plan.arms],
        "trials": trials,
        "stages": {"total": len(plan.stages), "missing": list(planned.changes.stages)},
        "gates": [gate.model_dump(mode="json") for gate in plan.gates],
        "decisions": [decision.model_dump(mode="json") for decision in plan.decisions],
        "estimate": estimate.model_dump(mode="json", exclude={"stage_seconds", "detectable"})
        | {"detectable": planned.detectable.model_dump(mode="json") if planned.detectable else None},
        "earlier": [one.data() for one in planned.earlier],
        "looks": {split: look.data() for split, look in planned.looks.items()},
    }


def detecting(planned: Planned, wanted: float) -> Planned:
    """The same plan, with what it would take to tell two arms apart that differ by so much.

    Raises:
        PlanError: E-usage for a difference that no two scores can have.
    """
    scale = 2.0 if planned.plan.metric == "mcc" else 1.0
    if not 0 < wanted <= scale:
        message = f"--detect {wanted:g}: a difference of {planned.plan.metric} is above 0 and at most {scale:g}"
        raise PlanError(Diagnostic(code="E-usage", message=message), exit_status=2)
    return replace(planned, detectable=detectable(planned.plan, wanted, planned.look.share if planned.look else 1.0))


def explained(plan: Plan, pointer: str | None) -> list[Decision]:
    """The decisions at or below a pointer, or with this field name, or of this arm; all without one.

    Raises:
        PlanError: E-not-found, with what there is.
    """
    if pointer is None:
        return list(plan.decisions)
    arms = [f"/arms/{index}/" for index, arm in enumerate(plan.arms) if arm.name == pointer]
    found = [
        decision
        for decision in plan.decisions
        if decision.field == pointer
        or decision.field.startswith(pointer.rstrip("/") + "/")
        or pointer in (decision.field.rsplit("/", 1)[-1], decision.decided_by)
        or any(decision.field.startswith(arm) for arm in arms)
    ]
    if not found:
        last = {decision.field.rsplit("/", 1)[-1] for decision in plan.decisions}
        names = sorted(name for name in last if not name.isdigit())
        near = get_close_matches(pointer, [*names, *(arm.name for arm in plan.arms)], 1)
        message, remedy = f"no decision is about {pointer!r}", f"there are {', '.join(names)}"
        missing = Diagnostic(code="E-not-found", message=message, nearest=near[0] if near else None, remedy=remedy)
        raise PlanError(missing, exit_status=7)
    return found


def flips(planned: Planned, decisions: list[Decision]) -> dict[str, tuple[Flip, ...]]:
    """Place of a decision -> the nearest changes of facts that would flip it; none for pins, cuts and long lists."""
    if len(decisions) > MOST_FLIPS:
        return {}
    facts = planned.probed.facts
    search = Flips(Situation.first(planned.plan.experiment, facts, pool(facts.data)[0]))
    names = {decision.field: name for name, decision in named_decisions(planned.plan)}
    return {
        one.field: tuple(search.of(names[one.field]))
        for one in decisions
        if not one.pinned and one.rule != "budget" and not one.field.startswith("/left_out/")
    }


def explained_data(planned: Planned, decisions: list[Decision], found: dict[str, tuple[Flip, ...]]) -> dict[str, Any]:
    """What `explain --json` answers with: each decision with the rows that it overruled, and what would flip it."""
    said = [
        one.model_dump(mode="json")
        | {"overruled": list(overruled(one))}
        | {"flips": [flip.model_dump(mode="json") for flip in found.get(one.field, ())]}
        for one in decisions
    ]
    return {"plan_hash": planned.plan.hash, "decisions": said}
