"""The verbs about runs."""

from pathlib import Path
from typing import Annotated

import typer

from fewtune.api.commands.answering import Answered, answer, write
from fewtune.api.commands.options import Json, Within, Workspace, workspace_of
from fewtune.api.envelope import Envelope
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
    detach: Annotated[
        bool, typer.Option("--detach", help="Hand it in and return at once; status, watch and cancel follow it.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="With --detach: once more where it ended without success.")
    ] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Run what is missing, and give the verdict. Ctrl-C stops cleanly; the next apply goes on."""

    def work() -> Answered:
        from fewtune.api.applying import applied, detached
        from fewtune.api.running import How

        if in_process and (cluster or (workers or 1) > 1):
            message = "--in-process is one worker without Ray"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy="leave one of them out"), exit_status=2)
        if detach and (cluster or wait):
            message = "--detach queues by itself, on this machine: leave --cluster and --wait out"
            raise RunError(Diagnostic(code="E-usage", message=message), exit_status=2)
        how = How(in_process=in_process, workers=workers, cluster=cluster, slots=slots, wait_seconds=wait)
        if detach:
            return detached(spec, workspace_of(workspace), how, within, again=again)
        return applied(spec, workspace_of(workspace), how, within)

    answer("apply", as_json, work, spec.name)


def status(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A handle or a run [all that go on].")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show where a run stands: its state, what it waits for, when to look again."""

    def work() -> Answered:
        from fewtune.api.runs.following import recent
        from fewtune.api.runs.following import status as find
        from fewtune.api.shows.status import show_status

        folder = workspace_of(workspace)
        found = recent(folder) if run is None else [find(folder, run)]
        data = found[0].model_dump(mode="json") if run else {"runs": [one.model_dump(mode="json") for one in found]}
        return Envelope(ok=True, verb="status", data=data), lambda: show_status(found)

    answer("status", as_json, work)


def watch(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A handle or a run [the latest].")] = None,
    cursor: Annotated[str | None, typer.Option(help="Go on after this place [from the beginning].")] = None,
    content: Annotated[bool, typer.Option("--content", help="Show messages of failed jobs.")] = False,
    wait: Annotated[float | None, typer.Option(help="Seconds to watch at most [until it is over].")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Follow a run to its end: what happens, as it happens. Ctrl-C stops watching, not the run."""
    from fewtune.api.commands.watching import watch_run

    watch_run(workspace_of(workspace), run, cursor, content=content, seconds=wait, as_json=as_json)


def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The handle of a run that was detached.")],
    now: Annotated[bool, typer.Option("--now", help="End its processes at once.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """End a detached run at its next step. What is finished is kept."""

    def work() -> Answered:
        from dataclasses import asdict

        from fewtune.api.client import Client
        from fewtune.api.shows.status import done

        found = Client(workspace=workspace_of(workspace)).cancel(run, at_once=now, dry_run=dry_run)
        following = (f"fewtune status {found.handle}",)
        envelope = Envelope(ok=True, verb="cancel", data=asdict(found), next=following)
        return envelope, lambda: write(f"{found.handle}: {found.state}; {done(found, dry_run=dry_run)}")

    answer("cancel", as_json, work)


def approve(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="A spec, a saved plan, or the handle of what waits.")],
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Give the operator's word for a plan that is above a ceiling. Asks at the terminal; never without one."""

    def work() -> Answered:
        from fewtune.api.runs.approving import approved

        found = approved(plan, workspace_of(workspace))
        return Envelope(ok=True, verb="approve", data=found), lambda: write(found["text"])

    answer("approve", as_json, work)
