"""init: a spec from a data file, or the quickstart with its data."""

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fewtune.api.draft import drafts, planned, spec_text
from fewtune.api.guessing import Guess, guess
from fewtune.compiler.plan import Compiled
from fewtune.runtime.probe.rows import Table, read_table
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, PlanError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
MOST_ROWS = 20_000
"""Rows that are read; of a longer file the spec uses these."""
SMALL = 20_000_000
"""Bytes up to which a file is read as a whole."""
MOST_COLUMNS, MOST_LABELS = 30, 30
"""What an answer lists of them."""
OF_THE_DATA = frozenset({
    "E-one-class", "E-too-few-rows", "E-label-missing", "E-text-missing", "E-label-unknown", "E-column",
    "E-file-unreadable", "E-value",
})  # fmt: skip
"""Faults that the file has: they are mended there, and not in a spec."""


@dataclass(frozen=True)
class Made:
    """A spec that was written."""

    path: Path
    text: str
    guesses: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Diagnostic, ...] = ()
    guess: Guess | None = None
    """What the file is about; None for the example."""
    compiled: Compiled | None = None
    """The spec's plan; None where there is none yet."""

    def data(self) -> dict[str, Any]:
        """For `--json`."""
        found = self.guess
        columns = [
            {"name": one.name[:80], "kind": one.kind, "distinct": one.distinct, "missing": one.missing,
             "role": found.role(one.name)}
            for one in found.seen[:MOST_COLUMNS]
        ] if found else []  # fmt: skip
        return {
            "path": str(self.path),
            "spec": self.text,
            "guesses": self.guesses,
            "columns": columns,
            "more_columns": max(0, len(found.seen) - MOST_COLUMNS) if found else 0,
            "label_counts": _largest(found.labels) if found else {},
            "plan": short(self.compiled) if self.compiled else None,
        }


def short(compiled: Compiled) -> dict[str, Any]:
    """A plan in short: arms, trials, how long, and what it can tell apart."""
    plan, estimate = compiled.plan, compiled.estimate
    told = estimate.detectable
    return {
        "plan_hash": plan.hash,
        "arms": [arm.name for arm in plan.arms],
        "trials": len(plan.trials),
        "labels": plan.final_n,
        "scored_on": "test" if "test" in plan.facts.rows else f"{plan.folds}-fold cross-validation",
        "metric": plan.metric,
        "seconds": estimate.seconds.model_dump(mode="json"),
        "detects": told.difference if told else None,
    }


def _largest(counts: dict[str, int]) -> dict[str, int]:
    """The most frequent labels."""
    order = sorted(counts, key=lambda name: -counts[name])
    return {name: counts[name] for name in order[:MOST_LABELS]}


def start(data: Path | None, output: Path | None, *, label: str | None = None, text: str | None = None) -> Made:
    """Write a spec beside a data file, with what could be guessed, in a form that can be planned here.

    Args:
        data: the file.
        output: where to write the spec; None: beside the file.
        label: the column of the labels; None: the one that looks like it.
        text: the column of the texts, or "a,b" for pairs; None: what looks like it.

    Raises:
        FewtuneError: no file is given, it cannot be read or used as it is, no column is clearly the label or the text,
            or there is a spec already.
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
    table, cut = _read(data)
    found = replace(guess(table, data, label=label, text=text), more=cut)
    for form in drafts(found, table, cut=cut):
        written = spec_text(data, target, found, form)
        _, compiled, findings = planned(written, target)
        faults = [one for one in findings if one.severity == "error"]
        if not any(one.code == "E-budget" for one in faults):
            break
    if faults and all(one.code in OF_THE_DATA for one in faults):
        raise PlanError([one.model_copy(update={"line": None, "column": None, "pointer": ""}) for one in faults])
    return Made(target, written, found.data(), findings, found, compiled)


def _read(data: Path) -> tuple[Table, bool]:
    """The first rows of a file, and whether it has more."""
    rows = f"1-{MOST_ROWS + 1}" if data.stat().st_size > SMALL else None
    table = read_table(data, Source(path=data.name, rows=rows))
    if len(table) <= MOST_ROWS:
        return table, False
    return Table(data.name, {name: values[:MOST_ROWS] for name, values in table.columns.items()}), True


def _refuse_existing(target: Path) -> None:
    if target.exists():
        message, remedy = f"{target} exists already", "name another file with --output"
        raise FewtuneError(Diagnostic(code="E-usage", message=message, remedy=remedy), exit_status=2)


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
