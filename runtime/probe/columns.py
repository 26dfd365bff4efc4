"""Which column is what: the spec's word, or the one sensible guess."""

from typing import Literal

from fewtune.runtime.probe.kinds import column, has_few_values
from fewtune.runtime.probe.rows import Table
from fewtune.specs.data import Data
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.task import FIELDS, OPTIONAL, TaskType

TEXTS = ("text", "sentence", "clause", "content", "review", "question", "document", "message", "body", "title",
         "description", "input", "utterance", "comment")  # fmt: skip
LABELS = ("label", "labels", "class", "category", "type", "target", "topic", "intent", "sentiment", "gold")
TARGETS = ("target", "summary", "answer", "response", "output", "completion", "reference", "highlights", "abstract",
           "headline", "reply", "gold")  # fmt: skip
"""Columns that hold a text to be written."""
SUMMARIES = ("summary", "highlights", "abstract", "headline")
SOURCES = ("text", "document", "report", "article", "passage", "note", "dialogue", "input", "prompt", "question",
           "message", "body", "content", "source", "email")  # fmt: skip
"""Columns that hold the text that it is written from."""
QUESTIONS = ("question", "query", "prompt")
CONTEXTS = ("context", "passage", "paragraph", "excerpt", "document", "text", "source", "article")
PAIRS = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("text_a", "text_b"), ("text1", "text2"),
         ("question1", "question2"), ("sentence_a", "sentence_b"))  # fmt: skip


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
    """A column named like a label, or the only one with few distinct short values that are no dates or decimals."""
    named = named_like(table, LABELS)
    if named:
        return named
    few = [column for column in table.columns if _few_values(table, column)]
    if len(few) > 1:
        few = [name for name in few if column(table, name).kind == "label"]
    return few[0] if len(few) == 1 else None


def text_column(table: Table, label: str | None) -> str | None:
    """A column named like a text, or the one with by far the longest cells, or the only one with texts."""
    others = [column for column in table.columns if column != label]
    named = named_like(table, TEXTS)
    if named in others:
        return named
    by_length = sorted(others, key=lambda column: -_mean_length(table, column))
    if len(by_length) == 1:
        return by_length[0]
    if by_length and _mean_length(table, by_length[0]) > 2 * _mean_length(table, by_length[1]):
        return by_length[0]
    texts = [name for name in others if column(table, name).kind == "text"]
    return texts[0] if len(texts) == 1 else None


def written_columns(table: Table, fields: tuple[str, ...], target: str | None) -> dict[str, str | None]:
    """The columns of a task whose answer is a text, by their names; or by their lengths, where these leave one choice.

    Args:
        table: the training rows.
        fields: of the task.
        target: the column of the answer, where it is known.
    """
    target = target or named_like(table, TARGETS)
    others = [column for column in table.columns if column != target]
    if fields == ("text",):
        return {"text": _text_to_write_from(table, others), "target": target or _shorter(table)}
    question = next((column for column in others if column.lower() in QUESTIONS), None)
    rest = [column for column in others if column != question]
    return {
        "question": question,
        "context": next((column for name in CONTEXTS for column in rest if column.lower() == name), None),
        "target": target,
    }


def writing_task(table: Table) -> tuple[TaskType, dict[str, str]] | None:
    """The task and its columns, where one of them is named like a text to be written and hardly repeats itself."""
    target = named_like(table, TARGETS)
    if target is None or _few_values(table, target):
        return None
    asked = [column for column in table.columns if column.lower() in QUESTIONS and column != target]
    if target.lower() in SUMMARIES:
        task: TaskType = "summarisation"
    else:
        task = "question-answering" if asked and asked[0].lower() != "prompt" else "generation"
    found = written_columns(table, FIELDS[task], target)
    columns = {field: column for field, column in found.items() if column}
    return (task, columns) if columns.keys() | OPTIONAL >= {*FIELDS[task], "target"} else None


def _text_to_write_from(table: Table, others: list[str]) -> str | None:
    named = next((column for name in SOURCES for column in others if column.lower() == name), None)
    by_length = sorted(others, key=lambda column: -_mean_length(table, column))
    clear = len(by_length) == 1 or (
        len(by_length) > 1 and _mean_length(table, by_length[0]) > 2 * _mean_length(table, by_length[1])
    )
    return named or (by_length[0] if clear else None)


def _shorter(table: Table) -> str | None:
    """Of two columns the one that is not the text."""
    text = _text_to_write_from(table, list(table.columns))
    rest = [column for column in table.columns if column != text]
    return rest[0] if text and len(rest) == 1 else None


def _few_values(table: Table, name: str) -> bool:
    return has_few_values([value for value in table.columns[name] if value])


def _mean_length(table: Table, column: str) -> float:
    values = [value or "" for value in table.columns[column][:500]]
    return sum(map(len, values)) / max(1, len(values))


def columns_of(
    data: Data, fields: tuple[str, ...], table: Table, answer: Literal["label", "target"] = "label"
) -> dict[str, str]:
    """Pattern field (and "label" or "target") -> column; an optional field without one is left out.

    Raises:
        PlanError: E-column, for every other field without a column.
    """
    if answer == "target":
        return _with_target(data, fields, table)
    label = data.label or label_column(table)
    guessed = dict(zip(fields, pair_columns(table) or (), strict=False))
    if fields == ("text",):
        guessed = {"text": text_column(table, label) or ""}
    chosen = {field: getattr(data, field) or guessed.get(field, "") for field in fields} | {"label": label or ""}
    faults = [no_column(field, column, table) for field, column in chosen.items() if column not in table.columns]
    if faults:
        raise PlanError(faults)
    return chosen


def _with_target(data: Data, fields: tuple[str, ...], table: Table) -> dict[str, str]:
    guessed = written_columns(table, fields, data.target)
    wanted = {field: getattr(data, field) or guessed.get(field) or "" for field in (*fields, "target")}
    chosen = {field: column for field, column in wanted.items() if column or field not in OPTIONAL}
    faults = [no_column(field, column, table) for field, column in chosen.items() if column not in table.columns]
    if faults:
        raise PlanError(faults)
    return chosen


def no_column(field: str, column: str, table: Table) -> Diagnostic:
    """What is said of a field without a column: the table has none of that name, or none is clearly it."""
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
