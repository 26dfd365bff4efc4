"""The program that answers queries: a process of its own with little memory, no environment and no way to open a file.

One question a line on standard input, one answer on standard output: a line with the columns, a line for each row, a
line with how it ended. `store/sandbox.py` starts it, and kills it where it does not keep to its time.

The limits hold for whatever a query makes DuckDB do: no file grows, no core is dumped, the address space ends. While a
statement runs the process may open no file and no socket at all: the number of open files is at its limit. Where the
system does not know a limit, the others remain.
"""

import json
import math
import resource
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

import duckdb

from fewtune.store.database import Connection, DatabaseError, connect_reader
from fewtune.store.question import Question
from fewtune.store.statement import COLUMNS, Checked, RefusedError, check, nearest

ADDRESS_SPACE = 3 * 2**29
"""Bytes, of which the interpreter and DuckDB's library take about 750 MB before any query."""
QUERY_MEMORY = "384MB"
"""What DuckDB may use by its own count, which leaves out single long texts."""
FILES = 64
"""Open files while a copy is opened; 0 are left while a statement runs."""
BATCH = 256
"""Rows fetched at a time."""
DEPTH = 10_000
"""Nested levels of a parse tree."""


def main() -> None:
    """Answer until the input ends."""
    _limit()
    sys.setrecursionlimit(DEPTH)
    for line in sys.stdin:
        answer(Question(**json.loads(line)), sys.stdout)


def answer(question: Question, out: TextIO) -> None:
    """Write the columns, the rows and how it ended."""
    try:
        end = _answer(question, out)
    except RefusedError as error:
        end = _refusal(question.sql, error)
    except duckdb.InterruptException:
        end = {"error": "limit", "message": f"the query took longer than {question.seconds:g} s",
               "remedy": "narrow it down, or aggregate"}  # fmt: skip
    except (duckdb.OutOfMemoryException, MemoryError):
        end = {"error": "limit", "message": "the query needs more memory than it may have",
               "remedy": "narrow it down, or aggregate"}  # fmt: skip
    except UnicodeError:
        end = {"error": "wrong", "message": "the statement is not clean text"}
    except (ValueError, OverflowError, ImportError, NotImplementedError) as error:
        message = f"a value of the answer cannot be shown: {str(error)[:200]}"
        end = {"error": "wrong", "message": message, "remedy": "cast it to VARCHAR"}
    _write(out, end)
    out.flush()


def _answer(question: Question, out: TextIO) -> dict[str, Any]:
    path = Path(question.path) if question.path is not None else None
    try:
        opened = connect_reader(path, memory_limit=QUERY_MEMORY, temp_directory="")
        connection = opened.__enter__()
    except DatabaseError as error:
        gone = path is not None and not path.exists()
        return {"error": "gone" if gone else "damaged", "message": str(error).splitlines()[0]}
    try:
        _cpu(question.seconds)
        with _no_files():
            return _run(connection, question, out)
    finally:
        opened.__exit__(None, None, None)


