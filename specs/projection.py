"""The language for engines that write JSON under a grammar: closed objects, every key required, null for "the rules".

Two projections of one schema. The *whole* one says everything that a spec can say. The *core* is flat, has no other
union than with null and fits every provider's profile (`profiles.py`): it says what a task, its data and its limits
are, and leaves the rest to the rules. Both are generated from the models. What a grammar cannot hold (ranges, lengths,
patterns) stands in the descriptions and is checked by the loader in any case.

`project` turns a spec into such a document, `restore` turns it back; nothing is lost on the way.
"""

import copy
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from fewtune.specs.experiment import SPEC_VERSION, Experiment
from fewtune.specs.schema import described_schema
from fewtune.specs.task import TaskType

Schema = dict[str, Any]
ORDER = ("spec_version", "name", "title", "notes", "tags", "task", "data", "constraints", "model", "evaluation",
         "methods", "augmentation")  # fmt: skip
"""Engines write in the schema's order: first what it is, then the data, then the limits, then the method."""
CORE: dict[str, str] = {
    "name": "/name", "task": "/task/type", "question": "/task/question", "instruction": "/task/instruction",
    "train": "/data/train/path", "test": "/data/test/path", "text": "/data/text", "premise": "/data/premise",
    "hypothesis": "/data/hypothesis", "label": "/data/label", "target": "/data/target",
    "label_budget": "/data/label_budget", "wall_time": "/constraints/wall_time",
    "gpu_memory": "/constraints/gpu_memory", "model": "/model/name", "metric": "/evaluation/metric",
    "data_seeds": "/evaluation/data_seeds", "include": "/methods/include", "exclude": "/methods/exclude",
}  # fmt: skip
"""Key of the core -> where a spec says it."""
NEEDED = ("task", "train")
"""Keys of the core that cannot be null."""
LISTS = ("include", "exclude")
"""Keys of the core that are lists, empty for none."""
BOUNDS = {"minimum": "at least {}", "maximum": "at most {}", "exclusiveMinimum": "above {}",
          "exclusiveMaximum": "below {}", "minLength": "at least {} characters", "maxLength": "at most {} characters",
          "minItems": "at least {} of them", "maxItems": "at most {} of them"}  # fmt: skip
"""Keyword -> how a description says it."""
KEY, VALUE = "key", "value"
"""A table with free keys is a list of such pairs."""


@cache
def whole_schema() -> Schema:
    """The whole language."""
    source = described_schema()
    definitions = source["$defs"]
    root = _strict(source, definitions)
    _order(root, ORDER)
    return root


def core_schema() -> Schema:
    """The core: one flat object."""
    properties: dict[str, Schema] = {"spec_version": {"type": "integer", "enum": [SPEC_VERSION]}}
    for name, pointer in CORE.items():
        leaf = _leaf(pointer)
        if name == "label_budget":
            leaf = {"type": ["integer", "null"], "description": "How many labels a trial may see, validation included."}
        if name in NEEDED or name in LISTS:
            leaf = leaf | {"type": _kinds(leaf)[0]}
            if "enum" in leaf:
                leaf["enum"] = [value for value in leaf["enum"] if value is not None]
        properties[name] = leaf
    return _closed(properties, "One experiment in short. null: the rules decide.")


def project(spec: Experiment, *, core: bool = False) -> dict[str, Any]:
    """Write a spec as a document of the whole schema, or of the core.

    Raises:
        ValueError: the core cannot say all of it; `beyond_core` names what.
    """
    values = spec.model_dump(mode="json")
    if not core:
        whole: dict[str, Any] = _project(values, whole_schema(), _plain(spec.task.type))
        return whole
    rest = beyond_core(spec)
    if rest:
        raise ValueError(f"the core cannot say {', '.join(rest)}")
    found = {name: _at(values, pointer) for name, pointer in CORE.items()}
    found["label_budget"] = None if found["label_budget"] == "all" else found["label_budget"]
    return {"spec_version": SPEC_VERSION, **found}


