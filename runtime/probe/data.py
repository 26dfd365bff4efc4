"""Facts about the data, and the rows themselves."""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, TypeVar

from fewtune.compiler.facts import DataFacts, SplitFacts
from fewtune.compiler.wording import fields as fields_of
from fewtune.runtime.job import Corpus, Row
from fewtune.runtime.lock import Lock
from fewtune.runtime.probe.columns import columns_of
from fewtune.runtime.probe.marking import check_tags, in_words, items, label_names, marked_columns
from fewtune.runtime.probe.preferring import check_preferences, preference_columns, sign
from fewtune.runtime.probe.rows import Table, cells, data_path, read_table
from fewtune.runtime.tokens import TokenCounter
from fewtune.specs.data import WITHOUT_LABELS, Source, pointer_of
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.experiment import Experiment
from fewtune.specs.task import Marks

T = TypeVar("T")
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Characters that are not shown: zero-width ones, soft hyphens, variation selectors (Unicode's property
Default_Ignorable_Code_Point)."""


@dataclass(frozen=True)
class ReadData:
    """What was read: columns of the train split, tables of all."""

    fields: tuple[str, ...]
    columns: dict[str, str]
    tables: dict[str, Table]
    labels: tuple[str, ...]
    answer: Literal["label", "target"]
    """What the answer is: a label, or a text."""
    marks: Marks | None = None
    """What several labels of a text are; None: it has one, or none."""

    @property
    def judged(self) -> str | None:
        """What stands beside a text that is judged: the column of worse texts, or of signals; None: nothing."""
        return (self.columns.get("rejected") or self.columns.get("label")) if self.answer == "target" else None


def files(experiment: Experiment, base: Path, lock: Lock) -> dict[str, Path]:
    """Split name -> its data file.

    Raises:
        PlanError: with each file that is missing or may not be read.
    """

    def find(name: str, source: Source) -> Path:
        return data_path(source.path, base) if source.path else lock.data_file(source)

    found, faults = _each(experiment, find)
    if faults:
        _, unreadable = _each(experiment, lambda name, source: read_table(found[name], source), found)
        raise PlanError([*faults, *unreadable])
    return found


def read(experiment: Experiment, paths: dict[str, Path]) -> ReadData:
    """Read every split.

    Raises:
        PlanError: with each file or column that is missing or unreadable.
    """
    tables, faults = _each(experiment, lambda name, source: read_table(paths[name], source))
    if faults:
        raise PlanError(faults)
    answer = experiment.task.answer
    marks = experiment.task.marks
    if experiment.task.prefers:
        columns = preference_columns(experiment.data, tables["train"])
    elif marks is not None:
        columns = marked_columns(experiment.data, tables["train"], marks)
    else:
        columns = columns_of(experiment.data, fields_of(experiment), tables["train"], answer)
    fields = tuple(field for field in columns if field in fields_of(experiment))
    _same_columns(columns, tables, fields)
    if answer == "label":
        tables = _labelled(experiment, tables, columns["label"])
    if experiment.task.prefers:
        check_preferences(tables, columns)
    if marks == "tags":
        check_tags(tables, columns)
        tables = {name: in_words(table, columns["text"]) for name, table in tables.items()}
    labels = experiment.task.labels or ()
    if marks is not None and not labels:
        labels = label_names((items(cell, marks) for cell in cells(tables["train"].columns[columns["label"]])), marks)
    elif answer == "label" and not labels:
        labels = tuple(_sorted_labels(cells(tables["train"].columns[columns["label"]])))
    return ReadData(fields, columns, tables, labels, answer, marks)


def _labelled(experiment: Experiment, tables: dict[str, Table], column: str) -> dict[str, Table]:
    """The tables with those labels only that the spec names, by the names that it gives them."""

    def only(name: str, source: Source) -> Table:
        return tables[name].labelled(column, source.labels) if source.labels else tables[name]

    found, faults = _each(experiment, only)
    if faults:
        raise PlanError(faults)
    return found


def _each(
    experiment: Experiment, work: Callable[[str, Source], T], among: Container[str] | None = None
) -> tuple[dict[str, T], list[Diagnostic]]:
    """(split name -> what the work finds, every fault with its place), for all splits or some."""
    found, faults = dict[str, T](), list[Diagnostic]()
    for name, source in experiment.data.splits.items():
        if among is not None and name not in among:
            continue
        try:
            found[name] = work(name, source)
        except PlanError as error:
            faults += [fault.model_copy(update={"pointer": pointer_of(name)}) for fault in error.diagnostics]
    return found, faults


def _same_columns(columns: dict[str, str], tables: dict[str, Table], fields: Container[str]) -> None:
    faults = []
    for name, table in tables.items():
        needed = [column for field, column in columns.items() if field in fields or name not in WITHOUT_LABELS]
        for column in needed:
            if column not in table.columns:
                message = f"{table.place} has no column {column!r}, which the training rows have"
                remedy = f"its columns are {', '.join(table.columns)}"
                faults.append(Diagnostic(code="E-column", message=message, pointer=pointer_of(name), remedy=remedy))
    if faults:
        raise PlanError(faults)


def _sorted_labels(values: Iterable[str]) -> list[str]:
    """Distinct labels; whole numbers by value, everything else by name."""
    distinct = {value.strip() for value in values} - {""}
    numeric = all(re.fullmatch(r"-?\d{1,9}", value) for value in distinct)
    return sorted(distinct, key=lambda value: (int(value), "") if numeric else (0, value))


def normalised(text: str) -> str:
    """The text without case, punctuation, symbols, spacing and what is not shown: what makes two rows duplicates."""
    folded = text if text.isascii() else unicodedata.normalize("NFKC", INVISIBLE.sub("", text))
    return " ".join(re.findall(r"\w+", folded.casefold()))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def data_facts(found: ReadData, count: TokenCounter) -> DataFacts:
    """Facts of every split.

    Args:
        found: the rows.
        count: gives the number of tokens of each text.
    """
    index = {label: position for position, label in enumerate(found.labels)}
    splits = {name: _split(name, table, found, index, count) for name, table in found.tables.items()}
    return DataFacts(fields=found.fields, columns=found.columns, labels=found.labels, splits=splits)


def _texts(table: Table, found: ReadData) -> list[tuple[str, ...]]:
    """Each row's fields."""
    return list(zip(*(cells(table.columns[found.columns[field]]) for field in found.fields), strict=True))


