"""The command line: arguments in, one answer out."""

import gc
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from fewtune.api.commands import about, report, result, run, serve, spec, use
from fewtune.api.commands.answering import show_error
from fewtune.api.envelope import Envelope
from fewtune.specs.diagnostic import Diagnostic

app = typer.Typer(
    name="fewtune",
    help="Plan, run and compare fine-tuning experiments with few labels.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

VERBS: tuple[Callable[..., None], ...] = (
    spec.init, spec.validate, spec.pull, spec.plan, spec.explain,
    run.apply, run.status, run.watch, run.cancel, run.approve,
    result.results, result.compare, result.sql, result.errors, result.evidence,
    use.predict, use.export, report.report,
    about.brief, about.describe, about.rules, about.schema, about.models, about.doctor,
    serve.mcp,
)  # fmt: skip
"""In the order of the help."""
LONG = (["apply"], ["pull"], ["predict"], ["export"], ["errors"], ["watch"], ["mcp"])
"""Verbs that work for longer than a moment."""


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
        show_error((finding,), "")()
    return 2


def main() -> None:
    """Run the command line."""
    arguments = sys.argv[1:]
    for verb in VERBS:
        app.command()(verb)
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
