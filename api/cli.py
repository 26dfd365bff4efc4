"""The command line: arguments in, one answer out. Standard output holds data only; talk goes to standard error."""

import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from fewtune.api.envelope import EXIT_OF_CODE, Envelope
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, RunError

app = typer.Typer(
    name="fewtune",
    help="Plan, run and compare fine-tuning experiments with few labels.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON object.")]
Workspace = Annotated[Path | None, typer.Option("--workspace", "-w", help="Where results are kept [./.fewtune].")]
Spec = Annotated[Path, typer.Argument(metavar="SPEC", help="A TOML or JSON spec.")]
Within = Annotated[str | None, typer.Option(help='Plan to a clock: "10 min" replaces the spec\'s wall_time.')]
LONG = (["apply"], ["pull"], ["predict"], ["export"], ["errors"])
"""Verbs that work for longer than a moment."""


def answer(
    verb: str, as_json: bool, work: Callable[[], tuple[Envelope, Callable[[], None]]], source: str = "spec"
) -> None:
    """Do a verb's work, print its answer in the asked form, and end with the right exit status.

    Args:
        verb: the verb's name.
        as_json: whether to print the envelope instead of the text.
        work: returns the envelope, and a function that prints it for a reader.
        source: what the lines and columns of faults belong to.
    """
    status = 0
    try:
        with only_talk():
            envelope, show = work()
    except FewtuneError as error:
        status = EXIT_OF_CODE.get(error.diagnostics[0].code, error.exit_status)
        envelope, show = (
            Envelope(ok=False, verb=verb, diagnostics=error.diagnostics),
            _show_error(error.diagnostics, source),
        )
    except OSError as error:
        found = (_unusable(error),)
        status, envelope, show = 2, Envelope(ok=False, verb=verb, diagnostics=found), _show_error(found, source)
    except KeyboardInterrupt:
        raise SystemExit(12) from None
    if as_json:
        sys.stdout.write(envelope.text() + "\n")
    else:
        show()
    sys.stdout.flush()
    if status == 0 and not envelope.ok:
        status = int(envelope.data.get("exit_status", 1)) if isinstance(envelope.data, dict) else 1
    raise SystemExit(status)


def _unusable(error: OSError) -> Diagnostic:
    """A file or folder that the operating system refuses."""
    what = f"{error.filename}: " if error.filename else ""
    message = f"{what}{(error.strerror or str(error)).lower()}"
    remedy = "name a path that exists and may be used" if error.filename else None
    return Diagnostic(code="E-io", message=message, remedy=remedy)


def _one_of(option: str, value: str | None, *allowed: str) -> None:
    """Refuse a word that an option does not know, before any work is done; None: the option was left out.

    Raises:
        RunError: E-usage.
    """
    if value is not None and value not in allowed:
        message = f"{option} {value}: expected {' or '.join(allowed)}"
        raise RunError(Diagnostic(code="E-usage", message=message), exit_status=2)


@contextmanager
def only_talk() -> Iterator[None]:
    """Send what libraries print to standard error, at the level of file descriptors: standard output is for data."""
    sys.stdout.flush()
    data = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(data, 1)
        os.close(data)


def write(text: str) -> None:
    """Write data and a line end to standard output."""
    sys.stdout.write(text + "\n")


def _show_error(found: tuple[Diagnostic, ...], source: str) -> Callable[[], None]:
    from fewtune.api.console import console, diagnostics

    return lambda: diagnostics(console(talk=True), found, source)


def _folder(workspace: Path | None) -> Path:
    from fewtune.runtime.folders import workspace_folder

    return workspace_folder(workspace)


@app.command()
def init(
    data: Annotated[Path | None, typer.Argument(metavar="DATA", help="A CSV, JSON lines or Parquet file.")] = None,
    example: Annotated[bool, typer.Option("--example", help="Write the quickstart with its data instead.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The spec's file [beside the data].")] = None,
    label: Annotated[str | None, typer.Option(help="The column of the labels [the one that looks like it].")] = None,
    text: Annotated[str | None, typer.Option(help="The column of the texts [the one that looks like it].")] = None,
    as_json: Json = False,
) -> None:
    """Write a spec for a data file: its columns, task, labels, duplicates and leaks."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.console import console, diagnostics
        from fewtune.api.starting import start, start_example

        made = start_example(output) if example else start(data, output, label=label, text=text)
        talk = console(talk=True)
        planned = all(finding.severity != "error" for finding in made.findings)
        following = (f"fewtune plan {made.path}", f"fewtune apply {made.path}") if planned else ()

        def show() -> None:
            sys.stdout.write(made.text)
            diagnostics(talk, made.findings, made.path.name)
            then = f"next: {following[0]}" if following else "it cannot be planned before these errors are mended"
            talk.print(f"wrote {made.path}; {then}")

        found = {"path": str(made.path), "spec": made.text, "guesses": made.guesses}
        return Envelope(ok=True, verb="init", data=found, diagnostics=made.findings, next=following), show

    answer("init", as_json, work)


@app.command()
def validate(
    spec: Spec,
    fix: Annotated[bool, typer.Option("--fix", help="Print the spec with its safe and likely fixes applied.")] = False,
    as_json: Json = False,
) -> None:
    """Show every fault of a spec at once."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.checking import check

        checked = check(spec, fix=fix)
        return checked.envelope(), checked.show

    answer("validate", as_json, work, spec.name)


