"""Journal -> database -> published copy, without ever stopping who records."""

import errno

from fewtune.specs.diagnostic import Diagnostic, FewtuneError
from fewtune.store import snapshot
from fewtune.store.database import DatabaseError
from fewtune.store.projection import project
from fewtune.store.record import Position
from fewtune.store.workspace import Workspace


def publish(workspace: Workspace, end: Position) -> tuple[bool, Diagnostic | None]:
    """Bring the database and its newest copy up to the journal's end. Only the holder of the lease may call this.

    Returns:
        Whether a new copy was published, and what hindered it: the results are safe in the journal, so trouble here
        is told and not raised.
    """
    try:
        if not project(workspace).added and snapshot.is_current(workspace, end):
            return False, None
        snapshot.publish(workspace)
    except FewtuneError as error:
        return False, error.diagnostics[0].model_copy(update={"severity": "warning"})
    except (DatabaseError, OSError) as error:
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in str(error)
        return False, Diagnostic(
            code="E-store-full" if full else "E-results",
            severity="warning",
            message=f"the results could not be published: {str(error).splitlines()[0]}",
            remedy="nothing is lost: they appear with the next apply",
        )
    return True, None
