"""Columns of preferences: a prompt with a better and a worse text, or with one text and whether it was liked."""

import json

from fewtune.runtime.probe.columns import SOURCES, no_column
from fewtune.runtime.probe.rows import Table, cells
from fewtune.specs.data import WITHOUT_LABELS, Data, pointer_of
from fewtune.specs.diagnostic import Diagnostic, PlanError

PROMPTS = ("prompt", "instruction", *SOURCES)
PREFERRED = ("chosen", "preferred", "accepted", "winner", "better")
REJECTED = ("rejected", "loser", "worse", "dispreferred")
JUDGED = ("completion", "answer", "response", "output", "target", "reply")
SIGNALS = ("desirable", "liked", "thumbs_up", "label", "feedback")
SIGNS = {
    "true": 1, "1": 1, "yes": 1, "up": 1, "good": 1, "desirable": 1, "liked": 1, "+1": 1,
    "false": 0, "0": 0, "no": 0, "down": 0, "bad": 0, "undesirable": 0, "disliked": 0, "-1": 0,
}  # fmt: skip
"""How a cell says that a text was liked, or was not; in lower case."""


def _named(table: Table, names: tuple[str, ...]) -> str:
    known = {column.lower(): column for column in table.columns}
    return next((known[name] for name in names if name in known), "")


def preference_columns(data: Data, table: Table) -> dict[str, str]:
    """Pattern field, "target", and "rejected" (pairs) or "label" (signals) -> column.

    Raises:
        PlanError: E-column, for each without a column.
    """
    single = data.label is not None
    rejected = "" if single else data.rejected or _named(table, REJECTED)
    chosen = {"text": data.text or _named(table, PROMPTS)}
    if rejected:
        chosen |= {"target": data.target or _named(table, PREFERRED), "rejected": rejected}
    else:
        chosen |= {"target": data.target or _named(table, JUDGED), "label": data.label or _named(table, SIGNALS)}
    faults = [no_column(field, column, table) for field, column in chosen.items() if column not in table.columns]
    if faults:
        raise PlanError(faults)
    return chosen


def preference_task(table: Table) -> dict[str, str] | None:
    """The columns of a file that says what people preferred; None for another one."""
    try:
        found = preference_columns(Data.model_validate({"train": {"path": "data.csv"}}), table)
    except PlanError:
        return None
    if len(set(found.values())) < 3:
        return None
    signals = cells(table.columns[found["label"]]) if "label" in found else []
    return found if all(sign(value) is not None for value in signals) else None


def sign(cell: str) -> int | None:
    """1 for a text that was liked, 0 for one that was not; None where the cell says neither.

    >>> sign("TRUE"), sign("bad"), sign("maybe")
    (1, 0, None)
    """
    return SIGNS.get(cell.strip().lower())


def check_preferences(tables: dict[str, Table], columns: dict[str, str]) -> None:
    """Refuse cells that say nothing: equal texts, signals of no known word or of one kind only, whole conversations.

    Raises:
        PlanError: with each fault.
    """
    faults = [fault for name, table in tables.items() if name not in WITHOUT_LABELS
              for fault in (*_talks(name, table, columns), *_equal(name, table, columns),
                            *_unclear(name, table, columns))]  # fmt: skip
    if faults:
        raise PlanError(faults)


def _rows(numbers: list[int]) -> str:
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"row{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers[:5]))}{more}"


def _talks(name: str, table: Table, columns: dict[str, str]) -> list[Diagnostic]:
    for field in columns.keys() - {"label"}:
        found = [n for n, cell in enumerate(cells(table.columns[columns[field]]), 1) if _is_talk(cell)]
        if found:
            message = f"{table.place}: {columns[field]} holds lists of messages ({_rows(found)}); one text is expected"
            remedy = "write the prompt and the last message's text into columns of their own"
            return [Diagnostic(code="E-value", message=message, pointer=pointer_of(name), remedy=remedy)]
    return []


def _is_talk(cell: str) -> bool:
    if not cell.lstrip().startswith("["):
        return False
    try:
        found = json.loads(cell)
    except ValueError:
        return False
    return isinstance(found, list) and bool(found) and all(isinstance(message, dict) for message in found)


def _equal(name: str, table: Table, columns: dict[str, str]) -> list[Diagnostic]:
    if "rejected" not in columns:
        return []
    pairs = zip(*(cells(table.columns[columns[field]]) for field in ("target", "rejected")), strict=True)
    same = [number for number, (better, worse) in enumerate(pairs, 1) if better.strip() == worse.strip() != ""]
    if not same:
        return []
    message = f"{table.place}: the preferred and the rejected text are the same in {_rows(same)}"
    return [Diagnostic(code="E-value", message=message, pointer=pointer_of(name), remedy="remove these rows")]


def _unclear(name: str, table: Table, columns: dict[str, str]) -> list[Diagnostic]:
    if "label" not in columns:
        return []
    signals = cells(table.columns[columns["label"]])
    unclear = [number for number, cell in enumerate(signals, 1) if cell.strip() and sign(cell) is None]
    if unclear:
        message = f"{table.place}: {columns['label']} says neither yes nor no in {_rows(unclear)}"
        return [Diagnostic(code="E-value", message=message, pointer=pointer_of(name), remedy="write true or false")]
    if name == "train" and len({sign(cell) for cell in signals if cell.strip()}) < 2:
        message = f"{table.place}: all texts were judged alike, so there is no preference to learn"
        return [Diagnostic(code="E-one-class", message=message, pointer=pointer_of(name), remedy="rows of both kinds")]
    return []