@app.command()
def pull(spec: Spec, as_json: Json = False) -> None:
    """Fetch the models and data that a spec names, and write fewtune.lock. The one verb that uses the network."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.console import console
        from fewtune.runtime.pull import pull_spec
        from fewtune.specs.load import load_file

        talk = console(talk=True)
        pulled = pull_spec(load_file(spec).experiment, spec.resolve().parent, talk.print)

        def show() -> None:
            for what, where in pulled.items():
                sys.stdout.write(f"{what}: {where}\n")

        return Envelope(ok=True, verb="pull", data=pulled, next=(f"fewtune plan {spec}",)), show

    answer("pull", as_json, work, spec.name)


@app.command()
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

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.planning import detecting, plan_data
        from fewtune.api.session import plan_loaded, plan_spec, saved_bytes

        if what_if and (save is not None or detect is not None or full):
            message = "--what-if shows what changes, and nothing else: leave --save, --detect and --full out"
            raise RunError(Diagnostic(code="E-usage", message=message), exit_status=2)
        planned = plan_spec(spec, _folder(workspace), within=within)
        if detect is not None:
            planned = detecting(planned, detect)
        if what_if:
            from fewtune.api.what_if import compared, with_changes

            changed = with_changes(planned.loaded, what_if)
            then = plan_loaded(changed, planned.source, planned.base, _folder(workspace), within=within)
            found = compared(planned, then, what_if)
            return Envelope(ok=True, verb="plan", data=found.data(), diagnostics=then.warnings), found.show
        if save is not None:
            save.write_bytes(saved_bytes(planned))

        def show() -> None:
            from fewtune.api.console import console
            from fewtune.api.show_plan import show_plan

            show_plan(console(), planned, full=full)

        following = (f"fewtune apply {save or spec}", f"fewtune explain {spec}")
        envelope = Envelope(ok=True, verb="plan", data=plan_data(planned), diagnostics=planned.warnings, next=following)
        return envelope, show

    answer("plan", as_json, work, spec.name)


@app.command()
def explain(
    spec: Annotated[Path, typer.Argument(metavar="SPEC|PLAN", help="A spec, or a file of plan --save.")],
    pointer: Annotated[str | None, typer.Argument(help="A decision, such as /arms/4/lora/rank or just rank.")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Say why a value is what it is: rule, evidence, alternatives, what would change it."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.planning import explained, flips
        from fewtune.api.saved import plan_any

        planned = plan_any(spec, _folder(workspace))
        decisions = explained(planned.plan, pointer)
        found = flips(planned, decisions)

        def show() -> None:
            from fewtune.api.console import console
            from fewtune.api.show_plan import explain as show_decisions

            show_decisions(console(), decisions, planned.plan.arms, found)

        said = [
            d.model_dump(mode="json") | {"flips": [flip.model_dump(mode="json") for flip in found.get(d.field, ())]}
            for d in decisions
        ]
        data = {"plan_hash": planned.plan.hash, "decisions": said}
        return Envelope(ok=True, verb="explain", data=data), show

    answer("explain", as_json, work, spec.name)


@app.command()
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

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.applying import applied
        from fewtune.api.running import How

        if in_process and (cluster or (workers or 1) > 1):
            message = "--in-process is one worker without Ray"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy="leave one of them out"), exit_status=2)
        how = How(in_process=in_process, workers=workers, cluster=cluster, slots=slots, wait_seconds=wait)
        return applied(spec, _folder(workspace), how, within)

    answer("apply", as_json, work, spec.name)


@app.command()
def results(
    experiment: Annotated[str | None, typer.Argument(help="An experiment's name [the latest run's].")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show the verdict in a sentence, and the leaderboard with intervals."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.answers import results as find

        found = find(_folder(workspace), experiment)

        def show() -> None:
            from fewtune.api.console import console
            from fewtune.api.show_results import show_results

            show_results(console(), found)

        return Envelope(ok=True, verb="results", data=found.data(), next=("fewtune predict FILE",)), show

    answer("results", as_json, work)


@app.command()
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

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.comparing import compare_arms

        compared = compare_arms(_folder(workspace), a, b, metric=metric, split=split, n=n)
        return Envelope(ok=True, verb="compare", data=compared.data()), lambda: write(compared.text())

    answer("compare", as_json, work)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help='One SELECT; "SHOW ALL TABLES" lists the views.')],
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Rows at most.")] = 1000,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Ask the results with SQL (DuckDB). Views: runs, trials, leaderboard, comparisons, predictions and more."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.querying import ask, write_answer

        _one_of("--format", form, "table", "csv", "json")
        found, envelope = ask(_folder(workspace), query, limit)
        return envelope, lambda: write_answer(found, form)

    answer("sql", as_json, work, "query")


@app.command()
def predict(
    source: Annotated[str, typer.Argument(metavar="FILE", help="A data file, or - for one text on each line.")] = "-",
    arm: Annotated[str | None, typer.Option(help="An arm that was trained on all labels [the chosen one].")] = None,
    run: Annotated[str | None, typer.Option(help="A run [the latest].")] = None,
    precision: Annotated[str | None, typer.Option(help="bf16 or fp32 [as trained].")] = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Add a column for each label.")] = False,
    form: Annotated[str, typer.Option("--format", help="csv or jsonl.")] = "csv",
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Use the chosen model: a label for each text of a file or of standard input."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.using import predict_source

        _one_of("--format", form, "csv", "jsonl")
        predicted = predict_source(
            _folder(workspace), source, run=run, arm=arm, precision=precision, probabilities=probabilities
        )
        data = {"arm": predicted.arm, "run": predicted.run, "columns": predicted.columns(probabilities),
                "rows": predicted.rows(probabilities)}  # fmt: skip
        return Envelope(ok=True, verb="predict", data=data), lambda: predicted.write(form, probabilities)

    answer("predict", as_json, work)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    merged: Annotated[bool, typer.Option("--merged", help="A whole model instead of an adapter.")] = False,
    precision: Annotated[str | None, typer.Option(help="Of merged weights: fp32 or bf16 [fp32].")] = None,
    arm: Annotated[str | None, typer.Option(help="An arm that was fitted on all labels [the chosen one].")] = None,
    run: Annotated[str | None, typer.Option(help="A run [the latest].")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Write the chosen model as a plain peft adapter or a plain transformers model, with a model card and a script."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.using import export_folder

        if precision is not None and not merged:
            message = f"--precision {precision}: an adapter keeps its own precision"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy="add --merged"), exit_status=2)
        made = export_folder(_folder(workspace), folder, merged=merged, precision=precision or "fp32", run=run, arm=arm)

        def show() -> None:
            for name in made["files"]:
                sys.stdout.write(f"{folder / name}\n")

        return Envelope(ok=True, verb="export", data=made), show

    answer("export", as_json, work)


@app.command()
def schema(as_json: Json = False) -> None:
    """Print the JSON Schema of the spec language."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.specs.schema import json_schema

        found = json_schema()
        envelope = Envelope(ok=True, verb="schema", data=found)
        return envelope, lambda: write(json.dumps(found, indent=2))

    answer("schema", as_json, work)


