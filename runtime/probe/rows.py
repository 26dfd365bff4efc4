"""Rows of a local data file, through DuckDB's readers: the one reader for probe and training alike."""

import re
from pathlib import Path
from typing import Any

from fewtune.specs.data import Source
from fewtune.specs.diagnostic import Diagnostic, PlanError

READERS = {
    ".csv": "read_csv(?, header=true, all_varchar=true, delim=',', quote='\"', escape='\"')",
    ".tsv": "read_csv(?, header=true, all_varchar=true, delim='\t', quote='\"', escape='\"')",
    ".jsonl": "read_json(?, format='newline_delimited')",
    ".ndjson": "read_json(?, format='newline_delimited')",
    ".json": "read_json(?)",
    ".parquet": "read_parquet(?)",
}
"""Ending -> DuckDB's table function."""
MAX_BYTES = 2_000_000_000
"""A labelled set beyond this is not limited data."""


class Table:
    """A file's columns as text; None where a cell is empty."""

    def __init__(self, place: str, columns: dict[str, list[str | None]]) -> None:
        """Keep the columns under the name that a person would use for the file."""
        self.place = place
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))


def data_path(text: str, base: Path) -> Path:
    """The regular file that a spec names, below the spec's folder or the current one.

    Raises:
        PlanError: E-path when it leaves these folders, E-file-missing when it is not there.
    """
    target = (base / text).resolve()
    roots = [base.resolve(), Path.cwd().resolve()]
    if not any(target.is_relative_to(root) for root in roots):
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

    reader = READERS.get(path.suffix.lower())
    if reader is None:
        remedy = f"the endings are {', '.join(READERS)}"
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
            relation = connection.execute(f"SELECT COLUMNS(*)::VARCHAR FROM {reader}{rows}", [str(path)])
            names = [column[0] for column in relation.description or ()]
            cells = relation.fetchall()
    except duckdb.Error as error:
        raise PlanError(_unreadable(source.place, error)) from error
    return Table(source.place, {name: [row[index] for row in cells] for index, name in enumerate(names)})


def _unreadable(place: str, error: Exception) -> Diagnostic:
    reason = re.sub(r"\s+", " ", str(error).split("\n")[0]).strip()[:200]
    return Diagnostic(
        code="E-file-unreadable",
        message=f"{place}: {reason}",
        remedy="fewtune reads UTF-8 CSV with a header line, JSON lines, and Parquet",
    )


def cells(values: list[Any]) -> list[str]:
    """The column's cells as text, empty where there is nothing."""
    return ["" if value is None else str(value) for value in values]