def _answer_cells(table: Table, found: ReadData) -> list[str]:
    column = table.columns.get(found.columns[found.answer])
    return [value.strip() for value in cells(column)] if column is not None else [""] * len(table)


def _marks(name: str, table: Table, found: ReadData) -> list[list[str]]:
    """The labels of each row that has several, in words; no rows where none are given."""
    column = table.columns.get(found.columns.get("label", ""))
    if found.marks is None or column is None or name in WITHOUT_LABELS:
        return []
    return [items(cell, found.marks) for cell in cells(column)]


def _indices(labels: list[str], found: ReadData, index: dict[str, int]) -> tuple[int, ...]:
    """The same as numbers: those of a set in rising order, unknown ones left out; of tags one for each word."""
    if found.marks == "tags":
        return tuple(index.get(tag, -1) for tag in labels)
    return tuple(sorted(index[label] for label in labels if label in index))


def _split(name: str, table: Table, found: ReadData, index: dict[str, int], count: TokenCounter) -> SplitFacts:
    texts, labels = _texts(table, found), _answer_cells(table, found)
    if found.marks is not None:
        sets = _marks(name, table, found)
        targets = {"marks": tuple(_indices(each, found, index) for each in sets)}
        unknown = set(chain(*sets)) - index.keys()
        given = [bool(each) or found.marks == "set" for each in sets] or [False] * len(table)
        labels, index = ["given" if one else "" for one in given], {"given": 0}
    elif found.judged is not None:
        labels, targets = _judged_facts(table, found, labels, count)
        index, unknown = dict.fromkeys(filter(None, labels), 0), set[str]()
    elif found.answer == "target":
        targets, index, unknown = _target_facts(labels, count), dict.fromkeys(filter(None, labels), 0), set[str]()
    else:
        targets, unknown = {}, {label for label in labels if label and label not in index}
    return SplitFacts(
        name=name,
        place=table.place,
        text_keys=tuple(_hash("\x1f".join(fields)) for fields in texts),
        groups=tuple(_hash("\x1f".join(map(normalised, fields))) for fields in texts),
        labels=tuple(index.get(label, -1) for label in labels),
        tokens=tuple(count(["\n".join(fields) for fields in texts])),
        unknown_labels=tuple(sorted(unknown)),
        missing_text=tuple(n for n, fields in enumerate(texts, 1) if not all(part.strip() for part in fields)),
        missing_label=tuple(n for n, label in enumerate(labels, 1) if not label),
        **targets,
    )


def _target_facts(targets: list[str], count: TokenCounter) -> dict[str, Any]:
    return {
        "targets": tuple(map(_hash, targets)),
        "target_tokens": tuple(count([f" {target}" for target in targets])),
        "multiline_targets": sum("\n" in target for target in targets),
    }


def _beside(table: Table, found: ReadData) -> list[str]:
    """What stands beside each text that is judged."""
    column = table.columns.get(found.judged or "")
    return [value.strip() for value in cells(column)] if column is not None else [""] * len(table)


def _judged_facts(
    table: Table, found: ReadData, texts: list[str], count: TokenCounter
) -> tuple[list[str], dict[str, Any]]:
    """(text and what stands beside it as one, empty where either is missing; facts of both)."""
    beside, pairs = _beside(table, found), "rejected" in found.columns
    both = ["\x1f".join(row) if all(row) else "" for row in zip(texts, beside, strict=True)]
    facts = _target_facts(both, count)
    lengths = [count([f" {text}" for text in each]) for each in (texts, beside if pairs else texts)]
    facts["target_tokens"] = tuple(map(max, *lengths)) if texts else ()
    facts["multiline_targets"] = sum("\n" in text for text in both)
    return both, facts


def corpus(found: ReadData) -> Corpus:
    """The rows as workers need them."""
    index = {label: position for position, label in enumerate(found.labels)}
    splits = dict[str, tuple[Row, ...]]()
    for name, table in found.tables.items():
        rows = zip(_texts(table, found), _answer_cells(table, found), _beside(table, found), strict=True)
        pairs = "rejected" in found.columns
        if found.marks is not None:
            sets = _marks(name, table, found) or [[]] * len(table)
            splits[name] = tuple(
                Row(fields=dict(zip(found.fields, fields, strict=True)), marks=_indices(each, found, index))
                for fields, each in zip(_texts(table, found), sets, strict=True)
            )
            continue
        splits[name] = tuple(
            Row(
                fields=dict(zip(found.fields, fields, strict=True)),
                label=index.get(answer, -1) if found.judged is None or pairs else _signal(beside),
                target=answer if found.answer == "target" else "",
                rejected=beside if pairs else "",
            )
            for fields, answer, beside in rows
        )
    return Corpus(labels=found.labels, splits=splits)


def _signal(cell: str) -> int:
    """1 for a text that was liked, 0 for another, -1 where nothing is said."""
    said = sign(cell)
    return -1 if said is None else said
