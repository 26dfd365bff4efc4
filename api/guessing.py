"""What a data file is about: its columns, the task, the labels, and a test file beside it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fewtune.runtime.probe.columns import LABELS, TEXTS, label_column, pair_columns, text_column, writing_task
from fewtune.runtime.probe.kinds import Column, described, looks_headless
from fewtune.runtime.probe.marking import items, label_names, marking_task
from fewtune.runtime.probe.preferring import preference_task
from fewtune.runtime.probe.rows import Table, cells, delimiter
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.task import MARKED

TEST_NAMES = ("test", "heldout", "held-out", "eval")
TRAIN_NAMES = ("train", "training")
MOST_LABELS = 500
"""Labels that a task may have."""
MISSING = {
    "label": "a column with few different values is needed, or a text to be written that is called target or summary",
    "text": "a column with texts is needed: name it with --text",
}
"""What to do where no column is likely."""
SHOWN = 12
"""Columns that a refusal lists."""


@dataclass(frozen=True, kw_only=True)
class Guess:
    """What was found out. `columns` are those of the texts and of the target, by field."""

    task: str
    columns: dict[str, str]
    label: str | None
    labels: dict[str, int] = field(default_factory=dict)
    """Label -> rows that have it; empty where there are none."""
    rows: int
    unlabelled: int = 0
    """Rows without a label, where each row has one."""
    test: str | None
    more: bool = False
    """Whether the file has more rows than were read."""
    seen: tuple[Column, ...]
    """All columns of the file."""
    guessed: dict[str, str] = field(default_factory=dict)
    """Key of the spec -> why it was taken, where its name does not say so."""

    def data(self) -> dict[str, Any]:
        """As `init --json` says it."""
        return {
            "task": self.task, "columns": self.columns, "label": self.label, "labels": list(self.labels),
            "rows": self.rows, "more_rows": self.more, "test": self.test,
        }  # fmt: skip

    def role(self, name: str) -> str | None:
        """What the spec uses a column as."""
        roles = {column: field for field, column in self.columns.items()}
        return "label" if name == self.label else roles.get(name)


def guess(table: Table, data: Path, *, label: str | None = None, text: str | None = None) -> Guess:
    """Task, columns and the test file, as far as they are named or clear.

    Args:
        table: the file's rows.
        data: the file.
        label: the column of the labels, where it is known.
        text: the column of the texts, or two of them with a comma between for pairs.

    Raises:
        PlanError: E-column, E-file-unreadable where the first line holds no names, E-one-class, E-too-few-rows.
    """
    _check(table, data)
    pair = _asked_pair(table, text)
    for column in (label, *(pair or (text,))):
        if column is not None and column not in table.columns:
            raise _no_column(f"{data.name} has no column {column!r}", f"the columns are {_names(table)}")
    common: dict[str, Any] = {"rows": len(table), "test": beside(data), "seen": described(table)}
    preferred = None if label or pair else preference_task(table)
    if preferred is not None:
        return Guess(task="preference", columns=preferred | ({"text": text} if text else {}), label=None, **common)
    several = None if label or text else marking_task(table)
    if several is not None:
        marks, columns = several
        parts = [items(cell, marks) for cell in cells(table.columns[columns["label"]])]
        counts = Counter(label for part in parts for label in part)
        names = {name: counts[name] for name in label_names(parts, marks)}
        task = next(task for task, kind in MARKED.items() if kind == marks)
        return Guess(task=task, columns={"text": columns["text"]}, label=columns["label"], labels=names, **common)
    written = None if label or pair else writing_task(table)
    if written is not None:
        columns = written[1] | ({"text": text} if text else {})
        return Guess(task=written[0], columns=columns, label=None, **common)
    return _classification(table, data, label, None if pair else text, pair, common)


def _classification(
    table: Table, data: Path, label: str | None, text: str | None, pair: tuple[str, str] | None, common: dict[str, Any]
) -> Guess:
    pair = pair or (None if text else pair_columns(table))
    given = label
    label = label or label_column(table)
    text_given = text
    text = None if pair else text or text_column(table, label)
    seen: tuple[Column, ...] = common["seen"]
    if label is None:
        raise _unclear("label", data, seen)
    if pair is None and text is None:
        raise _unclear("text", data, tuple(one for one in seen if one.name != label))
    if pair is None and any(one.name == text and one.kind == "object" for one in seen):
        raise _unclear("text", data, tuple(one for one in seen if one.name != label))
    found = Counter(cell.strip() for cell in cells(table.columns[label]))
    unlabelled = found.pop("", 0)
    _check_labels(found, label, data)
    why = {}
    if given is None and label.lower() not in LABELS:
        why["label"] = f"guessed: few short values ({len(found)})"
    if pair is None and text_given is None and str(text).lower() not in TEXTS:
        why["text"] = "guessed: the longest texts"
    columns = dict(zip(("premise", "hypothesis"), pair, strict=True)) if pair else {"text": str(text)}
    task = "pair-classification" if pair else "classification"
    counts = dict(sorted(found.items()))
    return Guess(
        task=task, columns=columns, label=label, labels=counts, unlabelled=unlabelled, guessed=why, **common
    )  # fmt: skip


def _check(table: Table, data: Path) -> None:
    """A file without rows, or without names of columns, is none to begin with."""
    if len(table) == 0:
        message = f"{data.name} has no rows below its first line"
        raise PlanError(
            Diagnostic(code="E-too-few-rows", message=message, remedy="a task needs some rows of each label")
        )
    if data.suffix.lower() in (".csv", ".tsv") and looks_headless(table):
        between = delimiter(data)
        names = between.join(["text", "label", *(f"column{n}" for n in range(3, 9))][: len(table.columns)])
        message = f"{data.name}: the first line looks like a row, and not like the names of the columns"
        remedy = f"put a line of names before it, such as: {names}"
        raise PlanError(Diagnostic(code="E-file-unreadable", message=message, remedy=remedy))


def _check_labels(found: "Counter[str]", label: str, data: Path) -> None:
    if len(found) < 2:
        said = f"only {next(iter(found))!r}" if found else "no value at all"
        message = f"{data.name}: column {label!r} has {said}; a classification needs two labels at least"
        remedy = "name another column with --label, or add rows of another label"
        raise PlanError(Diagnostic(code="E-one-class", message=message, remedy=remedy))
    if len(found) > MOST_LABELS:
        message = f"{data.name}: column {label!r} has {len(found):,} different values, and a task at most {MOST_LABELS}"
        remedy = 'name another column with --label, or keep some: train = { path = ..., labels = { a = "a" } }'
        raise PlanError(Diagnostic(code="E-column", message=message, remedy=remedy))


def _asked_pair(table: Table, text: str | None) -> tuple[str, str] | None:
    """Two columns of one option."""
    if text is None or text in table.columns or text.count(",") != 1:
        return None
    first, second = text.split(",")
    return first.strip(), second.strip()


def _unclear(what: Literal["label", "text"], data: Path, seen: tuple[Column, ...]) -> PlanError:
    """No column is clearly the one that is looked for: say what each looks like, and how to name it."""
    listed = ", ".join(f"{one.name} ({_looks(one)})" for one in seen[:SHOWN])
    more = f" and {len(seen) - SHOWN} more" if len(seen) > SHOWN else ""
    likely = [one.name for one in seen if one.kind == what]
    remedy = f"name it: --{what} {likely[0]!r}" if likely else MISSING[what]
    if what == "label" and any(one.kind == "number" for one in seen):
        remedy += "; numbers are no labels: round them into a few classes"
    if what == "text" and len(likely) == 2:
        remedy += f"; or both as a pair: --text '{likely[0]},{likely[1]}'"
    if any(one.kind in ("list", "object") for one in seen):
        flat = "JSON inside a column is not read: flatten it into columns of text"
        remedy = f"{remedy}; {flat}" if likely else flat
    return _no_column(f"{data.name}: no column is clearly the {what}: {listed}{more}", remedy)


def _looks(one: Column) -> str:
    values = f"{one.distinct} values"
    return f"{values}, {one.length:.0f} characters" if one.kind == "text" else f"{one.kind}, {values}"


def _no_column(message: str, remedy: str) -> PlanError:
    return PlanError(Diagnostic(code="E-column", message=message, remedy=remedy))


def _names(table: Table) -> str:
    return ", ".join(list(table.columns)[:SHOWN])


def beside(data: Path) -> str | None:
    """A file beside this one that is named like its test split."""
    files = {path.name.lower(): path.name for path in data.resolve().parent.iterdir() if path.is_file()}
    for word in TRAIN_NAMES:
        if word in data.stem.lower():
            for other in TEST_NAMES:
                found = files.get(data.name.lower().replace(word, other))
                if found is not None:
                    return found
    return None
