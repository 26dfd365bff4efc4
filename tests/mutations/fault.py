"""One fault that was put into a spec, and the ground that mutators walk on."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any

from pydantic import BaseModel, ValidationError

from fewtune.specs.constraints import Constraints
from fewtune.specs.data import Data, PerClass, Source
from fewtune.specs.evaluation import Evaluation
from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import ArmPin, Methods, Pins
from fewtune.specs.model import Model
from fewtune.specs.task import Task

Tree = dict[str, Any]
Parts = tuple[str | int, ...]

TABLES: dict[str, type[BaseModel]] = {
    "task": Task, "data": Data, "model": Model, "constraints": Constraints, "methods": Methods,
    "evaluation": Evaluation,
}  # fmt: skip
SPLITS = ("train", "validation", "test", "unlabelled", "replay")


@dataclass(frozen=True)
class Fault:
    """What is wrong, where a reader should be sent, and what stood there before."""

    kind: str
    pointers: tuple[str, ...]
    """Any of these is the place."""
    original: Any = None
    detail: str = ""
    line: int = 0
    """Of a damaged text; 0: the pointer tells."""
    lost: str = ""
    """Why what was meant cannot be found in text, files and schema; empty where it can."""

    @property
    def mendable(self) -> bool:
        """Whether some repair may find what was meant without asking."""
        return not self.lost


@dataclass
class Spec:
    """A spec that is being damaged; mutators may add to both trees what the fault needs around it."""

    form: str
    good: Tree
    bad: Tree

    def plant(self, parts: Parts, value: Any) -> None:
        """Put a sound value into both."""
        put(self.good, parts, deepcopy(value))
        put(self.bad, parts, deepcopy(value))


Mutator = Callable[[Random, Spec], Fault | None]
"""Damages a spec; None where it has nothing to damage."""


def pointer(parts: Parts) -> str:
    """RFC 6901."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def get(tree: Any, parts: Parts) -> Any:
    """The value at a place; None where there is none."""
    for part in parts:
        if isinstance(tree, dict):
            tree = tree.get(part)
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            return None
    return tree


def put(tree: Any, parts: Parts, value: Any) -> None:
    """Set a value, making the tables on the way."""
    *owners, last = parts
    for part in owners:
        tree = tree.setdefault(part, {}) if isinstance(tree, dict) else tree[part]
    tree[last] = value


def drop(tree: Any, parts: Parts) -> Any:
    """Take a value away."""
    owner = get(tree, parts[:-1])
    return owner.pop(parts[-1])


def rename(tree: Any, parts: Parts, name: str) -> None:
    """Give a key another name at its place in the order."""
    owner = get(tree, parts[:-1])
    items = [(name if key == parts[-1] else key, value) for key, value in owner.items()]
    owner.clear()
    owner.update(items)


def fields_at(parts: Parts) -> dict[str, Any] | None:
    """Keys of the table at a place; None where the user chooses the keys, or there is no table."""
    if not parts:
        return dict(Experiment.model_fields)
    head, *rest = parts
    if not rest:
        return dict(TABLES[str(head)].model_fields) if head in TABLES else None
    if head == "data" and ((rest[0] in SPLITS and len(rest) == 1) or (rest[0] == "ood" and len(rest) == 2)):
        return dict(Source.model_fields)
    if parts == ("data", "label_budget"):
        return dict(PerClass.model_fields)
    if parts == ("methods", "pin"):
        return dict(Pins.model_fields)
    return dict(ArmPin.model_fields) if head == "methods" and rest[0] == "arms" and len(rest) == 2 else None


def keys(tree: Any, parts: Parts = ()) -> Iterator[Parts]:
    """The places of all keys that the language names."""
    if isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from keys(item, (*parts, index))
    if not isinstance(tree, dict):
        return
    known = fields_at(parts)
    for key, value in tree.items():
        if known is not None and key in known:
            yield (*parts, key)
        yield from keys(value, (*parts, key))


def leaves(tree: Any, parts: Parts = ()) -> Iterator[tuple[Parts, Any]]:
    """The places of all values that are neither tables nor lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if items is None:
        yield parts, tree
        return
    for key, value in items:
        yield from leaves(value, (*parts, key))


def is_sound(tree: Tree) -> bool:
    """Whether the types take the tree."""
    try:
        Experiment.model_validate(tree)
    except ValidationError:
        return False
    return True


def replaced(spec: Spec, kind: str, parts: Parts, value: Any, detail: str = "", lost: str = "") -> Fault | None:
    """Put a wrong value in the place of a right one; None where the types take it."""
    was = get(spec.bad, parts)
    put(spec.bad, parts, value)
    alone = deepcopy(spec.good)
    put(alone, parts, deepcopy(value))
    return None if is_sound(alone) else Fault(kind, (pointer(parts),), was, detail or repr(value)[:60], lost=lost)
