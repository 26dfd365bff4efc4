"""Which other number of labels, model size or memory would flip a decision.

The resolution is a pure function of its situation, so the nearest change is found by resolving again, not read from
the rules' prose: outwards over a grid of usual values until the decision is another one, then by bisection to the exact
number. The model of another size is this one but for its number of parameters; the labels may be more than there are.

Limits cut each plan otherwise, and fitting a plan into them takes as long as dozens of resolutions. So the search keeps
the cuts of the plan as it is, and a change that it finds is told only if it is there too when both sides of it are
fitted into the limits anew; what only another cut would change is not looked for.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from fewtune.compiler.budget import limits, within
from fewtune.compiler.decision import Decision
from fewtune.compiler.notes import Noted
from fewtune.compiler.plan import Plan
from fewtune.compiler.resolution import Resolution
from fewtune.compiler.resolve import resolve
from fewtune.compiler.situation import Choice, Situation
from fewtune.specs.diagnostic import PlanError
from fewtune.specs.frozen import Frozen

Fact = Literal["labels", "parameters", "memory_gib"]

GRID: dict[Fact, tuple[int, ...]] = {
    "labels": (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 65536, 131072),
    "parameters": tuple(round(size * 1e6) for size in (20, 70, 135, 350, 800, 1500, 3000, 7000, 14000, 34000, 70000)),
    "memory_gib": (1, 2, 4, 6, 8, 12, 16, 24, 40, 80, 192),
}
"""Usual values, between which a change is looked for."""


class Flip(Frozen):
    """The nearest value of a fact at which a decision is another one."""

    fact: Fact
    at: int
    upwards: bool
    """Whether it holds from there on; else it holds up to there."""
    value: Any
    """What is decided then; None also where the arm is none any more."""
    rule: str
    """What decides then."""


@dataclass
class Flips:
    """Looks for flips around one situation."""

    start: Situation
    _seen: dict[tuple[Fact, int, bool], dict[str, Choice]] = field(default_factory=dict)

    def of(self, name: str) -> Iterator[Flip]:
        """The nearest flips of a decision, at most two for each fact.

        Args:
            name: as `named` gives it.
        """
        facts: dict[Fact, int] = {
            "parameters": self.start.facts.model.parameters, "memory_gib": self.start.facts.device.memory_gib,
        }  # fmt: skip
        labels = labels_of(self.start)
        if labels is not None:
            facts = {"labels": labels, **facts}
        for fact, now in facts.items():
            yield from self._nearest(name, fact, [now, *(value for value in GRID[fact] if value > now)])
            yield from self._nearest(name, fact, [now, *(value for value in reversed(GRID[fact]) if value < now)])

    def _nearest(self, name: str, fact: Fact, values: Sequence[int]) -> Iterator[Flip]:
        """Outwards from the first value."""
        now = self._value(name, fact, values[0])
        for inside, outside in pairwise(values):
            if self._value(name, fact, outside) == now:
                continue
            near, far = inside, outside
            while abs(far - near) > 1:
                middle = (near + far) // 2
                if self._value(name, fact, middle) == now:
                    near = middle
                else:
                    far = middle
            if limits(self._now):
                fitted = [self._value(name, fact, side, anew=True) for side in (near, far)]
                if fitted != [now, self._value(name, fact, far)]:
                    return
            choice = self._choices(fact, far).get(name)
            value, rule = (choice.value, choice.rule) if choice else (None, "fact")
            yield Flip(fact=fact, at=far, upwards=far > values[0], value=value, rule=rule)
            return

    @cached_property
    def _now(self) -> Resolution:
        return within(self.start)[0]

    def _value(self, name: str, fact: Fact, value: int, *, anew: bool = False) -> tuple[bool, Any]:
        """Whether there is such a decision, and its value."""
        choice = self._choices(fact, value, anew=anew).get(name)
        return choice is not None, choice and choice.value

    def _choices(self, fact: Fact, value: int, *, anew: bool = False) -> dict[str, Choice]:
        """Every decision, were the fact this value, with the cuts as they are or fitted into the limits anew."""
        if (fact, value, anew) not in self._seen:
            there = CHANGED[fact](self.start, value)
            try:
                found = within(there)[0] if anew else resolve(there, self._now.cuts)
                choices = {name: noted.choice for name, noted in named(found)}
            except PlanError:  # nothing fits
                choices = {}
            self._seen[fact, value, anew] = choices
        return self._seen[fact, value, anew]


def labels_of(s: Situation) -> int | None:
    """The label budget, where it is one number."""
    asked = s.experiment.data.label_budget
    if asked == "all":
        return len(s.pool)
    return asked if isinstance(asked, int) else None


def _labels(s: Situation, value: int) -> Situation:
    data = s.experiment.data.model_copy(update={"label_budget": value})
    return replace(s, experiment=s.experiment.model_copy(update={"data": data}))


def _parameters(s: Situation, value: int) -> Situation:
    return replace(
        s, facts=s.facts.model_copy(update={"model": s.facts.model.model_copy(update={"parameters": value})})
    )


def _memory(s: Situation, value: int) -> Situation:
    device = s.facts.device.model_copy(update={"memory_gib": value})
    return replace(s, facts=s.facts.model_copy(update={"device": device}))


CHANGED: dict[Fact, Callable[[Situation, int], Situation]] = {
    "labels": _labels, "parameters": _parameters, "memory_gib": _memory,
}  # fmt: skip


def named(resolution: Resolution) -> Iterator[tuple[str, Noted]]:
    """Decisions by names that stay when arms come and go: those of arms begin with the method, and which of its arms.

    Methods that are no arm have no decision here.
    """
    for noted in resolution.noted:
        if not noted.pointer.startswith("/left_out"):
            yield noted.pointer[1:], noted
    counts: Counter[str] = Counter()
    for resolved in resolution.arms:
        owner = _nth(resolved.arm.method, counts)
        for noted in resolved.noted:
            yield f"{owner}: {noted.pointer[1:]}", noted


def named_decisions(plan: Plan) -> Iterator[tuple[str, Decision]]:
    """The same of a plan, and methods that are no arm as well."""
    counts: Counter[str] = Counter()
    owners = [_nth(arm.method, counts) for arm in plan.arms]
    for decision in plan.decisions:
        parts = decision.field.split("/")
        inside = parts[1] == "arms"
        yield (f"{owners[int(parts[2])]}: {'/'.join(parts[3:])}" if inside else "/".join(parts[1:])), decision


def _nth(method: str, counts: Counter[str]) -> str:
    """The method, and from its second arm on which of them it is; counts on."""
    counts[method] += 1
    return method if counts[method] == 1 else f"{method} #{counts[method]}"
