"""A plan for a reader: what will be done, and the reason of every value."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.text import Text

from fewtune.api.session import Planned
from fewtune.api.shows.console import clock, diagnostics, heading, safe, size, table
from fewtune.compiler.arm import Arm
from fewtune.compiler.decision import Decision
from fewtune.compiler.detectable import MOST_ITEMS, MOST_SEEDS
from fewtune.compiler.diff import ACTIONS
from fewtune.compiler.flips import Flip
from fewtune.compiler.plan import CV, Plan
from fewtune.compiler.price import Detectable, Need, Packing, Range
from fewtune.specs.data import WITHOUT_LABELS
from fewtune.store.looks import Look

QUIET = ("method", "micro_batch", "patience", "max_grad_norm", "weight_decay", "model_seeds", "folds",
         "objective", "regularisation", "sampling", "model", "pattern_use", "demonstrations_by",
         "calibration")  # fmt: skip
"""Shown by `explain`, or elsewhere in the plan, and left out of the short table unless they are pinned or cut."""
MOST_ARMS, FEW_ARMS = 40, 8
"""Arms that the table lists; arms that a line names."""


def show_plan(out: Console, planned: Planned, *, full: bool = False) -> None:
    """Print the plan: settings with reasons, arms, what was left out, cost and what is new."""
    plan = planned.plan
    _headline(out, plan)
    sizes = tuple(level.n for level in plan.levels)
    heading(out, "Decisions")
    _decisions(out, [d for d in plan.decisions if _is_general(d)], sizes, full=full)
    heading(out, "Arms")
    _arms(out, planned)
    for name, decisions, apart in _families(plan, full=full):
        heading(out, name)
        _decisions(out, decisions, sizes, full=full, apart=apart)
    _left_out(out, plan)
    _warnings(out, planned)
    if planned.detectable is not None:
        heading(out, "What it can tell")
        for line in _told(planned.detectable, plan):
            out.print(line)
    if planned.look is not None and planned.look.number > 1:
        out.print(_looked(planned.look, planned.split))
    if planned.earlier:
        heading(out, "Earlier")
        for one in planned.earlier:
            out.print(Text(safe(one.sentence)))
    _cost(out, planned)


def _headline(out: Console, plan: Plan) -> None:
    curve = ", ".join(str(level.n) for level in plan.levels)
    facts = plan.facts
    kinds = f", {len(plan.labels)} labels" if plan.labels else ""
    title = f"{plan.experiment_name}: {plan.experiment.task.type}{kinds}, n = {curve}"
    out.print(Text(safe(title), style="bold"))
    out.print(f"{facts.model} ({facts.parameters / 1e6:.0f}M parameters) on {facts.devices} x {facts.device}")
    scored = f"{facts.rows['test']} test rows" if "test" in facts.rows else f"{plan.folds}-fold cross-validation"
    other = [f"{name} ({rows})" for name, rows in facts.rows.items() if name not in ("train", "test", *WITHOUT_LABELS)]
    pool = f"{facts.rows['train']} labelled rows" + (f", {facts.excluded_rows} excluded" if facts.excluded_rows else "")
    out.print(f"{pool}; scored on {scored}" + (f"; also {', '.join(other)}" if other else ""))


def _is_general(decision: Decision) -> bool:
    return not decision.field.startswith(("/arms/", "/left_out/"))


Apart = list[tuple[str, Decision]]
"""(arm, its own decision)."""


def _decisions(
    out: Console,
    decisions: list[Decision],
    sizes: tuple[int, ...],
    *,
    full: bool,
    apart: Sequence[tuple[str, Decision]] = (),
) -> None:
    """A table of decisions, and below them those that single arms have for themselves."""
    shown = [d for d in decisions if full or _worth_showing(d)]
    kinds = {(_leaf(d), str(d.value)): d for d in reversed(shown)}  # the same at several data sizes: said once
    several = Counter(leaf for leaf, _ in kinds)
    rows = [
        (_leaf(d) + (_size(d, sizes) if several[_leaf(d)] > 1 else ""), said(d.value), d.because, _evidence(d))
        for d in reversed(kinds.values())
    ]
    rows += [(_leaf(d), said(d.value), f"{arm}: {d.because}", _evidence(d)) for arm, d in apart[:MOST_ARMS]]
    table(out, ("what", "value", "because", "evidence"), rows)


def _families(plan: Plan, *, full: bool) -> Iterator[tuple[str, list[Decision], Apart]]:
    """Each arm with its decisions; of the arms of a method that differ by pins, what all share and what each has."""
    own: dict[int, list[Decision]] = defaultdict(list)
    for decision in plan.decisions:
        if decision.field.startswith("/arms/"):
            own[int(decision.field.split("/")[2])].append(decision)
    kinds: dict[str, list[int]] = defaultdict(list)
    for index, arm in enumerate(plan.arms):
        if arm.trained or full:
            kinds[arm.name if full else arm.method].append(index)
    for members in kinds.values():
        first = plan.arms[members[0]].name
        if len(members) == 1:
            yield first, own[members[0]], []
            continue
        common = set.intersection(*({_key(d) for d in own[index]} for index in members))
        yield (
            f"{first} and {len(members) - 1} more of {plan.arms[members[0]].method}: what they share",
            [d for d in own[members[0]] if _key(d) in common],
            _apart([(plan.arms[index].name, own[index]) for index in members], common),
        )


def _apart(members: list[tuple[str, list[Decision]]], common: Collection[tuple[str, str, str]]) -> Apart:
    """What single arms have for themselves, once for all data sizes; what an arm's name says already is left out."""
    found = {
        (arm, _leaf(d), str(d.value)): (arm, d)
        for arm, decisions in members
        for d in decisions
        if _worth_showing(d) and _key(d) not in common and not re.search(rf"\b{re.escape(said(d.value))}\b", arm)
    }
    return list(found.values())


