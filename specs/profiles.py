"""What providers' engines accept of JSON Schema, as dated data, and a linter that counts.

The vendors' pages carry no versions, and some limits are known from error messages only; so each profile says from when
it is. Sources: developers.openai.com, "Supported schemas"; ai.google.dev, "JSON Schema support";
platform.claude.com, "JSON Schema limitations", with the limits of 24 and 16 as its errors state them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]
VALUES = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern",
    "format", "minItems", "maxItems", "uniqueItems", "default", "examples", "contains", "propertyNames",
    "minProperties", "maxProperties",
})  # fmt: skip
"""Keywords about values, which some engine refuses or ignores."""
COMPOSED = frozenset({
    "oneOf", "allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties",
    "unevaluatedProperties", "unevaluatedItems", "prefixItems", "const", "$ref", "$defs",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What one kind of engine accepts; None: no limit is known."""

    name: str
    as_of: str
    refused: frozenset[str]
    """Keywords that may not occur."""
    most_depth: int
    """Of objects in objects."""
    most_properties: int | None = None
    most_unions: int | None = None
    """Properties of several types, null included."""
    most_optional: int | None = None
    most_enum_values: int | None = None
    most_characters: int | None = None
    """Of names and enum values together."""


PROFILES = (
    Profile(name="openai", as_of="2026-02", refused=VALUES | COMPOSED, most_depth=5, most_properties=5000,
            most_optional=0, most_enum_values=1000, most_characters=120_000),
    Profile(name="anthropic", as_of="2026-07", refused=VALUES | COMPOSED, most_depth=5, most_unions=16,
            most_optional=24),
    Profile(name="gemini", as_of="2026-02", refused=VALUES | COMPOSED | {"anyOf"}, most_depth=5),
    Profile(name="minimal", as_of="2026-02", refused=VALUES | COMPOSED | {"anyOf"}, most_depth=5, most_optional=0,
            most_properties=5000, most_unions=16, most_enum_values=1000, most_characters=120_000),
)  # fmt: skip
"""minimal: what all of them accept."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What a schema needs of an engine."""

    depth: int
    properties: int
    unions: int
    optional: int
    enum_values: int
    characters: int
    keywords: frozenset[str]
    open_objects: int
    """Objects that accept other keys."""
    overlapping: int
    """Unions two of whose branches may begin alike."""


def counts(schema: Schema) -> Counts:
    """Count what a schema needs."""
    nodes = list(_nodes(schema, 1))
    objects = [(node, depth) for node, depth in nodes if "properties" in node]
    fields = [field for node, _ in objects for field in node["properties"].values()]
    names = [name for node, _ in objects for name in node["properties"]]
    values = [str(value) for node, _ in nodes for value in node.get("enum", ())]
    return Counts(
        depth=max(depth for _, depth in objects),
        properties=len(fields),
        unions=sum("anyOf" in field or isinstance(field.get("type"), list) for field in fields),
        optional=sum(len(node["properties"].keys() - set(node.get("required", ()))) for node, _ in objects),
        enum_values=len(values),
        characters=sum(map(len, names)) + sum(map(len, values)),
        keywords=frozenset(keyword for node, _ in nodes for keyword in node),
        open_objects=sum(node.get("additionalProperties") is not False for node, _ in objects),
        overlapping=sum(_overlap(node["anyOf"]) for node, _ in nodes if "anyOf" in node),
    )


def violations(schema: Schema, profile: Profile) -> tuple[str, ...]:
    """What a profile has against a schema; empty: it fits."""
    found = counts(schema)
    limits = (
        ("levels of objects", found.depth, profile.most_depth),
        ("properties", found.properties, profile.most_properties),
        ("unions", found.unions, profile.most_unions),
        ("optional properties", found.optional, profile.most_optional),
        ("enum values", found.enum_values, profile.most_enum_values),
        ("characters of names and values", found.characters, profile.most_characters),
        ("objects that accept other keys", found.open_objects, 0),
        ("unions whose branches overlap", found.overlapping, 0),
    )
    said = [f"{count} {what}, at most {most}" for what, count, most in limits if most is not None and count > most]
    return (*said, *(f"the keyword {name}" for name in sorted(found.keywords & profile.refused)))


def fitting(schema: Schema) -> tuple[str, ...]:
    """The names of the profiles that a schema fits."""
    return tuple(profile.name for profile in PROFILES if not violations(schema, profile))


def _nodes(node: Schema, depth: int) -> Iterator[tuple[Schema, int]]:
    """Every schema inside, with the number of objects around it and itself."""
    yield node, depth
    for field in node.get("properties", {}).values():
        yield from _nodes(field, depth + ("properties" in field or _holds_object(field)))
    if "items" in node:
        yield from _nodes(node["items"], depth + ("properties" in node["items"]))
    for branch in node.get("anyOf", ()):
        yield from _nodes(branch, depth)


def _holds_object(node: Schema) -> bool:
    return any("properties" in branch for branch in node.get("anyOf", ()))


def _overlap(branches: list[Schema]) -> bool:
    """Whether two branches have a type in common; a number may be an integer."""
    kinds = [kind for branch in branches for kind in _types(branch)]
    return len(set(kinds)) < len(kinds) or {"integer", "number"} <= set(kinds)


def _types(node: Schema) -> list[str]:
    kinds = node["type"]
    return list(kinds) if isinstance(kinds, list) else [kinds]
