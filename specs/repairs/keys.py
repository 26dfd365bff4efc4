"""A key that the language does not have: another spelling, another table, another tool's name."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from fewtune.specs.diagnostic import Fix
from fewtune.specs.repairs.fixing import Applicability, at, has, move, remove, split
from fewtune.specs.repairs.names import KEYS, bare, plain
from fewtune.specs.repairs.quantities import UNITS_OF, with_unit
from fewtune.specs.tables import fields_at, tables_with

NEAR, NEARER = 0.6, 0.82
"""Likeness from which a key is taken for one of its own table, and for one of another table."""


def renames(tree: Mapping[str, Any], place: str) -> list[Fix]:
    """Where the value may belong, the likeliest first; at last, that it is taken away."""
    fixes, targets = list[Fix](), set[str]()
    for target, how, value in _targets(tree, place):
        if target in targets:
            continue
        targets.add(target)
        taken = has(tree, target) and at(tree, target) == at(tree, place)
        fix = remove(tree, place, "safe", "say it once") if taken else move(tree, place, target, how, value)
        fixes += [fix] if fix else []
    return [*fixes, remove(tree, place)]


def nearest(tree: Mapping[str, Any], place: str) -> str | None:
    """Where the value most likely belongs, free or not."""
    return next((target for target, _, _ in _targets(tree, place)), None)


def _targets(tree: Mapping[str, Any], place: str) -> Iterator[tuple[str, Applicability, Any]]:
    parent, key = split(place)
    own, name = fields_at(parent, tree), plain(key)
    same = [field for field in own if bare(field) == bare(key)]
    for field in same:
        yield f"{parent}/{field}", "safe", None
    known = [field for field in KEYS.get(name, ()) if field in own]
    for field in known:
        yield f"{parent}/{field}", "likely", None
    measured = UNITS_OF.get(name.rpartition("_")[2])
    if measured and (value := with_unit(at(tree, place), measured)):
        stem = name.rpartition("_")[0]
        for field in (stem, *KEYS.get(stem, ())):
            yield from ((f"{table}/{field}", "likely", value) for table in _homes(field, parent, tree))
    near = get_close_matches(name, own, n=2, cutoff=NEAR)
    close = [field for field in near if SequenceMatcher(None, name, field).ratio() >= NEARER]
    for field in close:
        yield f"{parent}/{field}", "likely", None
    for field in (name, *KEYS.get(name, ())):
        yield from ((f"{table}/{field}", "likely", None) for table in _homes(field, parent, tree))
    for field in near:
        yield f"{parent}/{field}", "likely", None
    for field, tables in tables_with(name, NEARER):
        yield from ((f"{table}/{field}", "likely", None) for table in tables if table != parent)


def _homes(field: str, parent: str, tree: Mapping[str, Any]) -> list[str]:
    """Tables that have the field, the own one first, then those that the document has already."""
    homes = [table for table in dict(tables_with(field, 1.0)).get(field, ()) if table != parent]
    own = [parent] if field in fields_at(parent, tree) else []
    return own + sorted(homes, key=lambda table: (not table, not has(tree, table) and table != ""))
