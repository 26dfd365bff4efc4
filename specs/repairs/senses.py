"""What the types take and the task does not: columns, methods, metrics and wording of another task."""

from collections.abc import Mapping
from typing import Any

from fewtune.specs.data import FIELD
from fewtune.specs.diagnostic import Diagnostic, Fix
from fewtune.specs.evaluation import metrics_of
from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import METHODS, suits
from fewtune.specs.repairs.fixing import at, has, move, remove, replace, set_aside, split
from fewtune.specs.repairs.missing import task_of, tasks_that_fit
from fewtune.specs.task import FIELDS, TaskType

Tree = Mapping[str, Any]
OWN = {"target": "label", "label": "target", "instruction": "question", "question": "instruction", "context": "text"}
"""Column or wording of another task -> what this one has in its place."""


def senses(tree: Tree, experiment: Experiment, fault: Diagnostic) -> list[Fix]:
    """Ways to mend what a task cannot have."""
    place, task = fault.pointer, experiment.task.type
    if not has(tree, place):
        return []
    if place == "/task/type":
        fits = list(dict.fromkeys((fault.nearest or task_of(tree), *tasks_that_fit(tree))))
        return [replace(tree, place, other, "likely" if index == 0 else "choose") for index, other in enumerate(fits)]
    if place == "/evaluation/metric":
        return [replace(tree, place, metrics_of(task)[0]), remove(tree, place)]
    if fault.code == "E-pattern":
        return _pattern(tree, place, task)
    if place == "/augmentation":
        return [remove(tree, place)]
    if place.startswith("/methods/"):
        return _methods(tree, place, task)
    return _foreign(tree, place, task)


def _pattern(tree: Tree, place: str, task: TaskType) -> list[Fix]:
    """A field that the pattern names by another word, where there is no doubt which."""
    pattern, fields = str(at(tree, place)), FIELDS[task]
    named = set(FIELD.findall(pattern))
    strange, absent = sorted(named - {*fields, "labels"}), sorted(set(fields) - named)
    if len(strange) == len(absent) == 1:
        new = pattern.replace(f"{{{strange[0]}}}", f"{{{absent[0]}}}")
        return [replace(tree, place, new)]
    return []


def _methods(tree: Tree, place: str, task: TaskType) -> list[Fix]:
    """The same adaptation under a formulation that the task has."""
    method = str(at(tree, place))
    adaptation = method.partition("+")[2]
    fits = [name for name in METHODS if adaptation and name.partition("+")[2] == adaptation and suits(name, task)]
    fixes = [replace(tree, place, name, "likely" if index == 0 else "choose") for index, name in enumerate(fits[:3])]
    return [*fixes, remove(tree, place)] if split(place)[1].isdigit() else fixes


def _foreign(tree: Tree, place: str, task: TaskType) -> list[Fix]:
    parent, name = split(place)
    own = OWN.get(name, "")
    allowed = (*FIELDS[task], "label", "target", "question", "instruction")
    moved = move(tree, place, f"{parent}/{own}") if own in allowed else None
    return [fix for fix in (moved, set_aside(tree, place), remove(tree, place)) if fix is not None]
