"""Opening the database: the only module that imports duckdb.

`connect` is for the holder of the lease. Readers never open that file, which another process may be writing; they
open a published copy, read-only and locked down.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb

from fewtune.store import schema

Connection = duckdb.DuckDBPyConnection
DatabaseError = duckdb.Error

MEMORY = "1GB"
"""The most that a reader's query may use."""
Setting = str | bool | int | float | list[str]


@contextmanager
def connect(path: Path) -> Iterator[Connection]:
    """Open the database for writing, empty where there is none; afterwards all of it is in the one file."""
    connection = duckdb.connect(str(path), config={"threads": 1, "autoinstall_known_extensions": False})
    try:
        yield connection
        connection.execute("CHECKPOINT")
    finally:
        connection.close()


@contextmanager
def connect_reader(path: Path | None, **narrower: Setting) -> Iterator[Connection]:
    """Open a published copy for reading only; None: an empty database with the same views.

    Args:
        path: the copy.
        narrower: further settings of the database, which nothing can change afterwards.
    """
    config: dict[str, Setting] = {
        "threads": 1,
        "memory_limit": MEMORY,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        **narrower,
    }
    connection = duckdb.connect(str(path or ":memory:"), read_only=path is not None, config=config)
    try:
        if path is None:
            create(connection)
        for setting in (
            "python_enable_replacements = false",
            "errors_as_json = true",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")
        yield connection
    finally:
        connection.close()


def create(connection: Connection) -> None:
    """Make the tables and views."""
    connection.execute(";\n".join(schema.statements()))


def insert(connection: Connection, table: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Add rows to a private table: one statement for all, a missing column is null."""
    if not rows:
        return
    columns = schema.TABLES[table]
    values = ", ".join(f"unnest(?::{kind}[])" for kind in columns.values())
    names = ", ".join(columns)
    connection.execute(
        f"INSERT INTO private.{table} ({names}) SELECT {values}",
        [[row.get(column) for row in rows] for column in columns],
    )