@app.command()
def describe(
    topic: Annotated[str | None, typer.Argument(help="A topic [lists them], or: rule R-035.")] = None,
    name: Annotated[str | None, typer.Argument(help="Of a rule.")] = None,
    as_json: Json = False,
) -> None:
    """Explain how fewtune works: one page a topic, or one rule."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.describing import page, topics

        if (topic == "rule") is not (name is not None):
            message = "describe takes a topic, or: rule R-035 (`fewtune rules` lists them)"
            raise RunError(Diagnostic(code="E-usage", message=message), exit_status=2)
        if name is not None:
            from fewtune.api.ruling import rule_page

            rule = rule_page(name)
            return Envelope(ok=True, verb="describe", data=rule), lambda: write(rule["text"])
        if topic is None:
            known = topics()
            lines = "\n".join(f"{name:<{max(map(len, known))}}    {title}" for name, title in known.items())
            return Envelope(ok=True, verb="describe", data={"topics": known}), lambda: write(lines)
        found = page(topic)
        return Envelope(ok=True, verb="describe", data=found), lambda: write(found["text"].rstrip())

    answer("describe", as_json, work)


@app.command()
def rules(
    about: Annotated[str | None, typer.Argument(help="A decision, a method, or a word of the text [all].")] = None,
    strength: Annotated[str | None, typer.Option(help="strong, mixed, folklore or local.")] = None,
    state: Annotated[str | None, typer.Option(help="active (decisions weigh it) or waiting.")] = None,
    as_json: Json = False,
) -> None:
    """List the evidence behind decisions: condition, effect, strength, source."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.ruling import STATES, rule_data, rule_rows, show_rules

        _one_of("--strength", strength, "strong", "mixed", "folklore", "local")
        _one_of("--state", state, *STATES)
        rows = rule_rows(about, strength, state)
        data = {"rules": [rule_data(row) for row in rows]}
        return Envelope(ok=True, verb="rules", data=data), lambda: show_rules(rows)

    answer("rules", as_json, work)


