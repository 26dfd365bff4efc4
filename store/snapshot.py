"""Published copies of the database: what readers open, while a writer goes on.

A generation is complete before it has its name, and never changes afterwards. The newest one is the one with the
highest number; a few are kept for readers that have not yet opened theirs.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store import durable
from fewtune.store.database import Connection, DatabaseError, connect_reader
from fewtune.store.generations import generation_path, generations
from fewtune.store.projection import NOTHING, Projected, position
from fewtune.store.record import Position
from fewtune.store.workspace import Workspace

KEPT = 3


def publish(workspace: Workspace) -> Path:
    """Copy the database to a new generation. Only the holder of the lease may call this, with the database closed."""
    durable.make_folder(workspace.results)
    old = generations(workspace)
    path = generation_path(workspace, after=old[-1] if old else None)
    durable.copy_file(workspace.database, path)
    for stale in old[: 1 - KEPT]:
        durable.remove(stale)
    return path


def is_current(workspace: Workspace, end: Position) -> bool:
    """Whether the newest copy has everything up to this place in the journal."""
    if not generations(workspace):
        return False
    try:
        with open_newest(workspace) as (_, where):
            return where is not None and where.end == end
    except StoreError:
        return False


@contextmanager
def open_newest(workspace: Workspace) -> Iterator[tuple[Connection, Projected | None]]:
    """Open the newest copy read-only, and say how far it is (None: of another version of fewtune).

    Where nothing was published yet, an empty database with the same views.

    Raises:
        StoreError: E-results where the copy is damaged.
    """
    with ExitStack() as stack:
        connection, found = _enter_newest(stack, workspace)
        yield connection, position(connection) if found else NOTHING


def _enter_newest(stack: ExitStack, workspace: Workspace) -> tuple[Connection, bool]:
    while True:  # a copy may be replaced between being found and being opened
        newest = next(reversed(generations(workspace)), None)
        try:
            return stack.enter_context(connect_reader(newest)), newest is not None
        except DatabaseError as error:
            if newest is None or newest.exists():
                raise _damaged(newest, error) from error


def _damaged(path: Path | None, error: DatabaseError) -> StoreError:
    return StoreError(
        Diagnostic(
            code="E-results",
            message=f"the published results {path} cannot be opened: {str(error).splitlines()[0]}",
            remedy="remove this file: the results are made anew from the journal",
        ),
        exit_status=15,
    )
