"""The plan's gates, evaluated on what was measured: which arms go on, and which one is chosen."""

from collections import defaultdict
from collections.abc import Collection

from fewtune.compiler.plan import Gate, Plan, Stage
from fewtune.store.event import ArmScore, Selected
from fewtune.store.history import History

NEVER = -2.0
"""Below every value of every metric: an arm without a score is chosen last."""


def choose(
    plan: Plan, stage: Stage, gate: Gate, history: History, run: str, *, dropped: Collection[str] = ()
) -> Selected:
    """Decide the gate: the best mean validation score, or the first arm of the rules' order; ties by that order.

    Args:
        plan: whose gate.
        stage: what the gate decides; its scores are compared.
        gate: the choice, or a halving.
        history: what was measured.
        run: that asks.
        dropped: arms that earlier halvings left behind: a mean over fewer seeds is not compared.
    """
    measured = {} if gate.kind == "rules-order" else validation_scores(plan, stage, history)
    scores = {arm: value for arm, value in measured.items() if arm not in dropped}
    ranked = sorted(gate.arms, key=lambda arm: (arm in dropped, -scores.get(arm, NEVER), gate.arms.index(arm)))
    return Selected(
        run=run,
        fingerprint=stage.fingerprint,
        arm=ranked[0],
        gate=gate.kind,
        kept=tuple(ranked[: gate.keep]) if gate.keep else (),
        metric=plan.metric,
        n=gate.n,
        scores=tuple(ArmScore(arm=arm, value=scores.get(arm)) for arm in gate.arms),
    )


def validation_scores(plan: Plan, stage: Stage, history: History) -> dict[str, float]:
    """Arm -> mean of the plan's metric over the validation evaluations that the stage needs."""
    values: dict[str, list[float]] = defaultdict(list)
    for need in stage.needs:
        evaluation = plan.stage_index[need]
        found = history.evaluated.get(evaluation.fingerprint)
        value = getattr(found.metrics, plan.metric) if found else None
        if value is not None:
            values[evaluation.arm or ""].append(value)
    return {arm: sum(several) / len(several) for arm, several in values.items()}
