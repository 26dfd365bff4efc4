"""predict and export: the chosen model in use."""

import csv
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtune.compiler.plan import Plan
from fewtune.runtime.applying import refuse_without_libraries
from fewtune.runtime.chosen import Chosen, ask, chosen
from fewtune.runtime.lock import read_lock
from fewtune.runtime.probe.device import device_facts
from fewtune.runtime.probe.marking import words
from fewtune.runtime.probe.rows import Table, cells, data_path, read_table
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, PlanError, RunError
from fewtune.specs.task import Marks
from fewtune.store.reader import Reader

DECIMALS = 6
CHECKED = 200
"""Rows on which both precisions are compared for the model card."""


@dataclass(frozen=True)
class Predicted:
    """A label or several, or a text, for each row."""

    run: str
    arm: str
    fields: dict[str, str]
    """Pattern field -> column of the data."""
    inputs: list[dict[str, str]]
    names: tuple[str, ...]
    """The task's labels."""
    labels: list[Any]
    """What was predicted: labels, lists of them, or texts."""
    probabilities: list[tuple[float, ...]]
    """Of each label; empty where texts were written or words have tags."""
    marks: Marks | None = None
    """What the labels of a row are where it may have several."""

    @property
    def written(self) -> bool:
        """Whether texts were written: the task has no labels."""
        return not self.names

    def columns(self, probabilities: bool) -> list[str]:
        """Names of the output's columns."""
        if self.written:
            return [*self.fields.values(), "prediction"]
        extra = [f"p_{name}" for name in self.names] if probabilities and self.marks != "tags" else []
        if self.marks is not None:
            return [*self.fields.values(), "labels" if self.marks == "set" else "tags", *extra]
        return [*self.fields.values(), "label", "probability", *extra]

    def rows(self, probabilities: bool) -> list[list[Any]]:
        """The output's cells."""
        if self.written:
            return [[*row.values(), text] for row, text in zip(self.inputs, self.labels, strict=True)]
        if self.marks is not None:
            shares = self.probabilities if probabilities and self.marks == "set" else [()] * len(self.labels)
            return [
                [*(row[field] for field in self.fields), labels, *(round(share, DECIMALS) for share in each)]
                for row, labels, each in zip(self.inputs, self.labels, shares, strict=True)
            ]
        return [
            [
                *(row[field] for field in self.fields),
                label,
                round(max(each), DECIMALS),
                *([round(p, DECIMALS) for p in each] if probabilities else []),
            ]
            for row, label, each in zip(self.inputs, self.labels, self.probabilities, strict=True)
        ]

    def write(self, form: str, probabilities: bool) -> None:
        """Print the rows as csv or jsonl; lists of labels in a CSV cell as a spec's data may have them."""
        names = self.columns(probabilities)
        if form == "csv":
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerow(names)
            between = "; " if self.marks == "set" else " "
            writer.writerows(
                [between.join(cell) if isinstance(cell, list) else cell for cell in row]
                for row in self.rows(probabilities)
            )
        else:
            for row in self.rows(probabilities):
                sys.stdout.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")


def predict_source(
    workspace: Path, source: str, *, run: str | None = None, arm: str | None = None, precision: str | None = None,
    probabilities: bool = False,
) -> Predicted:  # fmt: skip
    """Predict the rows of a file, or of standard input.

    Args:
        workspace: where the run is.
        source: a data file with the spec's columns; or "-": one text (or one JSON object) on each line.
        run: omitted: the latest.
        arm: omitted: the chosen one.
        precision: bf16 or fp32; omitted: as trained.
        probabilities: whether they are asked for.

    Raises:
        FewtuneError: nothing is fitted, the file cannot be read, or a column is missing.
    """
    if precision not in (None, "bf16", "fp32"):
        raise RunError(
            Diagnostic(code="E-usage", message=f"--precision {precision}: expected bf16 or fp32"), exit_status=2
        )
    model = chosen(Reader(workspace), run=run, arm=arm)
    task = model.plan.experiment.task
    if probabilities and (task.writes or task.marks == "tags"):
        message = f"--probabilities: {task.type} has none to show"
        raise RunError(Diagnostic(code="E-no-effect", message=message, remedy="leave it out"), exit_status=2)
    if model.arm.formulation not in ("majority", "lead", "unigram"):
        refuse_without_libraries([model.arm])
    inputs = _from_lines(model.plan, sys.stdin.read()) if source == "-" else _from_file(model.plan, Path(source))
    return predicted(model, inputs, precision)


