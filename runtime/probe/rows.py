"""Rows of a local data file, through DuckDB's readers: the one reader for probe and training alike."""

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fewtune.runtime.folders import is_below
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import Diagnostic, PlanError

CSV = "read_csv(?, header=true, all_varchar=true, delim='{delimiter}', quote='\"', escape='\"')"
JSON = "read_json(?, format='{form}'{more})"
JSON_FORMS = {".jsonl": "newline_delimited", ".ndjson": "newline_delimited", ".json": "auto"}
ENDINGS = (".csv", ".tsv", *JSON_FORMS, ".parquet")
DELIMITERS = (",", ";", "\t", "|")
"""What may stand between the cells of a CSV file: whatever is most frequent in its first line."""
MAX_BYTES = 2_000_000_000
"""A labelled set beyond this is not limited data."""


class Table:
    """A file's columns as text; None where a cell is empty."""

    def __init__(self, place: str, columns: dict[str, list[str | None]], numbers: Sequence[int] | None = None) -> None:
        """Keep the columns under the name that a person would use for the file.

        Args:
            place: that name.
            columns: name -> its cells.
            numbers: each row's number in the file; omitted: from 1.
        """
        self.place = place
        self.columns = columns
        self.numbers = numbers or range(1, len(self) + 1)

    def labelled(self, column: str, names: Mapping[str, str]) -> "Table":
        """The rows whose label is among the names, under its new name.

        Raises:
            PlanError: E-label-unknown where no row has one of the labels.
        """
        found = [cell.strip() for cell in cells(self.columns[column])]
        for name in names:
            if name not in found:
                message = f"{self.place}: no row has the label {name!r} in column {column!r}"
                remedy = f"its labels are {', '.join(sorted(set(filter(None, found)))[:10])}"
                raise PlanError(Diagnostic(code="E-label-unknown", message=message, remedy=remedy))
        kept = [row for row, label in enumerate(found) if label in names]
        columns = {name: [values[row] for row in kept] for name, values in self.columns.items()}
        columns[column] = [names[found[row]] for row in kept]
        return Table(self.place, columns, [self.numbers[row] for row in kept])

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


def data_path(text: str, base: Path) -> Path:
    """The regular file that a spec names, below the spec's folder or the current one.

    Raises:
        PlanError: E-path when it leaves these folders, E-file-missing when it is not there.
    """
    target = (base / text).resolve()
    if not is_below(target, (base, Path.cwd())):
        remedy = "copy the file below the spec's folder, or start fewtune in a folder that holds both"
        raise PlanError(Diagnostic(code="E-path", message=f"{text} leaves the folder of the spec", remedy=remedy))
    if not target.exists():
        raise PlanError(Diagnostic(code="E-file-missing", message=f"there is no file {text}", remedy="check the path"))
    if not target.is_file():
        raise PlanError(Diagnostic(code="E-path", message=f"{text} is not a regular file", remedy="name a data file"))
    return target


def read_table(path: Path, source: Source) -> Table:
    """Read the file's rows, as text, in their order.

    Raises:
        PlanError: E-file-unreadable, with DuckDB's first sentence.
    """
    import duckdb

    ending = path.suffix.lower()
    if ending not in ENDINGS:
        remedy = f"the endings are {', '.join(ENDINGS)}"
        raise PlanError(Diagnostic(code="E-file-unreadable", message=f"{source.place}: unknown ending", remedy=remedy))
    if path.stat().st_size > MAX_BYTES:
        raise PlanError(Diagnostic(code="E-file-unreadable", message=f"{source.place} is larger than 2 GB"))
    rows = (
        ""
        if source.last_row is None
        else f" LIMIT {source.last_row - source.first_row + 1} OFFSET {source.first_row - 1}"
    )
    try:
        with duckdb.connect(config={"threads": 1}) as connection:
            reader = _reader(connection, path, ending)
            chosen = _as_text(connection, path) if ending == ".parquet" else "COLUMNS(*)::VARCHAR"
            relation = connection.execute(f"SELECT {chosen} FROM {reader}{rows}", [str(path)])
            names = [column[0] for column in relation.description or ()]
            found = relation.fetchall()
    except duckdb.Error as error:
        fault = _fault(path) if ending in (".csv", ".tsv") else ""
        raise PlanError(_unreadable(source.place, fault or str(error))) from error
    columns = {name: [row[index] for row in found] for index, name in enumerate(names)}
    return Table(source.place, columns, range(source.first_row, source.first_row + len(found)))


def _reader(connection: Any, path: Path, ending: str) -> str:
    """DuckDB's table function for a file; every value as it is written, none guessed to be a number or a date."""
    if ending == ".parquet":
        return "read_parquet(?)"
    if ending not in JSON_FORMS:
        return CSV.format(delimiter=delimiter(path))
    names = JSON.format(form=JSON_FORMS[ending], more=", maximum_depth=1, sample_size=-1")
    found = connection.execute(f"DESCRIBE SELECT * FROM {names}", [str(path)]).fetchall()
    columns = ", ".join("'{}': 'VARCHAR'".format(row[0].replace("'", "''")) for row in found)
    return JSON.format(form=JSON_FORMS[ending], more=f", columns={{{columns}}}")


def _as_text(connection: Any, path: Path) -> str:
    """Every column of a Parquet file as text; lists as JSON, as they stand in JSON lines."""
    found = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
    quoted = [('"' + column.replace('"', '""') + '"', kind.endswith("[]")) for column, kind, *_ in found]
    return ", ".join(f"{f'to_json({name})' if listed else name}::VARCHAR AS {name}" for name, listed in quoted)


def delimiter(path: Path) -> str:
    """What stands between the names of a CSV file's header; a comma where there is one column."""
    with path.open("rb") as handle:
        header = handle.readline(100_000).decode("utf-8", errors="replace")
    outside = re.sub(r'"[^"]*"', "", header)
    return max(DELIMITERS, key=lambda each: (outside.count(each), -DELIMITERS.index(each)))


def _fault(path: Path) -> str:
    """The first line of a CSV file that cannot be read, and why; empty where nothing is found."""
    wide = 0
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = csv.reader(handle, delimiter=delimiter(path), strict=True)
            for cells_ in rows:
                wide = wide or len(cells_)
                if cells_ and len(cells_) != wide:
                    what = f"line {rows.line_num} has {len(cells_)} cells, the header has {wide}"
                    return f"{what}; write quotes around texts that contain {delimiter(path)!r}"
    except UnicodeDecodeError:
        return "it is not UTF-8; save it as UTF-8 (spreadsheets offer it as a kind of CSV)"
    except csv.Error as error:
        return f"line {rows.line_num}: {error}; a quote inside a text is written twice"
    return ""


def _unreadable(place: str, error: str) -> Diagnostic:
    reason = re.sub(r"\s+", " ", error.split("\n")[0]).strip()[:200]
    return Diagnostic(
        code="E-file-unreadable",
        message=f"{place}: {reason}",
        remedy="fewtune reads UTF-8 CSV with a header line, JSON lines, and Parquet",
    )


def cells(values: list[Any]) -> list[str]:
    """The column's cells as text, empty where there is nothing."""
    return ["" if value is None else str(value) for value in values]
