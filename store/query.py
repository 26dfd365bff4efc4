"""One read-only SQL statement on the published results, answered by a process of its own.

Each layer alone stops a mistake, and together they stop a hostile statement: a process with little memory, no
environment and no way to open a file (`sandbox_child`), killed when it is late (`sandbox`); a copy of the results,
opened read-only with its settings locked (`database`); a parse tree in which only what is known may stand
(`statement`, `harmless`); an answer that is cut by rows and bytes. Against one who studies how to break out of DuckDB
itself, run fewtune in a container.
"""

from dataclasses import dataclass
from typing import Any

from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store.generations import generations
from fewtune.store.question import Question
from fewtune.store.sandbox import Reply, Sandbox
from fewtune.store.staleness import seconds_behind
from fewtune.store.workspace import Workspace

ROWS = 10_000
BYTES = 64_000_000
"""Of rows as JSON, whatever a caller asks for."""
SECONDS = 30.0
_EXIT = {"refused": 13, "wrong": 2, "limit": 14, "damaged": 15}


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
    behind_seconds: float
    """For how long the journal has known something that these results do not show; 0: they show all."""
    truncated: bool
    """Whether rows beyond a limit were left out."""
    cut_by: str | None
    """Which limit: rows or bytes; None: the answer is whole."""


def run_sql(
    workspace: Workspace,
    sql: str,
    limit: int = ROWS,
    *,
    seconds: float = SECONDS,
    max_bytes: int = BYTES,
    sandbox: Sandbox | None = None,
) -> Answer:
    """Answer one SELECT statement from the newest published results.

    Args:
        workspace: where to look; one without results has the same views, empty.
        sql: one statement.
        limit: rows to return at most.
        seconds: how long it may take; the answer or the refusal is there within a second more.
        max_bytes: of rows, as JSON; BYTES at most.
        sandbox: a process that answers several queries; None: one for this query.

    Raises:
        StoreError: E-sql where the statement is refused, wrong or beyond a limit; E-results where the copy is
            damaged.
    """
    if sandbox is None:
        with Sandbox() as own:
            return run_sql(workspace, sql, limit, seconds=seconds, max_bytes=max_bytes, sandbox=own)
    while True:  # a copy may be replaced between being found and being opened
        newest = next(reversed(generations(workspace)), None)
        path = str(newest) if newest else None
        reply = sandbox.ask(Question(path, sql, limit, min(max_bytes, BYTES), seconds))
        if reply.error is None:
            return _answer(workspace, reply)
        if reply.error["error"] != "gone":
            raise _error(reply.error, path)


def _answer(workspace: Workspace, reply: Reply) -> Answer:
    offset, _, as_of, _ = reply.position or (0, None, None, None)
    return Answer(
        columns=tuple(Column(name=name, type=kind) for name, kind in reply.columns),
        rows=reply.rows,
        as_of=as_of,
        behind_seconds=seconds_behind(workspace, offset),
        truncated=reply.cut is not None,
        cut_by=reply.cut,
    )


def _error(found: dict[str, Any], path: str | None) -> StoreError:
    kind = found["error"]
    if kind == "damaged":
        message = f"the published results {path} cannot be opened: {found['message']}"
        remedy = "remove this file: the results are made anew from the journal"
        return StoreError(Diagnostic(code="E-results", message=message, remedy=remedy), exit_status=15)
    said = {key: found.get(key) for key in ("expected", "got", "nearest", "remedy", "line", "column")}
    return StoreError(Diagnostic(code="E-sql", message=found["message"], **said), exit_status=_EXIT[kind])
