"""How far published results are behind the journal."""

import json
from contextlib import suppress
from datetime import UTC, datetime

from fewtune.store.workspace import Workspace

LONGEST = 1 << 20
"""Bytes of a record that are read for its time."""


def seconds_behind(workspace: Workspace, offset: int) -> float:
    """For how long the journal has known something that results read up to this byte do not show.

    Returns:
        Seconds since the oldest event that is missing was recorded; 0: nothing is missing.
    """
    with suppress(OSError, ValueError, KeyError, TypeError), workspace.journal.open("rb") as journal:
        journal.seek(offset)
        line = journal.readline(LONGEST)
        if line.endswith(b"\n"):
            missing = datetime.fromisoformat(json.loads(line)["ts"])
            return max((datetime.now(UTC) - missing).total_seconds(), 0.0)
    return 0.0
