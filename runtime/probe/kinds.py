"""What the cells of a column look like: texts, labels, numbers, dates, ids; so that a file can be understood."""

import json
import re
from dataclasses import dataclass
from typing import Literal

from fewtune.runtime.probe.rows import Table, cells

Kind = Literal["text", "label", "number", "date", "id", "list", "object", "constant", "empty"]
"""label: few different short values. id: a different short one without spaces in every row. number: numbers that are
neither labels nor ids. list, object: JSON. constant: one value. empty: none."""
FEW = 0.5
"""A column with fewer distinct values than this share of its rows may hold labels."""
LONGEST_LABEL = 60
LONGEST_ID = 40
SEEN = 5000
"""Rows whose cells decide the kind; counts are of all rows."""
DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}([T ].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}")
NUMBER = re.compile(r"[-+]?\d*\.?\d+([eE][-+]?\d+)?")
WHOLE = re.compile(r"[-+]?\d+(\.0+)?")
"""A whole number may be a label; another one hardly."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a data file."""

    name: str
    kind: Kind
    distinct: int
    """Different values, empty cells aside."""
    missing: int
    """Rows with an empty cell."""
    length: float
    """Mean number of characters of the cells that are not empty."""


def column(table: Table, name: str) -> Column:
    """Describe a column."""
    found = [cell for cell in cells(table.columns[name]) if cell.strip()]
    distinct = len(set(found))
    length = sum(map(len, found)) / len(found) if found else 0.0
    missing = len(table) - len(found)
    return Column(name=name, kind=_kind(found, distinct), distinct=distinct, missing=missing, length=length)


def described(table: Table) -> tuple[Column, ...]:
    """Describe all columns."""
    return tuple(column(table, name) for name in table.columns)


def has_few_values(values: list[str]) -> bool:
    """Whether these cells, none of them empty, may be labels."""
    distinct = set(values)
    return 2 <= len(distinct) <= max(2, FEW * len(values)) and all(len(value) <= LONGEST_LABEL for value in distinct)


def _kind(values: list[str], distinct: int) -> Kind:
    """The kind of a column by its cells that are not empty."""
    if not values:
        return "empty"
    if distinct == 1 and len(values) > 1:
        return "constant"
    seen = [value.strip() for value in values[:SEEN]]
    for start, kind in (("[", "list"), ("{", "object")):
        if all(value.startswith(start) and _is_json(value) for value in seen):
            return kind  # type: ignore[return-value]
    if all(DATE.fullmatch(value) for value in seen):
        return "date"
    few = has_few_values(values)
    if all(NUMBER.fullmatch(value) for value in seen):
        whole = all(WHOLE.fullmatch(value) for value in seen)
        return "label" if whole and few else "id" if whole and distinct == len(values) else "number"
    if few:
        return "label"
    short = sum(map(len, seen)) <= LONGEST_ID * len(seen) and not any(" " in value for value in seen)
    return "id" if short and distinct == len(values) and len(values) > 2 else "text"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def looks_headless(table: Table) -> bool:
    """Whether the names of the columns look like a first row: one is a sentence, or a value of its own column."""
    for name in table.columns:
        one = column(table, name)
        if one.kind == "text" and len(name.split()) > 6:
            return True
        if one.kind in ("label", "constant") and name in table.columns[name]:
            return True
    return False
