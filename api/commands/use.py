"""The verbs that use a trained model."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fewtune.api.commands.answering import Answered, answer, one_of
from fewtune.api.commands.options import Json, Workspace, workspace_of
from fewtune.api.envelope import Envelope
from fewtune.specs.diagnostic import Diagnostic, RunError


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

    def work() -> Answered:
        from fewtune.api.using import predict_source

        one_of("--format", form, "csv", "jsonl")
        predicted = predict_source(
            workspace_of(workspace), source, run=run, arm=arm, precision=precision, probabilities=probabilities
        )
        data = {"arm": predicted.arm, "run": predicted.run, "columns": predicted.columns(probabilities),
                "rows": predicted.rows(probabilities)}  # fmt: skip
        return Envelope(ok=True, verb="predict", data=data), lambda: predicted.write(form, probabilities)

    answer("predict", as_json, work)


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

    def work() -> Answered:
        from fewtune.api.using import export_folder

        if precision is not None and not merged:
            message = f"--precision {precision}: an adapter keeps its own precision"
            raise RunError(Diagnostic(code="E-usage", message=message, remedy="add --merged"), exit_status=2)
        made = export_folder(
            workspace_of(workspace), folder, merged=merged, precision=precision or "fp32", run=run, arm=arm
        )

        def show() -> None:
            for name in made["files"]:
                sys.stdout.write(f"{folder / name}\n")

        return Envelope(ok=True, verb="export", data=made), show

    answer("export", as_json, work)
