"""Fit the plan into its limits, and name each cut with what keeping it would cost.

Arms that the rules added as experiments go first, the one of the least expected value before the others, then all
samples but one of the cross-validation that chooses, then seeds beyond three, then that cross-validation, then steps
down to a floor, then the smaller points of the learning curve, then in-context arms and probes. What the spec pins
stays; majority, TF-IDF, encoder, zero-shot and the first candidate stay. When that does not fit, there is no plan.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from math import ceil, prod

from fewtune.compiler.arm import Arm
from fewtune.compiler.arm_ideas import SWEPT, applies, merged
from fewtune.compiler.cost import FINISH, START
from fewtune.compiler.estimate import Costing
from fewtune.compiler.finding import finding
from fewtune.compiler.notes import LEFT_OUT, Noted
from fewtune.compiler.resolution import Cuts, Resolution
from fewtune.compiler.resolve import resolve
from fewtune.compiler.rules.data_seeds import FLOOR, PREFERRED
from fewtune.compiler.rules.folds import USUAL
from fewtune.compiler.rules.methods import UNASKED
from fewtune.compiler.situation import Choice, Situation
from fewtune.specs.data import PerClass
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import METHODS, MethodName, Pins, suits

MARGIN = 0.8
"""Share of a limit that the middle estimate may take: half of all runs are slower than the middle."""
LEAST_STEPS = 20
"""Updates below which a trained arm says nothing about its method."""
LAST: tuple[MethodName, ...] = ("in-context", "probe")
"""Baselines that take the language model long; they go when nothing else is left to cut, the others never."""
NAMED = 3
"""Arms that a refusal names of each kind."""
MOST_TRIALS = 200_000
"""More trials than this are no limited-data experiment."""
MOST_ARMS = 256
"""More arms than this are no comparison on a few labels: the best of them is the luckiest, and each takes a millisecond
to resolve, several times where limits cut."""


@dataclass(frozen=True)
class Limit:
    """A limit of the spec, and how it is measured."""

    name: str
    """Its field of `constraints`."""
    words: str
    most: float
    measure: Callable[[Costing], float]
    show: Callable[[float], str]

    @property
    def pointer(self) -> str:
        """Its place in the spec."""
        return f"/constraints/{self.name}"

    def kept(self, costing: Costing) -> bool:
        """Whether the plan keeps it."""
        return self.measure(costing) <= self.most


@dataclass(frozen=True)
class Move:
    """One kind of cut, from the mildest to the hardest."""

    options: tuple[Callable[[Cuts], Cuts], ...]
    """What each option adds to the cuts made so far."""
    words: Callable[[Resolution, Resolution], str]
    """(before, after) -> what was cut, in words."""
    drops: MethodName | None = None
    """The method whose arms are left out, if it is one."""


@dataclass(frozen=True)
class Cut:
    """A cut that was made."""

    words: str
    gone: tuple[str, ...]
    """Arms that it left out."""
    limit: Limit
    before: Cuts
    after: Cuts

    def undone(self, final: Cuts) -> Cuts:
        """All cuts but this one: what it saves depends on the cuts made after it."""
        changed = {
            each.name: getattr(self.before, each.name)
            for each in fields(Cuts)
            if getattr(self.before, each.name) != getattr(self.after, each.name)
        }
        if "methods" in changed:
            changed["methods"] = final.methods - (self.after.methods - self.before.methods)
        return replace(final, **changed)


def limits(resolution: Resolution) -> list[Limit]:
    """The limits that bind what is run, and how."""
    given, found = resolution.situation.experiment.constraints, list[Limit]()
    devices = resolution.situation.facts.device
    if given.wall_time is not None:
        most = MARGIN * given.wall_time.seconds
        found.append(Limit("wall_time", str(given.wall_time), most, Costing.seconds, _clock))
    if given.gpu_hours is not None and devices.kind == "cuda":
        most = MARGIN * given.gpu_hours.seconds
        found.append(Limit("gpu_hours", f"{given.gpu_hours} of device time", most, _busy, _clock))
    if given.trials is not None:
        found.append(
            Limit("trials", f"{given.trials} trials", given.trials, Costing.trials, lambda n: f"{n:.0f} trials")
        )
    if given.disk is not None:
        most = MARGIN * given.disk.bytes
        found.append(Limit("disk", f"{given.disk} of disk", most, Costing.disk_bytes, lambda n: f"{ceil(n / 1e6)} MB"))
    return found


def _busy(costing: Costing) -> float:
    """Device-seconds, start-up left out."""
    return costing.resolution.situation.facts.device.count * (costing.seconds() - START["ray"] - FINISH)


def broken(resolution: Resolution) -> Limit | None:
    """Find the first limit that is not kept."""
    costing = Costing(resolution)
    return next((limit for limit in limits(resolution) if not limit.kept(costing)), None)


def within(start: Situation) -> tuple[Resolution, list[Diagnostic]]:
    """Resolve within the limits.

    Returns:
        The resolution, its cuts noted as decisions, and a warning for each cut.

    Raises:
        PlanError: E-budget.
    """
    resolution = resolve(start)
    cuts, made = Cuts(), list[Cut]()
    for move in _moves(resolution):
        limit = broken(resolution)
        if limit is None:
            break
        cut, after = _mildest(start, [option(cuts) for option in move.options])
        if limit.measure(Costing(after)) >= limit.measure(Costing(resolution)):
            continue
        left = {each.arm.name for each in after.arms}
        gone = tuple(each.arm.name for each in resolution.arms if each.arm.name not in left) if move.drops else ()
        made.append(Cut(move.words(resolution, after), gone, limit, cuts, cut))
        resolution, cuts = after, cut
    limit = broken(resolution)
    if limit is not None:
        raise PlanError(_impossible(resolution, limit))
    warnings, notes = list[Diagnostic](), list[Noted]()
    for one in made:
        more = one.limit.measure(Costing(resolve(start, one.undone(cuts)))) - one.limit.measure(Costing(resolution))
        kept = f"keeping it in this plan would take {one.limit.show(more)} more"
        message = f"{one.words}, to fit {one.limit.words}; {kept}"
        warnings.append(finding("W-cut", message, one.limit.pointer))
        if one.gone:
            choice = Choice(value=", ".join(one.gone), because=message, rule="budget", flips_when="a wider limit")
            notes.append(Noted(pointer=LEFT_OUT, decided_by="budget", choice=choice))
    return replace(resolution, noted=(*resolution.noted, *notes, *_bound(resolution))), warnings


def _bound(resolution: Resolution) -> Iterator[Noted]:
    """One decision for each given constraint: what it did."""
    costing, given = Costing(resolution), resolution.situation.experiment.constraints
    measured = {limit.name: limit for limit in limits(resolution)}
    for name in type(given).model_fields:
        value = getattr(given, name)
        if value is None:
            continue
        limit = measured.get(name)
        if limit is not None:
            because = f"the plan takes {limit.show(limit.measure(costing))}"
        else:
            because = BINDS.get(name, "weighed by the rules of the arms")
        choice = Choice(value=str(value) if isinstance(value, str) else value, because=because, rule="pin")
        yield Noted(pointer=f"/experiment/constraints/{name}", decided_by="budget", choice=choice)


BINDS = {
    "gpu_memory": "arms that need more are left out, micro-batches are halved to fit",
    "gpu_hours": "no accelerator here: it binds nothing",
    "latency": "arms whose prediction for one item takes longer are left out",
    "deployments": "above one, the base's weights must stay: no full fine-tuning",
    "forgetting": "below 0.05: no full fine-tuning, and a low rank",
    "ood": "every out-of-domain split that is given is scored; where required, there is one",
}
"""What a constraint does that is no quantity of the whole run."""


def _mildest(start: Situation, options: list[Cuts]) -> tuple[Cuts, Resolution]:
    """The mildest option that fits every limit, or the hardest; options save more and more."""

    @cache
    def resolved(index: int) -> Resolution:
        return resolve(start, options[index])

    def fits(index: int) -> bool:
        return broken(resolved(index)) is None

    index = min(bisect_left(range(len(options)), True, key=fits), len(options) - 1)
    return options[index], resolved(index)


def _moves(first: Resolution) -> Iterator[Move]:
    """What may be cut, the least valuable first."""
    s = first.situation
    ruled = [resolved.arm for resolved in first.arms if resolved.idea.origin == "rules"]
    names = {arm.name for arm in ruled}
    leader = first.candidates[0].method if first.candidates else None
    more = [arm.method for arm in first.candidates if arm.name in names and arm.method != leader]
    costing = Costing(first)
    for method in _by_value(list(dict.fromkeys(more)), {arm.name: costing.arm_seconds(arm) for arm in ruled}, ruled):
        yield _drop(method)
    chosen_by = s.choosing if s.experiment.evaluation.validation is None else None
    if chosen_by is not None and chosen_by.seeds > 1:
        yield Move(
            tuple(partial(replace, choosing=count) for count in range(chosen_by.seeds - 1, 0, -1)), _less_choosing
        )
    if s.data_seeds > FLOOR and s.experiment.evaluation.data_seeds is None:
        fewer = range(s.data_seeds - 1, FLOOR - 1, -1)
        yield Move(tuple(partial(replace, data_seeds=count) for count in fewer), _fewer_seeds)
    if chosen_by is not None:
        yield Move((partial(replace, choosing=0),), _no_choosing)
    steps = max((recipe.steps for arm in ruled for recipe in arm.recipes), default=0)
    if steps > LEAST_STEPS:
        shorter = range(steps - 1, LEAST_STEPS - 1, -1)
        yield Move(tuple(partial(replace, steps=count) for count in shorter), _fewer_steps)
    if len(s.levels) > 1:
        kept = range(len(s.levels) - 1, 0, -1)
        yield Move(tuple(partial(replace, levels=count) for count in kept), _fewer_levels)
    for method in LAST:
        if any(arm.method == method for arm in ruled):
            yield _drop(method)


def _by_value(methods: Sequence[MethodName], seconds: Mapping[str, float], arms: Sequence[Arm]) -> list[MethodName]:
    """Methods by what they are worth, the least first: the chance to be the best arm over the time that it takes.

    The chance is assumed, not measured: it falls with the place in the rules' order (adopted evidence included), as one
    over it.
    """

    def value(method: MethodName) -> float:
        chance = 1.0 / (methods.index(method) + 2)
        return chance / max(1e-9, sum(seconds[arm.name] for arm in arms if arm.method == method))

    return sorted(methods, key=value)


def _drop(method: MethodName) -> Move:
    def cut(cuts: Cuts) -> Cuts:
        return replace(cuts, methods=cuts.methods | {method})

    def words(was: Resolution, now: Resolution) -> str:
        left = {resolved.arm.name for resolved in now.arms}
        gone = [repr(resolved.arm.name) for resolved in was.arms if resolved.arm.name not in left]
        baseline = f"baseline{'s' * (len(gone) > 1)} " if method in LAST else ""
        return f"{baseline}{', '.join(gone)} {'is' if len(gone) == 1 else 'are'} left out"

    return Move((cut,), words, drops=method)


def _less_choosing(was: Resolution, now: Resolution) -> str:
    counts = [found.situation.choosing.seeds if found.situation.choosing else 0 for found in (now, was)]
    return f"parts of {counts[0]} sample{'s' * (counts[0] != 1)} instead of {counts[1]} choose the arm"


def _no_choosing(was: Resolution, now: Resolution) -> str:
    parts = was.situation.choosing
    fits = parts.folds * parts.seeds if parts else 0
    order = now.choosable[0].name
    return f"the cross-validation that chooses the arm is left out, {fits} fits of each; the rules choose {order!r}"


def _fewer_seeds(was: Resolution, now: Resolution) -> str:
    return f"{now.situation.data_seeds} data seeds instead of {was.situation.data_seeds}"


def _fewer_levels(was: Resolution, now: Resolution) -> str:
    left = len(now.situation.levels)
    return f"only the {'largest' if left == 1 else f'{left} largest'} of {len(was.situation.levels)} data sizes"


def _fewer_steps(was: Resolution, now: Resolution) -> str:
    most = [max(r.steps for arm in found.arms for r in arm.arm.recipes) for found in (was, now)]
    return f"{most[1]} steps instead of {most[0]}"


def _clock(seconds: float) -> str:
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.1f} min"


def _impossible(resolution: Resolution, limit: Limit) -> Diagnostic:
    measured = limit.measure(Costing(resolution))
    margin = 1.0 if limit.name == "trials" else MARGIN
    planned = "" if margin == 1.0 else f" allows, of which {margin:.0%} may be planned"
    message = f"what may not be cut takes {limit.show(measured)}: more than {limit.words}{planned}; {_kept(resolution)}"
    needed = ceil(measured / margin / 6) * 6 if limit.name in ("wall_time", "gpu_hours") else measured / margin
    less = "fewer test rows, fewer pinned arms, a smaller model, a baseline less (methods.exclude)"
    remedy = f"allow {limit.show(needed)}; or {less}"
    return finding("E-budget", message, limit.pointer, remedy=remedy)


def _kept(resolution: Resolution) -> str:
    """Which arms may not be cut, and why."""
    asked = [each.arm.name for each in resolution.arms if each.idea.origin != "rules"]
    ruled = [each.arm for each in resolution.arms if each.idea.origin == "rules"]
    baselines, candidates = ([arm.name for arm in ruled if arm.role == role] for role in ("baseline", "candidate"))
    without = [name for name in resolution.situation.experiment.methods.exclude if METHODS[name][1] != "none"]
    instead = f" without {', '.join(without)}, which the spec excludes," if without else ""
    groups = (
        (asked, "the spec asks for"), (baselines, "baselines that stay are"),
        (candidates, f"the rules' first choice{instead} is"),
    )  # fmt: skip
    return "; ".join(f"{why} {_named(names)}" for names, why in groups if names)


def _named(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return ", ".join([*map(repr, names[:NAMED]), *more])


def countable(experiment: Experiment) -> list[Diagnostic]:
    """Refuse a spec that asks for too many arms or trials, by multiplication, before anything is expanded."""
    wanted = experiment.methods
    arms: list[tuple[MethodName, Pins]] = [(arm.method, merged(wanted.pin, arm)) for arm in wanted.arms]
    own = [name for name in METHODS if name not in UNASKED and suits(name, experiment.task.type)]
    ruled = dict.fromkeys([*(() if wanted.arms else own), *wanted.include])
    arms += [(method, wanted.pin) for method in ruled if method not in wanted.exclude]
    variants = [(method, _variants(experiment, method, pins)) for method, pins in arms]
    trials, found = sum(count * _repeats(experiment, method) for method, count in variants), sum(n for _, n in variants)
    if trials > MOST_TRIALS:
        message = f"the spec asks for up to {trials:,} trials, each fold counted; {MOST_TRIALS:,} are the most"
    elif found > MOST_ARMS:
        message = f"the spec asks for up to {found:,} arms, and {trials:,} trials; {MOST_ARMS} arms are the most"
    else:
        return []
    return [finding("E-too-many-trials", message, "/methods", remedy="fewer pinned values, patterns or seeds")]


def _variants(experiment: Experiment, method: MethodName, pins: Pins) -> int:
    """How many arms the listed pins and the patterns make of a method."""
    prompted = METHODS[method][0] in ("pattern", "in-context", "generation")
    patterns = len(experiment.task.patterns or (1,)) if prompted else 1
    if prompted and pins.pattern_use:
        together = len(set(pins.pattern_use) - {"each"})
        patterns = together + (patterns if "each" in pins.pattern_use else 0)
    others = (pin for pin in SWEPT if pin != "pattern_use" and applies(pin, method, pins))
    return patterns * prod(len(getattr(pins, pin) or (1,)) for pin in others)


def _repeats(experiment: Experiment, method: MethodName) -> int:
    """How often each arm is fitted: data sizes, seeds and folds."""
    asked, sizes = experiment.evaluation, experiment.data.label_budget
    numbers = sizes.per_class if isinstance(sizes, PerClass) else sizes
    model_seeds = (asked.model_seeds or 1) if METHODS[method][1] != "none" else 1
    folds = 1 if experiment.data.test else asked.folds or USUAL
    folds *= 1 + len(experiment.data.noise_shares)
    return (asked.data_seeds or PREFERRED) * model_seeds * folds * (len(numbers) if isinstance(numbers, tuple) else 1)
