"""Fit the plan into its limits, and name each cut with what keeping it would cost.

Arms that the rules added as experiments go first, then seeds beyond three, then steps down to a floor, then the
smaller points of the learning curve, then in-context arms. What the spec pins stays; majority, zero-shot and the first
candidate stay. When that does not fit, there is no plan.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from fewtune.compiler.checks import finding
from fewtune.compiler.cost import FINISH, START
from fewtune.compiler.estimate import Costing
from fewtune.compiler.facts import Facts
from fewtune.compiler.notes import Noted
from fewtune.compiler.resolve import Cuts, Resolution, resolve
from fewtune.compiler.rules.data_seeds import FLOOR
from fewtune.compiler.situation import Choice
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.experiment import Experiment

MARGIN = 0.8
"""Share of a limit that the middle estimate may take: half of all runs are slower than the middle."""
LEAST_STEPS = 20
"""Updates below which a trained arm says nothing about its method."""
MOST_TRIALS = 1_000_000

Limit = tuple[str, str]
"""A limit's place in the spec, and the limit in words."""


@dataclass(frozen=True)
class Move:
    """One kind of cut, from the mildest to the hardest."""

    options: tuple[Callable[[Cuts], Cuts], ...]
    """What each option adds to the cuts made so far."""
    words: Callable[[Resolution, Resolution], str]
    """(before, after) -> what was cut, in words."""
    drops: str | None = None
    """The arm that is left out, if it is an arm."""


def over(costing: Costing) -> Limit | None:
    """Find the first limit that is not kept."""
    s = costing.resolution.situation
    limits, seconds = s.experiment.constraints, costing.seconds()
    if limits.wall_time is not None and seconds > MARGIN * limits.wall_time.seconds:
        return "/constraints/wall_time", str(limits.wall_time)
    if limits.gpu_hours is not None and s.facts.device.kind == "cuda":
        busy = s.facts.device.count * (seconds - START["ray"] - FINISH)
        if busy > MARGIN * limits.gpu_hours.seconds:
            return "/constraints/gpu_hours", f"{limits.gpu_hours} of device time"
    if limits.trials is not None and costing.trials() > limits.trials:
        return "/constraints/trials", f"{limits.trials} trials"
    if limits.disk is not None and costing.disk_bytes() > MARGIN * limits.disk.bytes:
        return "/constraints/disk", f"{limits.disk} of disk"
    return None


def within(experiment: Experiment, facts: Facts) -> tuple[Resolution, list[Diagnostic]]:
    """Resolve within the limits.

    Returns:
        The resolution, its cuts noted as decisions, and a warning for each cut.

    Raises:
        PlanError: E-budget, or E-too-many-trials before anything is expanded.
    """
    resolution = resolve(experiment, facts)
    _countable(resolution)
    cuts, warnings, notes = Cuts(), list[Diagnostic](), list[Noted]()
    for move in _moves(resolution):
        limit = over(Costing(resolution))
        if limit is None:
            break
        cut, after = _mildest(experiment, facts, [option(cuts) for option in move.options])
        saved = Costing(resolution).seconds() - Costing(after).seconds()
        message = f"{move.words(resolution, after)}, to fit {limit[1]}; keeping it would take {_clock(saved)} more"
        warnings.append(finding("W-cut", message, limit[0]))
        if move.drops:
            choice = Choice(value=False, because=message, evidence=("budget",), flips_when="more time")
            notes.append(Noted(pointer=f"/left_out/{move.drops}", decided_by="budget", choice=choice))
        resolution, cuts = after, cut
    limit = over(Costing(resolution))
    if limit is not None:
        raise PlanError(_impossible(resolution, limit))
    return replace(resolution, noted=resolution.noted + tuple(notes)), warnings


def _mildest(experiment: Experiment, facts: Facts, options: list[Cuts]) -> tuple[Cuts, Resolution]:
    """The mildest option that fits every limit, or the hardest; options save more and more."""

    def fits(cut: Cuts) -> bool:
        return over(Costing(resolve(experiment, facts, cut))) is None

    index = min(bisect_left(options, True, key=fits), len(options) - 1)
    return options[index], resolve(experiment, facts, options[index])


def _moves(first: Resolution) -> Iterator[Move]:
    """What may be cut, the least valuable first."""
    s = first.situation
    ruled = [resolved.arm for resolved in first.arms if resolved.idea.origin == "rules"]
    for arm in reversed([arm for arm in ruled if arm.role == "candidate"][1:]):
        yield _drop(arm.name)
    if s.data_seeds > FLOOR and s.experiment.evaluation.data_seeds is None:
        fewer = range(s.data_seeds - 1, FLOOR - 1, -1)
        yield Move(tuple(partial(replace, data_seeds=count) for count in fewer), _fewer_seeds)
    steps = max((recipe.steps for arm in ruled for recipe in arm.recipes), default=0)
    if steps > LEAST_STEPS:
        shorter = range(steps - 1, LEAST_STEPS - 1, -1)
        yield Move(tuple(partial(replace, steps=count) for count in shorter), _fewer_steps)
    if len(s.levels) > 1:
        kept = range(len(s.levels) - 1, 0, -1)
        yield Move(tuple(partial(replace, levels=count) for count in kept), _fewer_levels)
    for arm in ruled:
        if arm.formulation == "in-context":
            yield _drop(arm.name)


def _drop(name: str) -> Move:
    def cut(cuts: Cuts) -> Cuts:
        return replace(cuts, methods=cuts.methods | {name})

    def words(_was: Resolution, _now: Resolution) -> str:
        return f"the arm {name!r} is left out"

    return Move((cut,), words, drops=name)


def _fewer_seeds(was: Resolution, now: Resolution) -> str:
    return f"{now.situation.data_seeds} data seeds instead of {was.situation.data_seeds}"


def _fewer_levels(was: Resolution, now: Resolution) -> str:
    return f"only the {len(now.situation.levels)} largest data sizes of {len(was.situation.levels)}"


def _fewer_steps(was: Resolution, now: Resolution) -> str:
    most = [max(r.steps for arm in found.arms for r in arm.arm.recipes) for found in (was, now)]
    return f"{most[1]} steps instead of {most[0]}"


def _clock(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.1f} min"


def _countable(resolution: Resolution) -> None:
    trials = Costing(resolution).trials()
    if trials > MOST_TRIALS:
        message = f"the spec asks for {trials:,} trials"
        raise PlanError(finding("E-too-many-trials", message, "/methods", remedy="fewer pinned values or seeds"))


def _impossible(resolution: Resolution, limit: Limit) -> Diagnostic:
    costing = Costing(resolution)
    message = (
        f"what may not be cut takes {_clock(costing.seconds())} and {costing.trials()} trials: more than {limit[1]}"
    )
    needed = _clock(costing.seconds() / MARGIN)
    remedy = f"allow {needed}; or fewer test rows, fewer pinned arms, a smaller model"
    return finding("E-budget", message, limit[0], remedy=remedy)