def _key(decision: Decision) -> tuple[str, str, str]:
    """What is said of a value, whichever arm's it is."""
    return "/".join(decision.field.split("/")[3:]), str(decision.value), decision.because


def _size(decision: Decision, sizes: tuple[int, ...]) -> str:
    """The data size that a decision is about, where it is about one."""
    found = re.search(r"/(?:recipes|levels)/(\d+)/", decision.field)
    return f", n = {sizes[int(found[1])]}" if found else ""


def _worth_showing(decision: Decision) -> bool:
    if decision.pinned or decision.rule == "budget":
        return True
    if _leaf(decision) == "augmentation":  # that there is none is worth a reason where there could be
        return decision.rule != "design"
    return _leaf(decision) not in QUIET and decision.value not in (None, 0)


def _leaf(decision: Decision) -> str:
    return decision.field.rsplit("/", 1)[-1]


def said(value: Any) -> str:
    """A value for a reader."""
    if isinstance(value, dict) and "words" in value:
        words = value["words"]
        same = all(label == word for label, word in words.items())
        return ", ".join(words) if same else ", ".join(f"{label}: {word}" for label, word in words.items())
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(repr(item) if "\n" in str(item) else str(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def _evidence(decision: Decision) -> str:
    return decision.rule if decision.strength == "given" else f"{decision.rule} {decision.strength}"


def _arms(out: Console, planned: Planned) -> None:
    plan = planned.plan
    actions = Counter((trial.arm, planned.changes.trials[trial.id]) for trial in plan.trials)
    costs = {cost.arm: cost for cost in planned.compiled.estimate.arms}
    reasons = {d.field: d for d in plan.decisions if d.field.endswith("/method")}
    rows, last = [], ""
    for index, arm in enumerate(plan.arms):
        work = ", ".join(f"{actions[arm.name, action]} {action}" for action in ACTIONS
                         if actions[arm.name, action])  # fmt: skip
        why = reasons[f"/arms/{index}/method"]
        because = f"{why.because} [{_evidence(why)}]"
        about = clock(costs[arm.name].seconds.mid)
        rows.append((arm.name, arm.role, about, work, "the same" if because == last else because))
        last = because
    table(out, ("arm", "role", "about", "trials", "because"), rows[:MOST_ARMS], right=("about",))
    if rows[MOST_ARMS:]:
        out.print(f"and {len(rows) - MOST_ARMS} more; --json has all")
    for gate in plan.gates:
        if gate.kind == "best-share":
            out.print(Text(safe(f"Halving: {gate.because}"), style="dim"))
        elif gate.kind in ("best-validation", "rules-order"):
            among = ", ".join(gate.arms) if len(gate.arms) <= FEW_ARMS else f"{len(gate.arms)} arms"
            out.print(Text(safe(f"Chosen: {gate.because} ({among})"), style="dim"))


def _left_out(out: Console, plan: Plan) -> None:
    absent = [d for d in plan.decisions if d.field.startswith("/left_out/")]
    if absent:
        heading(out, "Left out")
        table(out, ("method", "because", "evidence"), [(said(d.value), d.because, _evidence(d)) for d in absent])


def _warnings(out: Console, planned: Planned) -> None:
    if planned.warnings:
        heading(out, "Mind")
        diagnostics(out, planned.warnings, planned.source)


def _told(power: Detectable, plan: Plan) -> Iterator[str]:
    """The smallest difference, what is assumed, and what smaller ones would take."""
    arms = "trained arms" if sum(arm.trained for arm in plan.arms) > 1 else "arms"
    asked = f"{power.items} items, {power.seeds} data seed{'s' * (power.seeds > 1)}"
    if power.difference is None:
        yield f"{asked}: no two {arms} apart; a verdict takes two data seeds"
    elif power.difference >= 1:
        yield f"{asked}: no two {arms} apart"
    else:
        yield (
            f"{asked}: two {arms} that differ by {power.difference:.3f} of {plan.metric} or more, in "
            f"{power.chance:.0%} of such runs (assumed: a score scatters by {power.scatter:.3f} over data seeds)"
        )
    for need in power.needs:
        yield _taken(need, power)


def _taken(need: Need, power: Detectable) -> str:
    """What one difference would take."""
    counts = ((need.seeds, "data seeds"), (need.items, "items"))
    ways = [f"{count:,} {what}" for count, what in counts if count is not None]
    if need.seeds == power.seeds:
        return f"{need.difference:g} is told by the plan as it is"
    if ways:
        return f"{need.difference:g} would take {' or '.join(ways)}"
    if need.together:
        both = f"{need.together.seeds} data seeds with {need.together.items:,} items"
        return f"{need.difference:g} would take {both}; neither alone would do"
    return (
        f"{need.difference:g} would take more than {MOST_SEEDS} data seeds with {MOST_ITEMS:,} items; "
        "more labels make scores scatter less"
    )


def _looked(look: Look, split: str) -> str:
    """How many looks there were, and what another one costs."""
    what = "these rows" if split == CV else f"this {split} split"
    tense = "is" if look.number <= look.total else "would be"
    share = f"{100 * look.share:.2g} %"
    return (
        f"this plan {tense} look {look.number} at {what}, with {share} of the risk of a false verdict (describe looks)"
    )


def between(value: Range, show: Any) -> str:
    """A range in words."""
    return f"{show(value.mid)} ({show(value.low)} to {show(value.high)}, {value.basis})"


def _cost(out: Console, planned: Planned) -> None:
    estimate, changes = planned.compiled.estimate, planned.changes
    counts = Counter(changes.trials.values())
    heading(out, "Cost")
    out.print(f"time    {between(estimate.seconds, clock)}")
    if estimate.seconds.basis == "heuristic" and estimate.seconds.mid:
        out.print("        from the class of the device; `fewtune doctor --calibrate` measures this one in 20 s")
    if counts.keys() & {"reuse", "drop"}:
        left = sum(estimate.stage_seconds.get(stage, 0.0) for stage in changes.stages)
        out.print(
            "to do   "
            + (f"{clock(left)} of it; the rest is there or dropped" if changes.stages else "nothing: all is there")
        )
    if estimate.peak_memory_bytes.high:
        out.print(f"memory  {between(estimate.peak_memory_bytes, size)}")
    out.print(f"disk    {between(estimate.disk_bytes, size)}")
    if estimate.teacher_tokens is not None:
        out.print(f"teacher {between(estimate.teacher_tokens, lambda tokens: f'{tokens:,.0f} tokens')}")
    if estimate.gpu_hours.high:
        out.print(f"GPU     {between(estimate.gpu_hours, lambda hours: f'{hours:.2f} h')}")
    for alike in _alike(estimate.packing):
        out.print(Text(safe(f"steps   {_packed(alike)}")))
    work = ", ".join(f"{counts[action]} {action}" for action in ACTIONS if counts[action])
    out.print(f"trials  {len(planned.plan.trials)} ({work})")
    out.print(f"plan    {planned.plan.hash}")


def _alike(groups: Iterable[Packing]) -> Iterator[Packing]:
    """Arms that train one by one for the same reason, as one."""
    for (_, alone), same in groupby(groups, key=lambda group: (group.because, group.slots == 1)):
        first, *others = same
        if not alone or not others:
            yield from (first, *others)
            continue
        every = (first, *others)
        yield first.model_copy(
            update={
                "arms": tuple(arm for group in every for arm in group.arms),
                "trials": sum(group.trials for group in every),
                "alone_seconds": sum(group.alone_seconds for group in every),
            }
        )


def _packed(group: Packing) -> str:
    more = len(group.arms) - 1
    first = repr(group.arms[0]) + (f" and {more} more arm{'s' * (more > 1)}" if more else "")
    how = f"one by one, {clock(group.alone_seconds)}"
    if group.slots > 1:
        how = (
            f"{group.slots} trainings at a time, {clock(group.packed_seconds)} instead of {clock(group.alone_seconds)}"
        )
    return f"{first}, {group.trials} trainings: {how}; {group.because}"


def explain(
    out: Console, decisions: list[Decision], arms: tuple[Arm, ...], flips: Mapping[str, Sequence[Flip]]
) -> None:
    """Print decisions in full: rule, evidence, alternatives, what would change them."""
    from fewtune.compiler.evidence import EVIDENCE, overruled

    for _, same in groupby(decisions, key=lambda d: d.field):
        for decision in same:
            out.print()
            out.print(Text(safe(f"{decision.field} = {said(decision.value)}"), style="bold"))
            owner = _owner(decision, arms)
            if owner:
                out.print(Text(f"  arm      {safe(owner)}"))
            out.print(f"  because  {safe(decision.because)}")
            out.print(
                f"  rule     {decision.rule} ({decision.strength}); {decision.source}; decided by {decision.decided_by}"
            )
            against = overruled(decision)
            for row in (EVIDENCE[name] for name in decision.evidence if name in EVIDENCE):
                over = " (overruled)" if row.id in against else ""
                line = f"  {row.id}    {row.strength}{over}: {row.condition}: {row.effect} [{row.source}]"
                out.print(Text(line, style="dim"))
            if decision.kept_out:
                reasons = "; ".join(f"{id} needs {test}" for id, test in decision.kept_out.items())
                out.print(Text(f"  kept out {reasons}", style="dim"))
            for other in decision.alternatives:
                cited = f" [{', '.join(other.evidence)}]" if other.evidence else ""
                out.print(f"  not      {safe(said(other.value))}: {safe(other.why_not)}{cited}")
            if decision.flips_when:
                out.print(f"  flips    {safe(decision.flips_when)}")
            for flip in flips.get(decision.field, ()):
                out.print(f"  {_turn(flip, 'no such arm' if decision.field.startswith('/arms/') else 'none')}")


def _turn(flip: Flip, nothing: str) -> str:
    """From where on, or up to where, a decision is another one; `nothing` says what no value means."""
    many = {
        "labels": f"{flip.at:,} labels",
        "parameters": f"{flip.at / 1e6:,.0f}M parameters",
        "memory_gib": f"{flip.at} GiB of memory",
    }[flip.fact]
    where = f"from {many} on" if flip.upwards else f"up to {many}"
    return f"{where}: {safe(nothing if flip.value is None else said(flip.value))} [{flip.rule}]"


def _owner(decision: Decision, arms: tuple[Arm, ...]) -> str | None:
    parts = decision.field.split("/")
    return arms[int(parts[2])].name if parts[1] == "arms" else None
