"""The plan's gates, evaluated on what was measured: which arms go on, and which one is chosen."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import numpy as np

from fewtune.compiler.plan import Gate, Plan, Stage
from fewtune.specs.evaluation import Metric
from fewtune.store.event import ArmScore, ArtefactRef, Evaluated, Selected
from fewtune.store.history import History
from fewtune.store.metrics import score
from fewtune.store.predictions import answers_to, parse_predictions, right_labels

Read = Callable[[ArtefactRef], bytes]

NEVER = -2.0
"""Below every value of every metric: an arm without a score is chosen last."""


def choose(
    plan: Plan, stage: Stage, gate: Gate, history: History, read: Read, run: str, *, dropped: Collection[str] = ()
) -> Selected:
    """Decide the gate: the best mean validation score, or the first arm of the rules' order; ties by that order.

    An arm for which no synthetic example stayed is its twin once more, whose luck is no reason: it comes last.

    Args:
        plan: whose gate.
        stage: what the gate decides; its scores are compared.
        gate: the choice, or a halving.
        history: what was measured.
        read: the content of a file that an event names.
        run: that asks.
        dropped: arms that earlier halvings left behind: a mean over fewer seeds is not compared.
    """
    measured = {} if gate.kind == "rules-order" else validation_scores(plan, stage, history, read)
    scores = {arm: value for arm, value in measured.items() if arm not in dropped}
    last = {*dropped, *unaugmented(plan, history, gate.n)}
    ranked = sorted(gate.arms, key=lambda arm: (arm in last, -scores.get(arm, NEVER), gate.arms.index(arm)))
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


def unaugmented(plan: Plan, history: History, n: int | None) -> frozenset[str]:
    """Arms for which no synthetic example stayed, in any sample of this size; None: of any."""
    samples = {sample.id for sample in plan.samples if n in (None, sample.n)}
    kept: dict[str, int] = {}
    for stage in plan.stages:
        needs = (plan.stage_index[need] for need in stage.needs if stage.arm is not None)
        for made in (need for need in needs if need.kind == "augment" and need.sample in samples):
            found = history.augmented.get(made.fingerprint)
            if found is not None and stage.arm is not None:
                kept[stage.arm] = kept.get(stage.arm, 0) + found.kept
    return frozenset(arm for arm, count in kept.items() if not count)


def validation_scores(plan: Plan, stage: Stage, history: History, read: Read) -> dict[str, float]:
    """Arm -> mean of the plan's metric over the validation evaluations that the stage needs.

    The parts of a sample count as one evaluation: a correlation or an F1 of four rows says nothing. An arm of which a
    part is missing has no value: a score of fewer rows is not compared.
    """
    lost = {
        plan.stage_index[need].arm for need in stage.needs
        if plan.is_part(plan.stage_index[need]) and plan.stage_index[need].fingerprint not in history.evaluated
    }  # fmt: skip
    whole: dict[tuple[str, str], list[Evaluated]] = defaultdict(list)
    for need in stage.needs:
        evaluation = plan.stage_index[need]
        found = history.evaluated.get(evaluation.fingerprint)
        if found is not None and evaluation.arm not in lost:
            sample = (evaluation.sample or "").rpartition("/")[0] if plan.is_part(evaluation) else evaluation.id
            whole[evaluation.arm or "", sample].append(found)
    values: dict[str, list[float]] = defaultdict(list)
    for (arm, _), parts in whole.items():
        value = _together(plan.metric, parts, read)
        if value is not None:
            values[arm].append(value)
    return {arm: sum(several) / len(several) for arm, several in values.items()}


def _together(metric: Metric, parts: Sequence[Evaluated], read: Read) -> float | None:
    """The metric over the rows of all parts."""
    if len(parts) == 1:
        return getattr(parts[0].metrics, metric)  # type: ignore[no-any-return]
    said = [parse_predictions(read(part.artefact)) for part in parts]
    labels = np.concatenate([right_labels(one) for one in said])
    return float(score(metric, labels, np.concatenate([answers_to(one, metric) for one in said])))