def predicted(model: Chosen, inputs: list[dict[str, str]], precision: str | None = None) -> Predicted:
    """Ask the model for a label or several, or a text, for each input."""
    names, fields, marks = model.plan.labels, model.plan.facts.fields, model.plan.experiment.task.marks
    if marks == "tags":
        inputs = [{field: " ".join(words(cell)) for field, cell in row.items()} for row in inputs]
    if not inputs:
        return Predicted(model.run.id, model.arm.name, fields, [], names, [], [], marks)
    scored = ask(model, inputs, device_facts(), precision=precision)
    labels: list[Any] = list(scored.texts) or [names[index] if index >= 0 else "" for index in scored.predicted]
    if marks is not None:
        labels = [[names[label] for label in each] for each in scored.marks]
    return Predicted(model.run.id, model.arm.name, fields, inputs, names, labels, list(scored.probabilities), marks)


def _from_file(plan: Plan, path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise PlanError(Diagnostic(code="E-file-missing", message=f"there is no file {path}", remedy="or - for stdin"))
    table = read_table(path, Source(path=path.name))
    columns = {field: _column(plan, field, table) for field in plan.facts.fields}
    values = [cells(table.columns[column]) for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def _column(plan: Plan, field: str, table: Table) -> str:
    """The column of the training data, or one that is named like the field."""
    for name in (plan.facts.columns[field], field):
        if name in table.columns:
            return name
    message = f"{table.place} has no column {plan.facts.columns[field]!r}, which the model was trained on"
    remedy = f"its columns are {', '.join(table.columns)}"
    raise PlanError(Diagnostic(code="E-column", message=message, remedy=remedy))


def _from_lines(plan: Plan, text: str) -> list[dict[str, str]]:
    """One input on each line that is not empty: JSON objects, or plain texts where the task has one text."""
    fields = plan.facts.fields
    inputs = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        row = _object(line)
        if row is None and len(fields) == 1:
            inputs.append(dict.fromkeys(fields, line.strip()))
        elif row is None or not all(_cell(plan, row, field) for field in fields):
            wanted = json.dumps(dict.fromkeys(fields.values(), "..."))
            message = f"line {number} of standard input is not an object with {' and '.join(fields.values())}"
            raise PlanError(Diagnostic(code="E-column", message=message, remedy=f"write {wanted} on each line"))
        else:
            inputs.append({field: _cell(plan, row, field) for field in fields})
    return inputs


def _object(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _cell(plan: Plan, row: dict[str, Any], field: str) -> str:
    found = row.get(plan.facts.columns[field], row.get(field, ""))
    return json.dumps(found, ensure_ascii=False) if isinstance(found, list) else str(found)


def export_folder(
    workspace: Path, folder: Path, *, merged: bool = False, precision: str = "fp32", run: str | None = None,
    arm: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Write the chosen model, or a named arm's, into a new folder.

    Raises:
        FewtuneError: the folder is not empty, nothing is fitted, or the chosen arm moved no weights.
    """
    from fewtune.api.card import model_card
    from fewtune.runtime.export import export

    if precision not in ("bf16", "fp32"):
        raise RunError(
            Diagnostic(code="E-usage", message=f"--precision {precision}: expected bf16 or fp32"), exit_status=2
        )
    reader = Reader(workspace)
    model = chosen(reader, run=run, arm=arm)
    files = export(model, folder, merged=merged, precision=precision)
    card = model_card(workspace, model, merged=merged, precision=precision, agreement=_agreement(model))
    (folder / "README.md").write_text(card, encoding="utf-8")
    return {"folder": str(folder), "arm": model.arm.name, "run": model.run.id, "merged": merged,
            "files": sorted([*files, "README.md"])}  # fmt: skip


def _agreement(model: Chosen) -> str:
    """How often the labels of both precisions agree, on rows of the spec's own data; empty where there is one only."""
    if model.arm.precision == "fp32":
        return ""
    try:
        table = _scored_rows(model)
    except FewtuneError:
        return "How often both agree was not measured: the data are no longer there."
    first, second = (predicted(model, table, precision).labels for precision in ("bf16", "fp32"))
    same = sum(a == b for a, b in zip(first, second, strict=True))
    what = "labels" if model.plan.labels else "texts"
    return f"On {len(table)} rows of the spec's data the {what} of both agree for {same / len(table):.1%}."


def _scored_rows(model: Chosen) -> list[dict[str, str]]:
    data = model.plan.experiment.data
    source = data.test or data.train
    path = data_path(source.path, model.base) if source.path else read_lock(model.base).data_file(source)
    table = read_table(path, source)
    columns = {field: _column(model.plan, field, table) for field in model.plan.facts.fields}
    values = [cells(table.columns[column])[:CHECKED] for column in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]
