"""The language in lines: a field, what it takes, what is meant; made from the published schema."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from fewtune.specs.schema import json_schema

MOST_WORDS = 8
"""Words of a closed list that a line has; the page about the field has all."""


def line(pointer: str, most: int = 110) -> str:
    """One field: its dotted name, what it takes, and the first sentence about it.

    Args:
        pointer: of the field, such as /data/train.
        most: characters of the sentence.

    Raises:
        KeyError: the language has no such field.

    >>> line("/evaluation/data_seeds", 24)
    'evaluation.data_seeds: 1..200 — How many different...'
    """
    field = _field(pointer)
    sentence = re.split(r"(?<=[.:]) ", field.get("description", ""), maxsplit=1)[0].rstrip(".:")
    shown = sentence if len(sentence) <= most else sentence[: most - 3].rstrip() + "..."
    return f"{pointer[1:].replace('/', '.')}: {form(field)}" + (f" — {shown}" if shown else "")


@cache
def _schema() -> dict[str, Any]:
    return json_schema()


def _field(pointer: str) -> dict[str, Any]:
    here = _schema()
    for part in pointer.split("/")[1:]:
        here = _resolved(here)["properties"][part]
    return here


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = _schema()["$defs"][schema["$ref"].rpartition("/")[2]]
        return found
    inner = [branch for branch in schema.get("anyOf", ()) if "$ref" in branch]
    return _resolved(inner[0]) if inner else schema


def form(schema: dict[str, Any]) -> str:
    """What a field takes, in few signs."""
    return " | ".join(dict.fromkeys(_forms(schema)))


def _forms(schema: dict[str, Any]) -> Iterator[str]:
    if "anyOf" in schema:
        for branch in schema["anyOf"]:
            if branch.get("type") != "null":
                yield from _forms(branch)
    elif "$ref" in schema:
        inner = _resolved(schema)
        yield "{" + ", ".join(list(inner["properties"])[:MOST_WORDS]) + "}" if "properties" in inner else form(inner)
    elif "enum" in schema:
        words = [str(word) for word in schema["enum"]]
        yield from [*words[:MOST_WORDS], "..."] if len(words) > MOST_WORDS else words
    elif "const" in schema:
        yield str(schema["const"])
    else:
        yield _plain(schema)


def _plain(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "any")
    if kind == "array":
        return f"[{form(schema.get('items', {}))}]"
    if kind in ("integer", "number"):
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        return (
            kind if low is None and high is None else "..".join("" if end is None else str(end) for end in (low, high))
        )
    if kind == "string":
        example = next(iter(schema.get("examples", ())), None)
        return "text" if example is None else f'"{example}"'
    return {"boolean": "true | false", "object": "{name: ...}"}.get(kind, str(kind))
