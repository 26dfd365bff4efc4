"""A tree as a text: TOML as a person lays it out, with comments, and JSON."""

import json
from math import isinf, isnan
from typing import Any

BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def key(name: str) -> str:
    """A key of TOML, in quotes where it needs them."""
    return name if name and set(name) <= BARE else json.dumps(name, ensure_ascii=False)


def value(given: Any) -> str:
    """A value of TOML on one line."""
    if isinstance(given, dict):
        return (
            "{ " + ", ".join(f"{key(name)} = {value(item)}" for name, item in given.items()) + " }" if given else "{}"
        )
    if isinstance(given, list):
        return "[" + ", ".join(map(value, given)) + "]"
    if isinstance(given, float) and (isnan(given) or isinf(given)):
        return "nan" if isnan(given) else "inf" if given > 0 else "-inf"
    return json.dumps(given, ensure_ascii=False)


def _is_arms(item: Any) -> bool:
    return isinstance(item, list) and bool(item) and all(isinstance(each, dict) for each in item)


def toml(tree: dict[str, Any]) -> str:
    """TOML: a table for each table of the root, for `pin` and for each arm; sources and other tables on one line."""
    lines = ["# a study of few labels"]
    tables = {name: item for name, item in tree.items() if isinstance(item, dict)}
    lines += [f"{key(name)} = {value(item)}" for name, item in tree.items() if name not in tables]
    for name, table in tables.items():
        below = {part: item for part, item in table.items() if part == "pin" and isinstance(item, dict)}
        arms = {part: item for part, item in table.items() if part == "arms" and _is_arms(item)}
        plain = {part: item for part, item in table.items() if part not in below and part not in arms}
        if plain or not (below or arms):
            lines += ["", f"[{key(name)}]  # {len(table)} of its keys are given"]
            lines += [f"{key(part)} = {value(item)}" for part, item in plain.items()]
        for part, item in below.items():
            lines += ["", f"[{key(name)}.{key(part)}]", *(f"{key(one)} = {value(two)}" for one, two in item.items())]
        for part, items in arms.items():
            for item in items:
                lines += ["", f"[[{key(name)}.{key(part)}]]"]
                lines += [f"{key(one)} = {value(two)}" for one, two in item.items()]
    return "\n".join(lines) + "\n"


def text(tree: dict[str, Any], form: str) -> str:
    """The tree in a format."""
    return toml(tree) if form == "toml" else json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
