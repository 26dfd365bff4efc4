"""What a plan still needs, given what is known: create, retry, reuse or drop."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from fewtune.compiler.plan import Plan, Stage
from fewtune.specs.frozen import Frozen

Action = Literal["create", "reuse", "retry", "drop"]
"""drop: a halving left the trial's arm behind, and it was not computed before."""
ACTIONS: tuple[Action, ...] = ("create", "retry", "reuse", "drop")


class KnownWork(Frozen):
    """Fingerprints of what earlier runs left, as the store knows them."""

    fitted: frozenset[str] = frozenset()
    """Fitted states whose artefact is intact."""
    scored: frozenset[str] = frozenset()
    """Evaluations whose predictions are intact."""
    augmented: frozenset[str] = frozenset()
    """Synthetic data sets that are intact."""
    failed: frozenset[str] = frozenset()
    """Fingerprints whose last attempt failed."""
    chosen: str | None = None
    """The arm that the plan's choice has already named."""
    kept: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Halvings that are decided, by fingerprint -> the arms that go on."""


class Changes(Frozen):
    """What apply will do."""

    trials: dict[str, Action]
    """Trial id -> action."""
    stages: tuple[str, ...]
    """Ids of the augment, train, evaluate and refit stages that are missing, refits as far as the choice is known."""

    @property
    def nothing(self) -> bool:
        """Whether everything is there."""
        return not self.stages


def diff(plan: Plan, known: KnownWork) -> Changes:
    """Compare by fingerprint.

    A state is needed only for a missing evaluation (or the refit); a new out-of-domain split therefore evaluates and
    does not train.
    """
    missing = [stage for stage in plan.stages if _missing(stage, plan, known)]
    wanted = {need for stage in missing if stage.kind in ("evaluate", "refit") for need in stage.needs}
    stages = tuple(stage.id for stage in missing if stage.kind not in ("augment", "train") or stage.id in wanted)
    touched = {plan.stage_index[stage].trial for stage in stages}
    failed = {plan.stage_index[name].trial for name in stages if plan.stage_index[name].fingerprint in known.failed}
    dropped = {stage.trial for stage in plan.stages if is_dropped(stage, plan, known.kept) and _unknown(stage, known)}
    actions: dict[str, Action] = {
        trial.id: "retry" if trial.id in failed else "create" if trial.id in touched
        else "drop" if trial.id in dropped else "reuse"
        for trial in plan.trials
    }  # fmt: skip
    return Changes(trials=actions, stages=stages)


def is_dropped(stage: Stage, plan: Plan, kept: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether a halving keeps a trial's stage from being done.

    Args:
        stage: any.
        plan: its plan.
        kept: halvings that are decided, by fingerprint -> the arms that go on.
    """
    gate = plan.trial_index[stage.trial].gate if stage.trial else None
    arms = kept.get(plan.stage_index[gate].fingerprint) if gate else None
    return arms is not None and stage.arm not in arms


def _unknown(stage: Stage, known: KnownWork) -> bool:
    """Whether a trial's stage is not there."""
    return stage.fingerprint not in (known.scored if stage.kind == "evaluate" else known.fitted)


def _missing(stage: Stage, plan: Plan, known: KnownWork) -> bool:
    if is_dropped(stage, plan, known.kept):
        return False
    if stage.kind in ("evaluate", "train"):
        return _unknown(stage, known)
    if stage.kind == "augment":
        return stage.fingerprint not in known.augmented
    if stage.kind == "refit":
        arm = plan.arm(stage.arm or "")
        return known.chosen in (None, arm.name) and arm.seeded and stage.fingerprint not in known.fitted
    return False
