"""What every verb of the command line shares: options, and the workspace."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
Workspace = Annotated[Path | None, typer.Option("--workspace", "-w", help="Where results are kept [./.fewtune].")]
Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="A TOML or JSON spec.")]
Within = Annotated[str | None, typer.Option(help='Plan to a clock: "10 min" replaces the spec\'s wall_time.')]


def workspace_of(workspace: Path | None) -> Path:
    """The workspace that is meant."""
    from fewtune.runtime.folders import workspace_folder

    return workspace_folder(workspace)