def _run(connection: Connection, question: Question, out: TextIO) -> dict[str, Any]:
    with suppress(DatabaseError):
        row = connection.execute("SELECT byte_offset, checksum, as_of, version FROM private.position").fetchone()
        _write(out, {"position": row})
    checked = Checked(question.sql)
    timer = threading.Timer(question.seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    try:
        checked = check(connection, question.sql)
        columns = _execute(connection, checked.text)
        _write(out, {"columns": columns})
        return {"cut": _stream(connection, question, out)}
    except (duckdb.InterruptException, duckdb.OutOfMemoryException):
        raise
    except DatabaseError as error:
        return _mistake(question, checked, error)
    finally:
        timer.cancel()


def _execute(connection: Connection, sql: str) -> list[tuple[str, str]]:
    """Run the statement; names and types of its columns. Times with a zone are read as text."""
    columns = [(str(name), str(kind)) for name, kind, *_ in connection.execute(sql).description or ()]
    if any("WITH TIME ZONE" in kind for _, kind in columns):
        shown = (f"#{i}::VARCHAR" if "WITH TIME ZONE" in kind else f"#{i}" for i, (_, kind) in enumerate(columns, 1))
        connection.execute(f"SELECT {', '.join(shown)} FROM (\n{sql.rstrip().rstrip(';')}\n)")
    return columns


def _stream(connection: Connection, question: Question, out: TextIO) -> str | None:
    """Write rows up to the limits; which of them cut the answer: rows, bytes, or None."""
    rows = size = 0
    while found := connection.fetchmany(min(BATCH, question.rows - rows + 1)):
        for row in found:
            text = json.dumps([plain(value) for value in row], ensure_ascii=True, allow_nan=False)
            size += len(text) + 1
            if rows == question.rows or size > question.bytes:
                return "rows" if rows == question.rows else "bytes"
            out.write(text + "\n")
            rows += 1
    return None


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
        case uuid.UUID():
            return str(value)
        case _:
            return str(value)


def _refusal(sql: str, error: RefusedError) -> dict[str, Any]:
    more = {key: value for key, value in error.more.items() if key != "at"}
    return {"error": "refused" if error.policy else "wrong", "message": str(error), **more,
            **_place(sql, error.more.get("at"))}  # fmt: skip


def _mistake(question: Question, checked: Checked, error: DatabaseError) -> dict[str, Any]:
    """The database's error as a finding with its place and the nearest name."""
    details = _details(str(error))
    message = str(details.get("exception_message", error)).splitlines()[0]
    if question.path is not None:
        message = message.replace(question.path, Path(question.path).name)
    at = str(details.get("position", ""))
    wrong = details.get("name") or _between(message, 'does not have a column named "', '"')
    found: dict[str, Any] = {
        "error": "refused" if details.get("exception_type") == "Permission" else "wrong",
        "message": message[:300],
        "got": wrong,
        **_place(question.sql, int(at) if at.isdigit() and checked.text == question.sql else None),
    }
    return found | (_candidates(str(wrong), str(details.get("candidates", "")), checked) if wrong else {})


def _candidates(wrong: str, said: str, checked: Checked) -> dict[str, Any]:
    """What may have been meant: of the query's own columns first, then of its views, then of all."""
    own = [name.strip() for name in said.replace('"', "").split(",") if name.strip()]
    near = [column for view in sorted(checked.views) for column in COLUMNS[view]]
    holders = [view for view, columns in COLUMNS.items() if wrong.lower() in columns]
    every = [] if holders else sorted({column for columns in COLUMNS.values() for column in columns})
    found = {"nearest": nearest(wrong, own + near) or nearest(wrong, every)}
    if own or near:
        found["expected"] = f"one of: {', '.join(dict.fromkeys(own or near))}"[:300]
    if holders:
        found["remedy"] = f"{wrong} is a column of {', '.join(holders)}"
    return found


def _place(sql: str, at: int | None) -> dict[str, int]:
    """Line and column, from 1, of a place in bytes."""
    text = sql.encode()
    if at is None or not 0 <= at <= len(text):
        return {}
    before = text[:at].decode(errors="ignore")
    return {"line": before.count("\n") + 1, "column": len(before) - before.rfind("\n")}


def _details(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text[text.index("{") :])
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _between(text: str, start: str, end: str) -> str | None:
    return text.partition(start)[2].partition(end)[0] or None


def _write(out: TextIO, value: dict[str, Any]) -> None:
    out.write(json.dumps(value, ensure_ascii=True) + "\n")


def _limit() -> None:
    """Take away for good what no query needs."""
    for what, most in (
        (resource.RLIMIT_AS, ADDRESS_SPACE),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, FILES),
    ):
        with suppress(ValueError, OSError):
            resource.setrlimit(what, (most, most))


def _cpu(seconds: float) -> None:
    """End the process where the statement uses much more time of the processor than it may: nobody is waiting then."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime + seconds) + 2
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))


@contextmanager
def _no_files() -> Iterator[None]:
    """Let nothing be opened: those that are open go on."""
    least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (least, most))


if __name__ == "__main__":
    main()
