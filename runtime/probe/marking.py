"""Cells that hold several labels: a set of them for a text, or a tag for each of its words."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain

from fewtune.runtime.probe.columns import LABELS, TEXTS, named_like, no_column, text_column
from fewtune.runtime.probe.rows import Table, cells
from fewtune.specs.data import WITHOUT_LABELS, Data, pointer_of
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.task import Marks
from fewtune.store.spans import BEGIN, INSIDE, OUTSIDE, is_tag

SETS = ("labels", "topics", "tags", "categories", "classes", "intents", "codes", *LABELS)
TAGS = ("tags", "ner_tags", "bio", "bio_tags", "tag", *LABELS)
WORDS = ("words", "tokens", *TEXTS)
BETWEEN = ";"
"""Stands between the labels of a cell."""
OFTEN = 0.1
"""Share of cells with several labels, or none, from which a column is taken for sets."""
SHOWN = 5
"""Rows that a fault names."""


def items(cell: str, marks: Marks) -> list[str]:
    """The labels of a cell: a JSON list; else parts between semicolons, or between white space.

    >>> items('["a", "b c"]', "set"), items("b c; a;", "set"), items("O B-X", "tags"), items("", "set")
    (['a', 'b c'], ['b c', 'a'], ['O', 'B-X'], [])
    """
    found = _listed(cell)
    if found is None:
        found = cell.split(BETWEEN) if marks == "set" else cell.split()
    return list(dict.fromkeys(filter(None, map(str.strip, found)))) if marks == "set" else found


def _listed(cell: str) -> list[str] | None:
    """The texts of a JSON list; None for anything else."""
    if not cell.lstrip().startswith("["):
        return None
    try:
        found = json.loads(cell)
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else None


def words(cell: str) -> list[str]:
    """The words of a cell: a JSON list, or a text that is split at white space.

    >>> words('["Dr.", "Lee"]'), words(" Dr. Lee "), words("[sic] Lee")
    (['Dr.', 'Lee'], ['Dr.', 'Lee'], ['[sic]', 'Lee'])
    """
    found = _listed(cell)
    return cell.split() if found is None else found


def marked_columns(data: Data, table: Table, marks: Marks) -> dict[str, str]:
    """Field, or "label" -> column.

    Raises:
        PlanError: E-column, for each without one.
    """
    label = data.label or named_like(table, SETS if marks == "set" else TAGS) or ""
    text = data.text or (named_like(table, WORDS) if marks == "tags" else "") or text_column(table, label) or ""
    chosen = {"text": text, "label": label}
    faults = [no_column(field, column, table) for field, column in chosen.items() if column not in table.columns]
    if faults:
        raise PlanError(faults)
    return chosen


def in_words(table: Table, column: str) -> Table:
    """The table with the words of a column as texts: one space between two words."""
    texts: list[str | None] = [" ".join(words(cell)) for cell in cells(table.columns[column])]
    return Table(table.place, table.columns | {column: texts}, table.numbers)


def label_names(rows: Iterable[Sequence[str]], marks: Marks) -> tuple[str, ...]:
    """The labels of a task: all that occur, by name; of tags O, then both tags of each name."""
    found = set(chain(*rows))
    if marks == "set":
        return tuple(sorted(found))
    names = sorted({tag[len(BEGIN) :] for tag in found - {OUTSIDE}})
    return (OUTSIDE, *(f"{prefix}{name}" for name in names for prefix in (BEGIN, INSIDE)))


def check_tags(tables: dict[str, Table], columns: dict[str, str]) -> None:
    """Refuse words and tags that do not belong together: other numbers of them, words with spaces, no BIO tags.

    Args:
        tables: as they were read.
        columns: of text and label.

    Raises:
        PlanError: with each fault.
    """
    faults = [fault for name, table in tables.items() if name not in WITHOUT_LABELS
              for fault in _tag_faults(name, table, columns)]  # fmt: skip
    if faults:
        raise PlanError(faults)


def _tag_faults(name: str, table: Table, columns: dict[str, str]) -> list[Diagnostic]:
    texts = [words(cell) for cell in cells(table.columns[columns["text"]])]
    tags = [items(cell, "tags") for cell in cells(table.columns[columns["label"]])]
    rows = list(zip(table.numbers, zip(texts, tags, strict=True), strict=True))
    uneven = [
        f"row {n}: {len(text)} words, {len(own)} tags" for n, (text, own) in rows if own and len(text) != len(own)
    ]
    spaced = [f"row {n}: {word!r}" for n, (text, _) in rows for word in text if len(word.split()) != 1]
    strange = [f"row {n}: {tag!r}" for n, (_, own) in rows for tag in own if not is_tag(tag)]
    said = (
        (uneven, "each word needs a tag", "one tag for each word; write words as a JSON list where they are not split "
         "at white space"),
        (spaced, "a word is empty or has a space in it", "split it into words with a tag each, B- then I-"),
        (strange, "these are no BIO tags", "O, or B- and I- with a name behind: B-DRUG"),
    )  # fmt: skip
    return [
        Diagnostic(code="E-value", message=f"{table.place}: {what} ({_some(found)})", pointer=pointer_of(name),
                   remedy=remedy)
        for found, what, remedy in said if found
    ]  # fmt: skip


def _some(found: list[str]) -> str:
    return "; ".join(found[:SHOWN]) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def marking_task(table: Table) -> tuple[Marks, dict[str, str]] | None:
    """What several labels a file has, and its columns, where that is clear: lists, semicolons, or BIO tags."""
    label = named_like(table, TAGS)
    text = named_like(table, WORDS)
    if label and text and label != text:
        tags = [items(cell, "tags") for cell in cells(table.columns[label])]
        texts = [words(cell) for cell in cells(table.columns[text])]
        begun = any(tag != OUTSIDE for tag in chain(*tags))
        if begun and all(map(is_tag, chain(*tags))) and list(map(len, tags)) == list(map(len, texts)):
            return "tags", {"text": text, "label": label}
    label = named_like(table, SETS)
    text = text_column(table, label) if label else None
    if label and text and _are_sets(cells(table.columns[label])):
        return "set", {"text": text, "label": label}
    return None


def _are_sets(column: Sequence[str]) -> bool:
    """Whether cells are lists, or some of few short labels with semicolons between them."""
    given = [cell for cell in column if cell.strip()]
    if given and all(_listed(cell) is not None for cell in given):
        return True
    sets = [items(cell, "set") for cell in given]
    distinct = set(chain(*sets))
    several = sum(len(each) > 1 for each in sets)
    return (
        several >= max(2, OFTEN * len(column))
        and 2 * len(distinct) <= len(column)
        and all(len(label) <= 60 for label in distinct)
    )
