"""init: a spec from a data file, or the quickstart with its data."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fewtune.compiler.compilation import compile_plan
from fewtune.runtime.probe.columns import label_column, pair_columns, text_column, writing_task
from fewtune.runtime.probe.marking import items, label_names, marking_task
from fewtune.runtime.probe.preferring import preference_task
from fewtune.runtime.probe.probing import probe
from fewtune.runtime.probe.rows import Table, cells, read_table
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, PlanError
from fewtune.specs.load import load
from fewtune.specs.task import MARKED

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
TEST_NAMES = ("test", "heldout", "held-out", "eval")
TRAIN_NAMES = ("train", "training")


@dataclass(frozen=True)
class Made:
    """A spec that was written."""

    path: Path
    text: str
    guesses: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Diagnostic, ...] = ()

    def data(self) -> dict[str, Any]:
        """For `--json`."""
        return {"path": str(self.path), "spec": self.text, "guesses": self.guesses}


def start(data: Path | None, output: Path | None, *, label: str | None = None, text: str | None = None) -> Made:
    """Write a spec beside a data file, with what could be guessed.

    Args:
        data: the file.
        output: where to write the spec; None: beside the file.
        label: the column of the labels; None: the one that looks like it.
        text: the column of the texts; None: the one that looks like it.

    Raises:
        FewtuneError: no file is given, it cannot be read, no column is clearly the label or the text, or there is a
            spec already.
    """
    if data is None:
        raise FewtuneError(
            Diagnostic(code="E-usage", message="init needs a data file", remedy="or --example"), exit_status=2
        )
    target = output or data.with_suffix(".toml")
    _refuse_existing(target)
    made = draft(data, target, label=label, text=text)
    target.write_text(made.text, encoding="utf-8")
    return made


def draft(data: Path, target: Path, *, label: str | None = None, text: str | None = None) -> Made:
    """The spec that `start` would write, without writing it.

    Raises:
        FewtuneError: as `start`.
    """
    if not data.is_file():
        raise PlanError(Diagnostic(code="E-file-missing", message=f"there is no file {data}", remedy="check the path"))
    table = read_table(data, Source(path=data.name))
    guesses = guess(table, data, label=label, text=text)
    written = spec_text(data, target, guesses)
    return Made(target, written, guesses, _findings(written, target))


def _refuse_existing(target: Path) -> None:
    if target.exists():
        message, remedy = f"{target} exists already", "name another file with --output"
        raise FewtuneError(Diagnostic(code="E-usage", message=message, remedy=remedy), exit_status=2)


def guess(table: Table, data: Path, *, label: str | None = None, text: str | None = None) -> dict[str, Any]:
    """Task, columns and the test file, as far as they are named or clear.

    Raises:
        PlanError: E-column.
    """
    for column in (label, text):
        if column is not None and column not in table.columns:
            remedy = f"the columns are {', '.join(table.columns)}"
            message = f"{data.name} has no column {column!r}"
            raise PlanError(Diagnostic(code="E-column", message=message, remedy=remedy))
    preferred = None if label else preference_task(table)
    if preferred is not None:
        columns = preferred | ({"text": text} if text else {})
        return {
            "task": "preference", "columns": columns, "label": None, "labels": [], "rows": len(table),
            "test": _test_file(data),
        }  # fmt: skip
    several = None if label or text else marking_task(table)
    if several is not None:
        marks, columns = several
        names = label_names((items(cell, marks) for cell in cells(table.columns[columns["label"]])), marks)
        return {
            "task": next(task for task, kind in MARKED.items() if kind == marks), "columns": {"text": columns["text"]},
            "label": columns["label"], "labels": list(names), "rows": len(table), "test": _test_file(data),
        }  # fmt: skip
    written = None if label else writing_task(table)
    if written is not None:
        task, columns = written
        return {
            "task": task, "columns": columns | ({"text": text} if text else {}), "label": None, "labels": [],
            "rows": len(table), "test": _test_file(data),
        }  # fmt: skip
    pair = None if text else pair_columns(table)
    label = label or label_column(table)
    text = None if pair else text or text_column(table, label)
    if label is None or (pair is None and text is None):
        what = "label" if label is None else "text"
        message = f"{data.name}: no column is clearly the {what}"
        remedy = f"name it with --{what}; the columns are {', '.join(table.columns)}"
        raise PlanError(Diagnostic(code="E-column", message=message, remedy=remedy))
    labels = sorted({value.strip() for value in cells(table.columns[label])} - {""})
    return {
        "task": "pair-classification" if pair else "classification",
        "columns": dict(zip(("premise", "hypothesis"), pair, strict=True)) if pair else {"text": text},
        "label": label,
        "labels": labels,
        "rows": len(table),
        "test": _test_file(data),
    }


def _test_file(data: Path) -> str | None:
    """A file beside this one that is named like its test split."""
    beside = {path.name.lower(): path.name for path in data.resolve().parent.iterdir() if path.is_file()}
    for word in TRAIN_NAMES:
        if word in data.stem.lower():
            for other in TEST_NAMES:
                found = beside.get(data.name.lower().replace(word, other))
                if found is not None:
                    return found
    return None


def spec_text(data: Path, target: Path, guesses: dict[str, Any]) -> str:
    """The spec as a person would write it."""
    import os

    folder = target.resolve().parent

    def named(path: Path) -> str:
        return _quoted(os.path.relpath(path.resolve(), folder))

    lines = ["spec_version = 1", f"name = {_quoted(_name(data.stem))}", "", "[task]", f'type = "{guesses["task"]}"', ""]
    lines += ["[data]", f"train = {named(data)}"]
    if guesses["test"]:
        lines.append(f"test = {named(data.with_name(guesses['test']))}")
    lines += [f"{field} = {_quoted(column)}" for field, column in guesses["columns"].items()]
    lines += [f"label = {_quoted(guesses['label'])}"] if guesses["label"] else []
    lines += ["", "[constraints]", 'wall_time = "30 min"', ""]
    return "\n".join(lines)


def _name(stem: str) -> str:
    import re

    return re.sub(r"[^\w .-]+", " ", stem).strip(" .-_")[:60] or "experiment"


def _quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)


def _findings(text: str, target: Path) -> tuple[Diagnostic, ...]:
    """What planning would say of it: duplicates, leaks, missing labels, rare labels."""
    loaded = load(text.encode(), format="toml", stem=target.stem)
    try:
        probed = probe(loaded.experiment, target.resolve().parent, target.parent)
        compiled = compile_plan(loaded.experiment, probed.facts, loaded.stem)
    except FewtuneError as error:
        return loaded.located(error.diagnostics)
    return loaded.located(tuple(w for w in compiled.plan.warnings if w.code != "W-cut"))


def start_example(output: Path | None) -> Made:
    """Copy the quickstart and its data into a folder.

    Raises:
        FewtuneError: the folder has such a spec already, or this installation has no examples.
    """
    folder = output or Path("fewtune-quickstart")
    source = example_folder()
    target = folder / "quickstart.toml"
    _refuse_existing(target)
    (folder / "legal").mkdir(parents=True, exist_ok=True)
    for name in ("quickstart.toml", "legal/train.csv", "legal/test.csv"):
        shutil.copyfile(source / name, folder / name)
    return Made(target, target.read_text(encoding="utf-8"))


def example_folder() -> Path:
    """Where the examples lie: beside the sources, or inside the installed package."""
    for folder in (EXAMPLES, Path(__file__).resolve().parent / "examples"):
        if (folder / "quickstart.toml").exists():
            return folder
    message = "this installation has no examples"
    raise FewtuneError(Diagnostic(code="E-file-missing", message=message, remedy="they are in the source repository"))
