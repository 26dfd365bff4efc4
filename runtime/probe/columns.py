"""Which column is what: the spec's word, or the one sensible guess."""

from fewtune.runtime.probe.rows import Table
from fewtune.specs.data import Data
from fewtune.specs.diagnostic import Diagnostic, PlanError

TEXTS = ("text", "sentence", "clause", "content", "review", "question", "document", "message", "body", "title",
         "description", "input", "utterance", "comment")  # fmt: skip
LABELS = ("label", "labels", "class", "category", "type", "target", "topic", "intent", "sentiment", "gold")
PAIRS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("text_a", "text_b"), ("text1", "text2"),
         ("question1", "question2"), ("sentence_a", "sentence_b"))  # fmt: skip
FEW = 0.5
"""A column with fewer distinct values than this share of its rows may hold labels."""


def named_like(table: Table, names: tuple[str, ...]) -> str | None:
    """The table's column of one of these names, in the names' order, whatever its case."""
    known = {column.lower(): column for column in table.columns}
    return next((known[name] for name in names if name in known), None)


def pair_columns(table: Table) -> tuple[str, str] | None:
    """Two columns that are usually a pair of texts."""
    for first, second in PAIRS:
        found = named_like(table, (first,)), named_like(table, (second,))
        if found[0] and found[1]:
            return found[0], found[1]
    return None


def label_column(table: Table) -> str | None:
    """A column named like a label, or the only one with few distinct short values."""
    named = named_like(table, LABELS)
    if named:
        return named
    few = [column for column in table.columns if _few_values(table, column)]
    return few[0] if len(few) == 1 else None


def text_column(table: Table, label: str | None) -> str | None:
    """A column named like a text, or the one with by far the longest cells."""
    others = [column for column in table.columns if column != label]
    named = named_like(table, TEXTS)
    if named in others:
        return named
    by_length = sorted(others, key=lambda column: -_mean_length(table, column))
    if len(by_length) == 1:
        return by_length[0]
    if by_length and _mean_length(table, by_length[0]) > 2 * _mean_length(table, by_length[1]):
        return by_length[0]
    return None


def _few_values(table: Table, column: str) -> bool:
    values = [value for value in table.columns[column] if value]
    distinct = set(values)
    return 2 <= len(distinct) <= max(2, FEW * len(values)) and all(len(value) <= 60 for value in distinct)


def _mean_length(table: Table, column: str) -> float:
    values = [value or "" for value in table.columns[column][:500]]
    return sum(map(len, values)) / max(1, len(values))


def columns_of(data: Data, fields: tuple[str, ...], table: Table) -> dict[str, str]:
    """Pattern field (and "label") -> column.

    Raises:
        PlanError: E-column, for every field without a column.
    """
    label = data.label or label_column(table)
    guessed = dict(zip(fields, pair_columns(table) or (), strict=False))
    if fields == ("text",):
        guessed = {"text": text_column(table, label) or ""}
    chosen = {field: getattr(data, field) or guessed.get(field, "") for field in fields} | {"label": label or ""}
    faults = [_fault(field, column, table) for field, column in chosen.items() if column not in table.columns]
    if faults:
        raise PlanError(faults)
    return chosen


def _fault(field: str, column: str, table: Table) -> Diagnostic:
    from difflib import get_close_matches

    near = get_close_matches(column, table.columns, n=1, cutoff=0.6)
    said = f"{table.place} has no column {column!r}" if column else f"{table.place}: no column is clearly the {field}"
    return Diagnostic(
        code="E-column",
        message=said,
        pointer=f"/data/{field}" if column else "/data",
        nearest=near[0] if near else None,
        remedy=f'write data.{field} = "..."; the columns are {", ".join(table.columns)}',
    )
