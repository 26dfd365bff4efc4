"""The verb that makes a page of results."""

from pathlib import Path
from typing import Annotated

import typer

from fewtune.api.commands.answering import Answered, answer, write
from fewtune.api.commands.options import Json, Workspace, workspace_of
from fewtune.api.envelope import Envelope


def report(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run [the latest].")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page's file.")] = Path("report.html"),
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained page: verdict, plots, decisions, costs, and how to repeat it."""

    def work() -> Answered:
        from fewtune.api.report.findings import find
        from fewtune.api.report.page import write_report

        found = find(workspace_of(workspace), run)
        data = {"run": found.results.run.id, "path": str(output), "bytes": write_report(found, output)}
        return Envelope(ok=True, verb="report", data=data, as_of=found.as_of), lambda: write(str(output))

    answer("report", as_json, work)
