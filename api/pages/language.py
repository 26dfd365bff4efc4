"""describe spec: the language, a line a field; and one field in full."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.specs.methods import METHODS, Pins
from fewtune.specs.schema import json_schema
from fewtune.specs.signature import form, line

TABLES = ("task", "data", "model", "constraints", "evaluation", "methods")
SENTENCE = 96
"""Characters of a field's sentence in the overview."""
Schema = dict[str, Any]


@cache
def _schema() -> Schema:
    return json_schema()


def overview() -> str:
    """All tables, a line a field."""
    lines = [
        "# The spec language", "",
        "TOML or JSON. Omitted: the rules decide, and `fewtune plan SPEC` says why. A value pins it.",
        "`fewtune describe spec /POINTER` has a field in full; `fewtune describe example NAME` has whole specs.", "",
    ]  # fmt: skip
    root = _schema()["properties"]
    lines += [line(f"/{name}", SENTENCE) for name in root if name not in TABLES]
    for table in TABLES:
        needed = _node(f"/{table}").get("required", ())
        lines += ["", f"[{table}]"]
        for name, field in _fields(f"/{table}").items():
            said = _source(line(f"/{table}/{name}", SENTENCE).removeprefix(f"{table}."))
            takes, dash, sentence = said.partition(" — ")
            lines.append(takes + (" (required)" if name in needed else _default(field)) + dash + sentence)
    pins = ", ".join(Pins.model_fields)
    return "\n".join([*lines, "", f"Pins, under methods.pin or in an arm of methods.arms: {pins}."])


def _source(text: str) -> str:
    """A line without the keys of a source, which /data/train has."""
    return text.replace("{path, hub, config, split, revision, rows, labels}", "source")


def field_page(pointer: str) -> str:
    """One field: what it takes, all it means, and what is below it.

    Raises:
        RunError: E-not-found.
    """
    pointer = "/" + pointer.strip("/").replace(".", "/")
    node = _node(pointer)
    about = [f"# {pointer}", "", node.get("description", "").strip()]
    about += [f"takes    {form(_outer(pointer))}{_default(_outer(pointer))}"] if "properties" not in node else []
    below = _fields(pointer)
    if pointer.endswith(("/include", "/exclude", "/method")):
        about += [f"methods  {', '.join(METHODS)}"]
    about += [f"limits   {limits}"] if (limits := _limits(_outer(pointer))) else []
    if below:
        about += ["", "Fields:"]
        about += [f"{name}: {form(field)}{_default(field)} — {_short(field)}" for name, field in below.items()]
    return "\n".join(part for part in about if part is not None)


def _outer(pointer: str) -> Schema:
    """The field's own schema, before its reference is followed."""
    parent, _, name = pointer.rpartition("/")
    found: Schema = _fields(parent).get(name, {}) if parent else _schema()["properties"].get(name, {})
    return found


def _fields(pointer: str) -> dict[str, Schema]:
    return dict(_node(pointer).get("properties", {}))


def _node(pointer: str) -> Schema:
    """The schema at a pointer; lists and tables with free keys are passed through.

    Raises:
        RunError: E-not-found, with the fields that there are.
    """
    schema = _schema()
    here: Schema = schema
    for part in pointer.split("/")[1:]:
        known = here.get("properties", {})
        if part not in known:
            if part.isdigit() or (not known and part):
                continue
            message = f"the language has no {pointer}"
            remedy = f"here are {', '.join(known)}" if known else "`fewtune describe spec` has all fields"
            raise RunError(Diagnostic(code="E-not-found", message=message, remedy=remedy), exit_status=7)
        here = _inside(known[part], schema["$defs"])
    return here


def _inside(field: Schema, definitions: Mapping[str, Schema]) -> Schema:
    """The table that a field, or each item of it, is; the field itself where it is none."""
    about = {"description": field["description"]} if "description" in field else {}
    for branch in (field, *field.get("anyOf", ())):
        for inner in (branch, branch.get("items", {}), *branch.get("patternProperties", {}).values()):
            for one in (inner, *inner.get("anyOf", ())):
                if "$ref" in one:
                    return {**definitions[one["$ref"].rpartition("/")[2]], **about}
    return field


def _default(field: Schema) -> str:
    value = field.get("default")
    return f" = {value}" if value not in (None, (), [], {}) and not isinstance(value, dict) else ""


def _limits(field: Schema) -> str:
    """Bounds of text and lists, which the short form leaves out."""
    words = {"minLength": "at least {} characters", "maxLength": "at most {} characters",
             "minItems": "at least {} items", "maxItems": "at most {} items", "pattern": "matching {}"}  # fmt: skip
    found = [
        text.format(branch[key])
        for branch in (field, *field.get("anyOf", ()))
        for key, text in words.items()
        if key in branch and "examples" not in branch
    ]
    return ", ".join(found)


def _short(field: Schema) -> str:
    text = str(field.get("description", ""))
    return text if len(text) <= 110 else text[:107].rstrip() + "..."
