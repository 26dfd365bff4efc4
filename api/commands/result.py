"""The verbs about results."""

from pathlib import Path
from typing import Annotated

import typer

from fewtune.api.commands.answering import Answered, answer, one_of, write
from fewtune.api.commands.options import Json, Spec, Workspace, workspace_of
from fewtune.api.envelope import Envelope
from fewtune.specs.diagnostic import Diagnostic, RunError


def results(
    experiment: Annotated[str | None, typer.Argument(help="An experiment's name [the latest run's].")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show the verdict in a sentence, and the leaderboard with intervals."""

    def work() -> Answered:
        from fewtune.api.answers import results as find

        found = find(workspace_of(workspace), experiment)

        def show() -> None:
            from fewtune.api.shows.console import console
            from fewtune.api.shows.results import show_results

            show_results(console(), found)

        return Envelope(ok=True, verb="results", data=found.data(), next=("fewtune predict FILE",)), show

    answer("results", as_json, work)


def compare(
    a: Annotated[str, typer.Argument(help="An arm of the latest run, or RUN/ARM.")],
    b: Annotated[str, typer.Argument(help="Another one.")],
    metric: Annotated[str | None, typer.Option(help="A metric of the leaderboard [the plan's].")] = None,
    split: Annotated[str | None, typer.Option(help="Which split [test, or cv].")] = None,
    n: Annotated[int | None, typer.Option(help="Which data size [the largest].")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Compare two arms on the same items: difference, interval, verdict, and what would decide it."""

    def work() -> Answered:
        from fewtune.api.comparing import compare_arms

        compared = compare_arms(workspace_of(workspace), a, b, metric=metric, split=split, n=n)
        return Envelope(ok=True, verb="compare", data=compared.data()), lambda: write(compared.text())

    answer("compare", as_json, work)


def sql(
    query: Annotated[str, typer.Argument(help='One SELECT; "SHOW ALL TABLES" lists the views.')],
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows at most.")] = 1000,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Ask the results with SQL (DuckDB). Views: runs, trials, leaderboard, comparisons, predictions and more."""

    def work() -> Answered:
        from fewtune.api.querying import ask, write_answer

        one_of("--format", form, "table", "csv", "json")
        found, envelope = ask(workspace_of(workspace), query, limit)
        return envelope, lambda: write_answer(found, form)

    answer("sql", as_json, work, "query")


def errors(
    spec: Spec,
    arm: Annotated[str | None, typer.Option(help="Whose confusions are shown [the chosen arm's].")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Entries of each list.")] = 20,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show what was confused in the latest run, which labels look wrong, and which rows are there twice."""

    def work() -> Answered:
        from fewtune.api.erring import errors as find
        from fewtune.api.shows.console import console, diagnostics

        talk = console(talk=True)
        found = find(spec, workspace_of(workspace), arm, talk.print)

        def show() -> None:
            from fewtune.api.shows.errors import show_errors

            show_errors(console(), found, limit)
            diagnostics(talk, found.notes, spec.name)

        data, cut = found.data(limit), found.cut(limit)
        return Envelope(ok=True, verb="errors", data=data, diagnostics=found.notes, truncated=cut), show

    answer("errors", as_json, work, spec.name)


def evidence(
    action: Annotated[
        str | None, typer.Argument(help="adopt or drop; or only the SPEC whose lock is looked at.")
    ] = None,
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC", help="Whose folder's plans weigh it.")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show which arm was ahead where, and how long runs took; adopt lets plans weigh it, drop takes it out again."""

    def work() -> Answered:
        from fewtune.api import evidence as gathered

        what, whose = (None, Path(action)) if action and spec is None and Path(action).is_file() else (action, spec)
        one_of("evidence", what, *gathered.ACTIONS)
        if what is not None and whose is None:
            message = f"evidence {what}: whose plans?"
            remedy = f"fewtune evidence {what} SPEC"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy=remedy), exit_status=2)
        shown = gathered.evidence(workspace_of(workspace), what, whose)
        following = () if what or not shown.found.wins else ("fewtune evidence adopt SPEC",)
        envelope = Envelope(ok=True, verb="evidence", data=shown.data(), next=following)
        return envelope, lambda: gathered.show_evidence(shown, what)

    answer("evidence", as_json, work)
