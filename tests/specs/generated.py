"""Random specs, made from the language's own schema: every field, in its range; what contradicts itself is left out."""

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from fewtune.specs.experiment import Experiment
from fewtune.specs.schema import described_schema

TEXTS = ("a", "text", "a.csv", "1-200", "owner/name", "{text} is about", "q_proj", "two words", "umlaut ä, \"quoted\"",
         "~/tilde", "A 1", "https://example.org/v1", "API_KEY")  # fmt: skip
PRESENT = 0.3
"""Chance of an optional field."""


def specs(seed: int) -> Iterator[Experiment]:
    """Valid specs without end."""
    schema, dice = described_schema(), random.Random(f"specs {seed}")
    while True:
        try:
            yield Experiment.model_validate(_value(schema, schema["$defs"], dice))
        except ValidationError:
            continue


def _value(node: Mapping[str, Any], definitions: Mapping[str, Any], dice: random.Random) -> Any:
    if "$ref" in node:
        return _value(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions, dice)
    if "anyOf" in node:
        branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
        return _value(dice.choice(branches), definitions, dice)
    if "enum" in node or "const" in node:
        return dice.choice(node.get("enum", [node.get("const")]))
    kind = node["type"]
    if kind == "object":
        return _object(node, definitions, dice)
    if kind == "array":
        least = node.get("minItems", 1)
        found = [_value(node["items"], definitions, dice) for _ in range(dice.randint(least, least + 2))]
        plain = all(isinstance(item, (int, float, str)) for item in found)
        return sorted(set(found)) if plain else found
    if kind == "string":
        return _text(node, dice)
    return dice.random() < 0.5 if kind == "boolean" else _number(node, dice)


def _object(node: Mapping[str, Any], definitions: Mapping[str, Any], dice: random.Random) -> dict[str, Any]:
    if "properties" not in node:
        inner = next(iter(node.get("patternProperties", {}).values()), None) or node["additionalProperties"]
        names = [name for name in ("a", "text", "blogs", "umlaut") if dice.random() < 0.5] or ["mail"]
        return {name: _value(inner, definitions, dice) for name in names}
    needed, rich = node.get("required", ()), dice.random() < 0.15
    chance = 0.7 if rich else PRESENT / (4 if len(node["properties"]) > 20 else 1)
    found = {
        name: _value(field, definitions, dice)
        for name, field in node["properties"].items()
        if name in needed or dice.random() < chance
    }
    return _in_one_place(found, dice) if "hub" in node["properties"] else found


def _in_one_place(found: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """A source is a file or a data set of the hub."""
    if dice.random() < 0.6:
        kept = {name: value for name, value in found.items() if name in ("rows", "labels")}
        return {"path": "a.csv", **kept}
    return {**{name: value for name, value in found.items() if name != "path"}, "hub": "owner/name"}


def _text(node: Mapping[str, Any], dice: random.Random) -> str:
    if "examples" in node:
        return str(dice.choice([*node["examples"], node["examples"][0].upper()]))
    fitting = [
        text
        for text in TEXTS
        if re.search(node.get("pattern", ""), text)
        and node.get("minLength", 0) <= len(text) <= node.get("maxLength", 99)
    ]  # fmt: skip
    return dice.choice(fitting)


def _number(node: Mapping[str, Any], dice: random.Random) -> float:
    low = node.get("minimum", node.get("exclusiveMinimum", 0))
    high = node.get("maximum", node.get("exclusiveMaximum", 1000))
    if node["type"] == "integer":
        return dice.randint(low, min(high, low + dice.choice([0, 5, 1000])))
    inside = low + (high - low) * dice.random() ** 4
    return dice.choice([inside, round(inside, 3)]) or (low + high) / 2
