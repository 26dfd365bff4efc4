"""The verbs about a spec and its plan."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewtune.api.commands.answering import Answered, answer
from fewtune.api.commands.options import Json, Spec, Within, Workspace, workspace_of
from fewtune.api.envelope import Envelope
from fewtune.specs.diagnostic import Diagnostic, RunError


def init(
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help="A CSV, JSON lines or Parquet file.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Write the quickstart with its data instead.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The spec's file [beside the data].")] = None,
    label: Annotated[str | None, typer.Option(help="The column of the labels [the one that looks like it].")] = None,
    text: Annotated[str | None, typer.Option(help="The column of the texts, or two: a,b [what looks like it].")] = None,
    as_json: Json = False,
) -> None:
    """Write a spec for a data file: its columns, task, labels, duplicates and leaks."""

    def work() -> Answered:
        from fewtune.api.shows.console import console
        from fewtune.api.shows.start import show_start
        from fewtune.api.starting import start, start_example

        made = start_example(output) if example else start(data, output, label=label, text=text)
        talk = console(talk=True)
        planned = all(finding.severity != "error" for finding in made.findings)
        following = (f"fewtune plan {made.path}", f"fewtune apply {made.path}") if planned else ()

        def show() -> None:
            sys.stdout.write(made.text)
            show_start(talk, made)
            then = f"next: {following[0]}" if following else "it cannot be planned before these errors are mended"
            talk.print(f"wrote {made.path}; {then}")

        return Envelope(ok=True, verb="init", data=made.data(), diagnostics=made.findings, next=following), show

    answer("init", as_json, work)


def validate(
    spec: Spec,
    fix: Annotated[bool, typer.Option("--fix", help="Print the spec with its safe and likely fixes applied.")] = False,
    as_json: Json = False,
) -> None:
    """Show every fault of a spec at once."""

    def work() -> Answered:
        from fewtune.api.checking import check
        from fewtune.api.given import given

        checked = check(given(spec, Path()), fix=fix)
        return checked.envelope(), checked.show

    answer("validate", as_json, work, spec.name)


def pull(spec: Spec, as_json: Json = False) -> None:
    """Fetch the models and data that a spec names, and write fewtune.lock. The one verb that uses the network."""

    def work() -> Answered:
        from fewtune.api.runs.permission import operators_policy
        from fewtune.api.shows.console import console
        from fewtune.runtime.pull import pull_spec
        from fewtune.specs.load import load_file

        if not operators_policy().network:
            message = "the operator's policy allows no network: models and data must be here already"
            raise RunError(Diagnostic(code="E-policy", message=message), exit_status=13)
        talk = console(talk=True)
        pulled = pull_spec(load_file(spec).experiment, spec.resolve().parent, talk.print)

        def show() -> None:
            for what, where in pulled.items():
                sys.stdout.write(f"{what}: {where}\n")

        return Envelope(ok=True, verb="pull", data=pulled, next=(f"fewtune plan {spec}",)), show

    answer("pull", as_json, work, spec.name)


def plan(
    spec: Spec,
    save: Annotated[Path | None, typer.Option(help="Write the plan to this file.")] = None,
    within: Within = None,
    what_if: Annotated[
        list[str] | None, typer.Option(help="Show what KEY=VALUE would change instead: data.label_budget=200.")
    ] = None,
    detect: Annotated[
        float | None, typer.Option(help="Say what telling two arms apart takes that differ by so much: 0.03.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show every decision.")] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show what apply would do, and why: decisions, arms, cost, what is new and what is reused."""

    def work() -> Answered:
        from fewtune.api.planning import detecting, plan_data
        from fewtune.api.runs.permission import operators_notes
        from fewtune.api.session import plan_loaded, plan_spec, saved_bytes

        if what_if and (save is not None or detect is not None or full):
            message = "--what-if shows what changes, and nothing else: leave --save, --detect and --full out"
            raise RunError(Diagnostic(code="E-usage", message=message), exit_status=2)
        planned = plan_spec(spec, workspace_of(workspace), within=within)
        if detect is not None:
            planned = detecting(planned, detect)
        if what_if:
            from fewtune.api.what_if import compared, with_changes

            changed = with_changes(planned.loaded, what_if)
            then = plan_loaded(changed, planned.source, planned.base, workspace_of(workspace), within=within)
            shown = compared(planned, then, what_if)
            return Envelope(ok=True, verb="plan", data=shown.data(), diagnostics=then.warnings), shown.show
        notes = operators_notes(planned, workspace_of(workspace))
        if save is not None:
            save.write_bytes(saved_bytes(planned))

        def show() -> None:
            from fewtune.api.shows.console import console, diagnostics
            from fewtune.api.shows.plan import show_plan

            show_plan(console(), planned, full=full)
            diagnostics(console(), notes, spec.name)

        following = (f"fewtune apply {save or spec}", f"fewtune explain {spec}")
        found = (*planned.warnings, *notes)
        envelope = Envelope(ok=True, verb="plan", data=plan_data(planned), diagnostics=found, next=following)
        return envelope, show

    answer("plan", as_json, work, spec.name)


def explain(
    spec: Annotated[Path, typer.Argument(metavar="SPEC|PLAN", help="A spec, or a file of plan --save.")],
    pointer: Annotated[str | None, typer.Argument(help="A decision, such as /arms/4/lora/rank or just rank.")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say why a value is what it is: rule, evidence, alternatives, what would change it."""

    def work() -> Answered:
        from fewtune.api.planning import explained, explained_data, flips
        from fewtune.api.saved import plan_any

        planned = plan_any(spec, workspace_of(workspace))
        decisions = explained(planned.plan, pointer)
        found = flips(planned, decisions)

        def show() -> None:
            from fewtune.api.shows.console import console
            from fewtune.api.shows.plan import explain as show_decisions

            show_decisions(console(), decisions, planned.plan.arms, found)

        data = explained_data(planned, decisions, found)
        return Envelope(ok=True, verb="explain", data=data), show

    answer("explain", as_json, work, spec.name)
