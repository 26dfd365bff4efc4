"""The verbs about runs."""

from pathlib import Path
from typing import Annotated

import typer

from fewtune.api.commands.answering import Answered, answer
from fewtune.api.commands.options import Json, Within, Workspace, workspace_of
from fewtune.specs.diagnostic import Diagnostic, RunError


def apply(
    spec: Annotated[Path, typer.Argument(metavar="SPEC|PLAN", help="A spec, or a file of plan --save.")],
    within: Within = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Workers [one for each GPU; up to 4 on a CPU].")
    ] = None,
    slots: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="Trainings that share a step, as far as memory goes; 1: each alone [as planned]."
        ),
    ] = None,
    in_process: Annotated[bool, typer.Option("--in-process", help="Run in this process, without Ray.")] = False,
    cluster: Annotated[str | None, typer.Option(help="Address of a running Ray cluster [a local one].")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for another apply to end.")] = 0.0,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Run what is missing, and give the verdict. Ctrl-C stops cleanly; the next apply goes on."""

    def work() -> Answered:
        from fewtune.api.applying import applied
        from fewtune.api.running import How

        if in_process and (cluster or (workers or 1) > 1):
            message = "--in-process is one worker without Ray"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy="leave one of them out"), exit_status=2)
        how = How(in_process=in_process, workers=workers, cluster=cluster, slots=slots, wait_seconds=wait)
        return applied(spec, workspace_of(workspace), how, within)

    answer("apply", as_json, work, spec.name)
