"""Whether a plan may run: the operator's policy against what the plan asks for. Pure; nothing here widens anything."""

from collections.abc import Iterator, Mapping
from typing import Literal

from fewtune.compiler.plan import Compiled, Plan
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.frozen import Frozen
from fewtune.specs.policy import Channel, Policy
from fewtune.specs.units import Duration

HOUR = 3600.0


class Spent(Frozen):
    """What submissions of the policy's window have taken or reserved so far."""

    device_hours: float = 0.0
    submissions: int = 0


class Excess(Frozen):
    """A ceiling that a plan is above."""

    limit: str
    """Its place in the policy: each.trials, totals.device_hours ..."""
    allowed: float
    asked: float
    unit: str
    lower: str
    """The smallest change of the spec that would get below it."""

    def __str__(self) -> str:
        asked, allowed = self.asked, self.allowed
        if self.unit == "hours" and allowed < 0.1:
            return f"{self.limit}: {asked * HOUR:.4g} s asked, {allowed * HOUR:.4g} s allowed"
        return f"{self.limit}: {asked:.4g} {self.unit} asked, {allowed:.4g} allowed"


class Admission(Frozen):
    """The policy's answer to one plan."""

    tier: Literal["allowed", "approval", "refused"]
    """Allowed as it is; with the operator's word bound to this plan; or not at all."""
    over: tuple[Excess, ...] = ()
    refused: tuple[Diagnostic, ...] = ()
    reserve_device_hours: float = 0.0
    """What is reserved while it runs: the upper end of its estimate."""

    @property
    def because(self) -> str:
        """In a sentence; empty where it is allowed."""
        return "; ".join([*(fault.message for fault in self.refused), *map(str, self.over)])


def admit(compiled: Compiled, policy: Policy, channel: Channel, spent: Spent, looks: Mapping[str, int]) -> Admission:
    """Hold a plan against the policy.

    Args:
        compiled: the plan with its estimate.
        policy: the operator's.
        channel: how the request came.
        spent: what earlier submissions took.
        looks: test split -> different plans that have looked at it, this one included.
    """
    refused = tuple(_refusals(compiled.plan, policy, channel))
    over = tuple(_excesses(compiled, policy, spent, looks))
    tier: Literal["allowed", "approval", "refused"] = "refused" if refused else "approval" if over else "allowed"
    hours = device_hours(compiled)
    return Admission(tier=tier, over=over, refused=refused, reserve_device_hours=hours)


def device_hours(compiled: Compiled) -> float:
    """The upper end of a plan's device time in hours: GPU-hours, or on a machine without a GPU the machine's hours."""
    estimate = compiled.estimate
    return estimate.gpu_hours.high or estimate.seconds.high / HOUR


def _refusals(plan: Plan, policy: Policy, channel: Channel) -> Iterator[Diagnostic]:
    if channel == "agent" and not policy.agents_submit:
        message = "the operator's policy lets agents read and plan, not submit"
        remedy = "the operator may set agents_submit = true in the policy file, or apply the plan"
        yield Diagnostic(code="E-policy", message=message, remedy=remedy)
    if not policy.allows_model(plan.facts.model):
        message = f"the operator's policy has no model {plan.facts.model!r}"
        allowed = ", ".join((policy.models or ())[:6])
        remedy = f"use one of {allowed}" if allowed else "no model is allowed"
        yield Diagnostic(code="E-policy", message=message, pointer="/model", remedy=remedy)

    asked = plan.experiment.augmentation
    teacher = asked.teacher if asked else None
    if teacher and teacher.base_url and not teacher.recording and not policy.allows_teacher(teacher.base_url):
        message = f"the operator's policy lets no examples be sent to {teacher.base_url}"
        remedy = "the operator may add it to teachers in the policy file; or replay a recording"
        yield Diagnostic(code="E-policy", message=message, pointer="/augmentation/teacher/base_url", remedy=remedy)


def _excesses(compiled: Compiled, policy: Policy, spent: Spent, looks: Mapping[str, int]) -> Iterator[Excess]:
    """Each ceiling that is given and passed."""
    each, totals, estimate = policy.each, policy.totals, compiled.estimate
    hours, used = device_hours(compiled), spent.device_hours
    fewer = "fewer data seeds, methods or data sizes"
    less, later = f"constraints.wall_time, or {fewer}", f"waiting until the window of {totals.window} has passed"
    disk = None if each.disk is None else each.disk.bytes
    asked: tuple[tuple[str, float | None, float, str, str], ...] = (
        ("each.trials", each.trials, len(compiled.plan.trials), "trials", f"constraints.trials, or {fewer}"),
        ("each.device_hours", _hours(each.device_hours), hours, "hours", less),
        ("each.wall_time", _seconds(each.wall_time), estimate.seconds.high, "s", less),
        ("each.disk", disk, estimate.disk_bytes.high, "bytes", f"constraints.disk, or {fewer}"),
        (
            "each.teacher_tokens",
            each.teacher_tokens,
            teacher_tokens(compiled.plan),
            "tokens",
            "augmentation.max_tokens, or fewer data seeds or sizes",
        ),
        ("each.looks", each.looks, max(looks.values(), default=0), "looks", "no test split: cross-validation compares"),
        ("totals.device_hours", _hours(totals.device_hours), used + hours, "hours", f"{later}, or {fewer}"),
        ("totals.submissions", totals.submissions, spent.submissions + 1, "submissions", later),
    )
    for limit, allowed, wanted, unit, lower in asked:
        if allowed is not None and wanted > allowed:
            yield Excess(limit=limit, allowed=allowed, asked=wanted, unit=unit, lower=lower)


def teacher_tokens(plan: Plan) -> float:
    """The most that teachers may be asked for in a run: without a ceiling in the spec, no end is known."""
    asked = plan.experiment.augmentation
    if asked is None or asked.teacher is None or asked.teacher.recording:
        return 0
    if not any(stage.id.startswith("augment/teacher/") for stage in plan.stages):
        return 0
    return asked.max_tokens if asked.max_tokens is not None else float("inf")


def _seconds(limit: Duration | None) -> float | None:
    return None if limit is None else limit.seconds


def _hours(limit: Duration | None) -> float | None:
    return None if limit is None else limit.seconds / HOUR