def beyond_core(spec: Experiment) -> tuple[str, ...]:
    """Pointers of what a spec says and the core cannot."""
    values, plain = spec.model_dump(mode="json"), _plain(spec.task.type)
    known = set(CORE.values())
    found = [pointer for pointer, value in _said(values, plain) if pointer not in known]
    budget = values["data"]["label_budget"]
    return tuple(found) if budget == "all" or isinstance(budget, int) else (*found, "/data/label_budget")


def restore(document: Mapping[str, Any]) -> dict[str, Any]:
    """The spec that a document of either schema says, as the loader takes it."""
    if "train" in document:
        spec: dict[str, Any] = {"spec_version": document["spec_version"]}
        for name, pointer in CORE.items():
            if document[name] is not None and document[name] != []:
                _put(spec, pointer, document[name])
        return spec
    found: dict[str, Any] = _restore(document, whole_schema())
    return found


def is_projected(document: Mapping[str, Any]) -> bool:
    """Whether a document has just the keys that the whole schema, or the core, asks for at its top."""
    return set(document) in (set(ORDER), {"spec_version", *CORE})


# From the models' schema to the strict one.


def _strict(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    if "$ref" in node:
        named = definitions[node["$ref"].rsplit("/", 1)[-1]]
        about = {"description": node["description"]} if "description" in node else {}
        return _strict({**named, **about}, definitions)
    if "anyOf" in node:
        return _union(node, definitions)
    about = _about(node)
    if "const" in node or "enum" in node:
        values = node.get("enum", [node.get("const")])
        return {"type": _type_of(values[0]), "enum": list(values), **about}
    if node["type"] == "array":
        return {"type": "array", "items": _strict(node["items"], definitions), **about}
    if node["type"] != "object":
        return {"type": node["type"], **about}
    if "properties" not in node:
        return {"type": "array", "items": _pair(node, definitions), **about}
    needed = node.get("required", [])
    properties = {
        name: (made if name in needed else _nullable(made))
        for name, field in node["properties"].items()
        for made in [_strict(field, definitions)]
    }
    return _closed(properties, about.get("description"))


def _pair(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """A pair of a table with free keys."""
    values = next(iter(node.get("patternProperties", {}).values()), None) or node["additionalProperties"]
    return _closed({KEY: {"type": "string"}, VALUE: _strict(values, definitions)}, None)


def _union(node: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """Branches of different types, and null as a type."""
    made = [_strict(branch, definitions) for branch in node["anyOf"] if branch.get("type") != "null"]
    null = len(made) < len(node["anyOf"])
    about = {"description": node["description"]} if "description" in node else {}
    if len(made) == 1:
        limits = made[0].get("description")
        said = " ".join(part for part in (node.get("description"), limits) if part)
        one = {**made[0], **({"description": said} if said else {})}
        return _nullable(one) if null else one
    return {"anyOf": [*made, *([{"type": "null"}] if null else [])], **about}


def _nullable(node: Schema) -> Schema:
    if "anyOf" in node:
        has = any(branch["type"] == "null" for branch in node["anyOf"])
        return node if has else {**node, "anyOf": [*node["anyOf"], {"type": "null"}]}
    kinds = _kinds(node)
    if "null" in kinds:
        return node
    more = {"enum": [*node["enum"], None]} if "enum" in node else {}
    return {**node, "type": [*kinds, "null"], **more}


def _about(node: Schema) -> Schema:
    """What is said of a node, with what its grammar does not hold."""
    limits = [words.format(node[keyword]) for keyword, words in BOUNDS.items() if keyword in node]
    if "examples" in node:
        limits.append(f"such as {node['examples'][0]!r}")
    elif "pattern" in node:
        limits.append(f"matching {node['pattern']}")
    said = [node["description"]] if "description" in node else []
    said += [f"({', '.join(limits)})"] if limits else []
    return {"description": " ".join(said)} if said else {}


def _closed(properties: dict[str, Schema], description: str | None) -> Schema:
    about = {"description": description} if description else {}
    return {
        "type": "object", **about, "properties": properties, "required": list(properties),
        "additionalProperties": False,
    }  # fmt: skip


def _order(node: Schema, names: tuple[str, ...]) -> None:
    node["properties"] = {name: node["properties"][name] for name in names}
    node["required"] = list(names)


def _kinds(node: Schema) -> list[str]:
    kinds = node["type"]
    return list(kinds) if isinstance(kinds, list) else [kinds]


def _type_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return "null" if value is None else names[type(value)]


def _leaf(pointer: str) -> Schema:
    """The whole schema's node at a pointer of a spec."""
    node = whole_schema()
    for part in pointer.strip("/").split("/"):
        node = node["properties"][part]
    return copy.deepcopy(node)


# From a spec to a document, and back.


def _project(value: Any, node: Schema, plain: Any = None) -> Any:
    """Write a value as a node of the schema; null where it is what an omitted one would be (`plain`)."""
    if value is None or (value == plain and _may_be_null(node)):
        return None
    node = _branch(value, node)
    if "array" in _kinds(node):
        if isinstance(value, Mapping):
            inner = node["items"]["properties"][VALUE]
            return [{KEY: name, VALUE: _project(item, inner)} for name, item in value.items()]
        return [_project(item, node["items"]) for item in value]
    if "object" not in _kinds(node):
        return value
    usual = plain if isinstance(plain, Mapping) else {}
    return {name: _project(value.get(name), field, usual.get(name)) for name, field in node["properties"].items()}


def _restore(value: Any, node: Schema) -> Any:
    node = _branch(value, node)
    if isinstance(value, list):
        items = [_restore(item, node["items"]) for item in value]
        if _is_table(node):
            return {item[KEY]: item[VALUE] for item in items}
        return items
    if not isinstance(value, Mapping):
        return value
    return {name: _restore(item, node["properties"][name]) for name, item in value.items() if item is not None}


def _may_be_null(node: Schema) -> bool:
    return any("null" in _kinds(branch) for branch in node.get("anyOf", [node]))


def _is_table(node: Schema) -> bool:
    """Whether a list stands for a table with free keys."""
    return list(node["items"].get("properties", {})) == [KEY, VALUE]


def _branch(value: Any, node: Schema) -> Schema:
    """The branch of a union that a value belongs to, by its type."""
    if "anyOf" not in node:
        return node
    kind = _type_of(value)
    alike = {"integer": ("integer", "number"), "object": ("object", "array")}.get(kind, (kind,))
    fitting: Schema = next(
        branch for wanted in alike for branch in node["anyOf"]
        if branch["type"] == wanted and (kind != "object" or wanted == "object" or _is_table(branch))
    )  # fmt: skip
    return fitting


@cache
def _plain(task: TaskType) -> dict[str, Any]:
    """A spec that says no more than it must."""
    least = {"spec_version": SPEC_VERSION, "task": {"type": task}, "data": {"train": {"path": "-"}}}
    return Experiment.model_validate(least).model_dump(mode="json")


def _said(values: Any, plain: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves that differ from those of a spec that says nothing."""
    if isinstance(values, Mapping) and (isinstance(plain, Mapping) or plain is None):
        for name, value in values.items():
            yield from _said(value, (plain or {}).get(name), f"{pointer}/{name}")
    elif values != plain:
        yield pointer, values


def _at(values: Any, pointer: str) -> Any:
    for part in pointer.strip("/").split("/"):
        values = values.get(part) if values is not None else None
    return values


def _put(spec: dict[str, Any], pointer: str, value: Any) -> None:
    *parents, last = pointer.strip("/").split("/")
    for part in parents:
        spec = spec.setdefault(part, {})
    spec[last] = value
