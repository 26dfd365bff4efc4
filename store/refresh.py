"""Bringing published results up to date from a command that only reads."""

from fewtune.specs.diagnostic import StoreError
from fewtune.store.journal import continues
from fewtune.store.snapshot import open_newest
from fewtune.store.workspace import Workspace
from fewtune.store.writer import Store


def refresh(workspace: Workspace) -> bool:
    """Publish what the journal has and the newest copy has not, unless somebody is writing.

    A run whose process died is ended on the way. Never waits for a writer, and is content with what is published
    where the workspace may not be written to.

    Returns:
        Whether anything was brought up to date.

    Raises:
        StoreError: E-journal, E-store-too-new.
    """
    if _is_current(workspace):
        return False
    try:
        with Store.open(workspace.root, purpose="refresh"):
            return True
    except StoreError as error:
        if error.diagnostics[0].code in ("E-journal", "E-store-too-new"):
            raise
        return False


def _is_current(workspace: Workspace) -> bool:
    if not workspace.journal.exists():
        return True
    try:
        with open_newest(workspace) as (connection, where):
            size = workspace.journal.stat().st_size
            if where is None or where.end.offset != size or not continues(workspace.journal, where.end):
                return False
            row = connection.execute("SELECT count(*) FROM runs WHERE state = 'running'").fetchone()
            return row == (0,)
    except StoreError:
        return False
