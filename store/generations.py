"""The names of published copies: numbers that grow."""

import re
from pathlib import Path

from fewtune.store.workspace import Workspace

_NAME = re.compile(r"^results-(\d{6,})\.duckdb$")


def generations(workspace: Workspace) -> list[Path]:
    """All published copies, the newest last."""
    if not workspace.results.is_dir():
        return []
    return sorted((path for path in workspace.results.iterdir() if _NAME.match(path.name)), key=_number)


def generation_path(workspace: Workspace, *, after: Path | None) -> Path:
    """The place of the copy that follows this one; None: of the first."""
    return workspace.results / f"results-{_number(after) + 1 if after else 1:06d}.duckdb"


def _number(path: Path) -> int:
    match = _NAME.match(path.name)
    return int(match.group(1)) if match else 0
