"""One read-only SQL statement on the published results.

The connection can open no file and change no setting; only SELECT and its like, and EXPLAIN, are let through. This
protects the store from a confused agent, not the host from a hostile one.
"""

import difflib
import json
import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import duckdb

from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store.database import Connection, DatabaseError
from fewtune.store.snapshot import open_newest
from fewtune.store.views import PUBLIC
from fewtune.store.workspace import Workspace

ROWS = 10_000
SECONDS = 30.0
_REFUSED, _WRONG, _TOO_LONG = 13, 2, 14  # exit statuses


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of an answer."""

    name: str
    type: str
    """DuckDB's name of the type."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a query gave; all values are JSON's, what is not finite is null."""

    columns: tuple[Column, ...]
    rows: list[list[Any]]
    as_of: str | None
    """The last event that the results know (UTC); None: none yet."""
    truncated: bool
    """Whether rows beyond the limit were left out."""


def run_sql(workspace: Workspace, sql: str, limit: int = ROWS, *, seconds: float = SECONDS) -> Answer:
    """Answer one SELECT statement from the newest published results.

    Args:
        workspace: where to look; one without results has the same views, empty.
        sql: one statement.
        limit: rows to return at most.
        seconds: how long it may take.

    Raises:
        StoreError: E-sql where the statement is refused, wrong or takes too long; E-results where the copy is
            damaged.
    """
    with open_newest(workspace) as (connection, where):
        _check(connection, sql)
        with _limited(connection, seconds), _explained(sql):
            connection.execute(sql)
            columns = tuple(Column(name=name, type=str(kind)) for name, kind, *_ in connection.description or ())
            rows = connection.fetchmany(limit + 1)
        shown = [[plain(value) for value in row] for row in rows[:limit]]
        return Answer(columns=columns, rows=shown, as_of=where.as_of if where else None, truncated=len(rows) > limit)


def plain(value: Any) -> Any:
    """A database value as JSON has it."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case datetime() | date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case timedelta():
            return value.total_seconds()
        case bytes():
            return value.hex()
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def _check(connection: Connection, sql: str) -> None:
    """Refuse what is not exactly one SELECT or EXPLAIN."""
    with _explained(sql):
        kinds = [statement.type for statement in connection.extract_statements(sql)]
    allowed = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
    if len(kinds) != 1 or kinds[0] not in allowed:
        got = ", ".join(str(kind).rpartition(".")[2] for kind in kinds) or "nothing"
        raise _error("only one SELECT statement can be run here", _REFUSED, expected="one SELECT", got=got)


@contextmanager
def _limited(connection: Connection, seconds: float) -> Iterator[None]:
    """Interrupt what takes longer."""
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        raise _error(f"the query took longer than {seconds:g} s", _TOO_LONG, remedy="narrow it down") from error
    finally:
        timer.cancel()


@contextmanager
def _explained(sql: str) -> Iterator[None]:
    """Turn the database's errors into a diagnostic with the place and the nearest name."""
    try:
        yield
    except duckdb.InterruptException:
        raise
    except DatabaseError as error:
        raise _diagnosed(sql, error) from error


def _diagnosed(sql: str, error: Exception) -> StoreError:
    text = str(error)
    if "pytz" in text:
        return _error("times with a zone cannot be shown", _WRONG, remedy="cast to TIMESTAMP")
    details = _details(text)
    first = str(details.get("exception_message", text)).splitlines()[0]
    wrong = details.get("name")
    before = sql[: int(details["position"])] if str(details.get("position", "")).isdigit() else None
    refused = details.get("exception_type") == "Permission"
    return _error(
        first[:300],
        _REFUSED if refused else _WRONG,
        got=wrong,
        nearest=_nearest(str(wrong)) if wrong else None,
        line=before.count("\n") + 1 if before is not None else None,
        column=len(before) - before.rfind("\n") if before is not None else None,
    )


def _details(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text[text.index("{") :])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _nearest(wrong: str) -> str | None:
    """The public view or column whose name is most like this one."""
    names = {name for view in PUBLIC for name in (view.name, *view.columns)}
    return next(iter(difflib.get_close_matches(wrong.lower(), sorted(names), n=1)), None)


def _error(message: str, status: int, **more: Any) -> StoreError:
    return StoreError(Diagnostic(code="E-sql", message=message, **more), exit_status=status)
