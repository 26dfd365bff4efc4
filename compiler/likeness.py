"""How alike two experiments are: the pointers at which their specs differ, and the resolved values that do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fewtune.compiler.flips import named_decisions
from fewtune.compiler.plan import Plan
from fewtune.specs.experiment import DESCRIPTIVE

SEEDS = ("/evaluation/data_seeds", "/evaluation/model_seeds")
"""Where specs differ that ask for more or fewer runs of the same."""
WEIGHTS = (
    ("/evaluation/data_seeds", 0.1), ("/evaluation/model_seeds", 0.1), ("/constraints", 0.5),
    ("/data/label_budget", 1.0), ("/data", 3.0), ("/task/type", 5.0), ("/model", 3.0),
)  # fmt: skip
"""Beginning of a pointer -> what a difference there weighs, the first that fits; any other weighs 1."""

Kind = Literal["the same plan", "the same spec", "the same but for the seeds", "near"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place at which an earlier experiment was another one; None: it was left to the rules, or is."""

    pointer: str
    """JSON pointer into the spec, or the name of a resolved value."""
    now: Any
    then: Any


def spec_differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Where two specs differ, as canonical JSON; names, notes and tags aside.

    >>> spec_differences({"a": {"b": 1, "c": [1]}, "name": "x"}, {"a": {"b": 2, "c": [1]}})
    (Difference(pointer='/a/b', now=1, then=2),)
    """
    one, other = dict(_leaves(now)), dict(_leaves(then))
    return tuple(
        Difference(pointer=pointer, now=one.get(pointer), then=other.get(pointer))
        for pointer in dict.fromkeys([*one, *other])
        if one.get(pointer) != other.get(pointer) and pointer.split("/")[1] not in DESCRIPTIVE
    )


def _leaves(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Values by pointer; a list without tables inside is a value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value):
            yield from _leaves(item, f"{pointer}/{place}")
    else:
        yield pointer, list(value) if isinstance(value, tuple) else value


def distance(differences: tuple[Difference, ...]) -> float:
    """What the differences weigh together."""
    return sum(next((weight for start, weight in WEIGHTS if one.pointer.startswith(start)), 1.0) for one in differences)


def kind(differences: tuple[Difference, ...], *, same_plan: bool) -> Kind:
    """What an experiment with these differences is to the other."""
    if same_plan:
        return "the same plan"
    if not differences:
        return "the same spec"
    return "the same but for the seeds" if all(one.pointer in SEEDS for one in differences) else "near"


def of_one_kind(now: Mapping[str, Any], then: Mapping[str, Any]) -> bool:
    """Whether two specs are about the same thing: the task is the same, and so are the training or the test rows."""
    data, earlier = now["data"], then["data"]
    tested = data["test"] is not None and data["test"] == earlier["test"]
    return bool(now["task"]["type"] == then["task"]["type"] and (tested or data["train"] == earlier["train"]))


def resolved_differences(now: Plan, then: Plan) -> tuple[Difference, ...]:
    """Resolved values, arms and facts that differ: what the same spec may be compiled to elsewhere or later."""
    facts = [
        Difference(pointer=f"facts: {name}", now=one, then=other)
        for name, one, other in (
            ("device", now.facts.device, then.facts.device), ("model", now.facts.model_hash, then.facts.model_hash),
            ("rows", now.facts.rows, then.facts.rows), ("rules", now.rule_set, then.rule_set),
        )
        if one != other
    ]  # fmt: skip
    names, earlier = ([arm.name for arm in plan.arms] for plan in (now, then))
    arms = [Difference(pointer=f"arm: {name}", now=True, then=None) for name in names if name not in earlier]
    arms += [Difference(pointer=f"arm: {name}", now=None, then=True) for name in earlier if name not in names]
    one, other = (
        {name: decision.value for name, decision in named_decisions(plan) if not _is_arm(decision.field)}
        for plan in (now, then)
    )
    values = [
        Difference(pointer=name, now=value, then=other[name])
        for name, value in one.items()
        if name in other and other[name] != value
    ]
    return (*facts, *arms, *values)


def _is_arm(field: str) -> bool:
    """Whether a decision says which method an arm is, or why one is left out."""
    return field.startswith("/left_out/") or field.endswith("/method")