@app.command()
def evidence(
    action: Annotated[
        str | None, typer.Argument(help="adopt or drop; or only the SPEC whose lock is looked at.")
    ] = None,
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC", help="Whose folder's plans weigh it.")] = None,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show which arm was ahead where, and how long runs took; adopt lets plans weigh it, drop takes it out again."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api import evidence as gathered

        what, whose = (None, Path(action)) if action and spec is None and Path(action).is_file() else (action, spec)
        _one_of("evidence", what, *gathered.ACTIONS)
        if what is not None and whose is None:
            message = f"evidence {what}: whose plans?"
            remedy = f"fewtune evidence {what} SPEC"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy=remedy), exit_status=2)
        shown = gathered.evidence(_folder(workspace), what, whose)
        following = () if what or not shown.found.wins else ("fewtune evidence adopt SPEC",)
        envelope = Envelope(ok=True, verb="evidence", data=shown.data(), next=following)
        return envelope, lambda: gathered.show_evidence(shown, what)

    answer("evidence", as_json, work)


@app.command()
def errors(
    spec: Spec,
    arm: Annotated[str | None, typer.Option(help="Whose confusions are shown [the chosen arm's].")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Entries of each list.")] = 20,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show what was confused in the latest run, which labels look wrong, and which rows are there twice."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.console import console, diagnostics
        from fewtune.api.erring import errors as find

        talk = console(talk=True)
        found = find(spec, _folder(workspace), arm, talk.print)

        def show() -> None:
            from fewtune.api.show_errors import show_errors

            show_errors(console(), found, limit)
            diagnostics(talk, found.notes, spec.name)

        data, cut = found.data(limit), found.cut(limit)
        return Envelope(ok=True, verb="errors", data=data, diagnostics=found.notes, truncated=cut), show

    answer("errors", as_json, work, spec.name)


@app.command()
def models(as_json: Json = False) -> None:
    """List the models that can be used without fetching anything, with their facts."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api.machine import model_rows, show_models

        rows = model_rows()
        return Envelope(ok=True, verb="models", data={"models": rows}), lambda: show_models(rows)

    answer("models", as_json, work)


@app.command()
def doctor(
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate", help="Measure this machine's rates first (half a minute); plans then rest on them."
        ),
    ] = False,
    workspace: Workspace = None,
    as_json: Json = False,
) -> None:
    """Show what planning will assume about this machine, which libraries are there, and the workspace's health."""

    def work() -> tuple[Envelope, Callable[[], None]]:
        from fewtune.api import machine

        if calibrate:
            machine.calibrate()
        health = machine.examine(_folder(workspace))
        envelope = Envelope(ok=health["ok"], verb="doctor", data=health)
        return envelope, lambda: machine.show_health(health)

    answer("doctor", as_json, work)


def version_text() -> str:
    """The installed version."""
    from importlib.metadata import version

    return version("fewtune")


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    """Plan, run and compare fine-tuning experiments with few labels."""
    if version:
        sys.stdout.write(version_text() + "\n")
        raise SystemExit(0)


def _usage(arguments: list[str], error: Any) -> int:
    """Answer a wrong command line in the asked form."""
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    finding = Diagnostic(code="E-usage", message=message, remedy="fewtune --help")
    if "--json" in arguments:
        sys.stdout.write(
            Envelope(ok=False, verb=arguments[0] if arguments else "", diagnostics=(finding,)).text() + "\n"
        )
    else:
        _show_error((finding,), "")()
    return 2


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    if arguments[:1] not in LONG:
        gc.disable()  # the others end before a collection would pay: a tenth of plan's time
    try:
        app(args=arguments, standalone_mode=False)
    except SystemExit:
        raise
    except Exception as error:
        if type(error).__module__.startswith(("click", "typer")):
            raise SystemExit(_usage(arguments, error)) from None
        raise


if __name__ == "__main__":
    main()
