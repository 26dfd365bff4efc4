"""A key that the language does not have: another spelling, another table, another tool's name."""

import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

from fewtune.specs.diagnostic import Fix
from fewtune.specs.repairs.fixing import Applicability, at, has, move, remove, split
from fewtune.specs.repairs.names import KEYS, bare, plain
from fewtune.specs.repairs.quantities import UNITS_OF, with_unit
from fewtune.specs.tables import fields_at, tables_with, words_at

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
    own, name, value = fields_at(parent, tree), plain(key), at(tree, place)
    same = [field for field in own if bare(field) == bare(key)]
    for field in same:
        yield f"{parent}/{field}", "safe", None
    known = _fitting([field for field in KEYS.get(name, ()) if field in own], value)
    for field in known:
        yield f"{parent}/{field}", "likely", None
    measured = UNITS_OF.get(name.rpartition("_")[2])
    if measured and (amount := with_unit(value, measured)):
        stem = name.rpartition("_")[0]
        for field in (stem, *KEYS.get(stem, ())):
            yield from ((f"{table}/{field}", "likely", amount) for table in _homes(field, parent, tree))
    near = _fitting(get_close_matches(name, own, n=2, cutoff=NEAR), value)
    close = [field for field in near if SequenceMatcher(None, name, field).ratio() >= NEARER]
    for field in close:
        yield f"{parent}/{field}", "likely", None
    for field in (name, *KEYS.get(name, ())):
        homes = _homes(field, parent, tree)
        homes.sort(key=lambda table: not (isinstance(value, str) and value in words_at(f"{table}/{field}")))
        yield from ((f"{table}/{field}", "likely", None) for table in homes)
    for field in near:
        yield f"{parent}/{field}", "likely", None
    for field, tables in tables_with(name, NEARER):
        yield from ((f"{table}/{field}", "likely", None) for table in tables if table != parent)


FILE = re.compile(r".*\.(csv|tsv|json|jsonl|parquet)", re.IGNORECASE | re.DOTALL)
FILED = ("train", "validation", "test", "unlabelled", "replay", "ood", "path")
"""Fields that name a data file."""


def _fitting(fields: list[str], value: Any) -> list[str]:
    """Fields with those first that name a file where the value does, and those last where it does not."""
    is_file = isinstance(value, str) and FILE.fullmatch(value) is not None
    return sorted(fields, key=lambda field: (field in FILED) != is_file) if isinstance(value, str) else fields


def _homes(field: str, parent: str, tree: Mapping[str, Any]) -> list[str]:
    """Tables that have the field, the own one first, then those that the document has already."""
    homes = [table for table in dict(tables_with(field, 1.0)).get(field, ()) if table != parent]
    own = [parent] if field in fields_at(parent, tree) else []
    return own + sorted(homes, key=lambda table: (not table, not has(tree, table) and table != ""))
