"""A key that is not there: what the rest of the document says that it is."""

from collections.abc import Mapping
from typing import Any

from fewtune.specs.diagnostic import Fix
from fewtune.specs.experiment import SPEC_VERSION
from fewtune.specs.methods import METHODS
from fewtune.specs.repairs.fixing import add, at, remove
from fewtune.specs.tables import is_required
from fewtune.specs.task import FIELDS, MARKED, WRITTEN, TaskType

TAGGED = ("tags", "tag", "bio", "ner_tags")
PLURAL = ("labels", "topics", "categories", "genres")
METRICS: Mapping[str, TaskType] = {
    "accuracy": "classification", "macro_f1": "classification", "mcc": "classification", "micro_f1": "multi-label",
    "subset_accuracy": "multi-label", "span_f1": "sequence-labelling", "tag_accuracy": "sequence-labelling",
    "preference_accuracy": "preference", "margin": "preference",
}  # fmt: skip
ADAPTED = {"width": "adapter", "placement": "adapter", "virtual_tokens": "prefix", "top_layers": "top"}
"""Pin -> the adaptation that takes it."""
PREFERRED = {"reward_margin": "simpo", "odds_weight": "orpo", "beta": "dpo"}


def additions(tree: Mapping[str, Any], parent: str, key: str) -> list[Fix]:
    """What may be added below a table."""
    place = f"{parent}/{key}"
    if place == "/spec_version":
        return [add(place, SPEC_VERSION, "safe")]
    if place == "/task":
        return [add(place, {"type": task_of(tree)}, "likely")]
    if place == "/task/type":
        return [add(place, task_of(tree), "likely")]
    if key == "method" and parent.startswith("/methods/arms/"):
        return [add(place, method_of(tree, at(tree, parent)), "likely")]
    if at(tree, parent) == {} and parent and not is_required(parent):
        return [remove(tree, parent, "likely", "leave it out: it is empty, and the rules decide")]
    return []


def task_of(tree: Mapping[str, Any]) -> TaskType:
    """The task that columns, metric and methods speak of."""
    fits = tasks_that_fit(tree)
    data, metric = _table(tree, "data"), _table(tree, "evaluation").get("metric")
    label, text = str(data.get("label", "")).lower(), str(data.get("text", "")).lower()
    if METRICS.get(str(metric)) in fits:
        return METRICS[str(metric)]
    if label in TAGGED or text in ("words", "tokens"):
        return "sequence-labelling"
    if label in PLURAL and not _methods(tree, "pattern"):
        return "multi-label"
    if "summar" in f"{data.get('target')} {_table(tree, 'task').get('instruction')}".lower():
        return "summarisation"
    usual: list[TaskType] = [task for task in fits if task in ("classification", "generation")]
    return next(iter((*usual, *fits)), "classification")


def tasks_that_fit(tree: Mapping[str, Any]) -> tuple[TaskType, ...]:
    """Tasks that have every column which the data name."""
    data = _table(tree, "data")
    columns = {*(name for fields in FIELDS.values() for name in fields), "label", "target", "rejected"}
    given = {name for name in columns if data.get(name) is not None}
    fits = [task for task in FIELDS if given <= _columns(task)]
    whole = [task for task in fits if not given or set(FIELDS[task]) - {"context"} <= given or len(given) < 2]
    return tuple(whole or fits)


def _columns(task: TaskType) -> set[str]:
    if task == "preference":
        return {*FIELDS[task], "target", "rejected", "label"}
    return {*FIELDS[task], "target" if task in WRITTEN else "label"}


def method_of(tree: Mapping[str, Any], arm: Any) -> str:
    """The method of an arm whose pins are known."""
    pins, task = arm if isinstance(arm, dict) else {}, at(tree, "/task/type")
    task = task if isinstance(task, str) and task in FIELDS else task_of(tree)
    if "pair_iterations" in pins:
        return "setfit"
    if "demonstrations_by" in pins or ("demonstrations" in pins and "steps" not in pins and "objective" not in pins):
        return "in-context"
    posed = "head" if task in MARKED else "generate" if task in WRITTEN else "pattern"
    if task == "preference":
        posed = next((way for pin, way in PREFERRED.items() if pin in pins), "dpo")
    adaptation = next((name for pin, name in ADAPTED.items() if pin in pins), "lora")
    method = f"{posed}+{adaptation}"
    return method if method in METHODS else f"{posed}+lora"


def _methods(tree: Mapping[str, Any], posed: str) -> bool:
    methods = _table(tree, "methods")
    arms = methods.get("arms") if isinstance(methods.get("arms"), list) else []
    return any(str(arm.get("method", "")).startswith(posed) for arm in arms or () if isinstance(arm, dict))


def _table(tree: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = tree.get(name)
    table = table[0] if isinstance(table, list) and len(table) == 1 else table
    return table if isinstance(table, dict) else {}
