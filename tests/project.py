"""A small real project on the disk: a tiny model, data files, a spec, a workspace; and the ways to run it."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import preloaded
from tiny import tiny_model, tiny_rows

from fewtune.api.running import Applied, How, apply
from fewtune.api.session import Planned, plan_spec
from fewtune.runtime.job import Progress, Row
from fewtune.store.reader import Reader

LABELS = ("world", "sports", "business", "science")


class Silent:
    """A reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def began(self, run: str, jobs: int, seconds: float) -> None:
        self.lines.append(f"began {run} {jobs}")

    def progress(self, progress: Progress) -> None:
        return

    def ended(self, job: str, outcome: str, done: int, jobs: int, left: float) -> None:
        self.lines.append(f"{job}: {outcome}")

    def said(self, text: str) -> None:
        self.lines.append(text)


def write_csv(path: Path, rows: Sequence[Row], labels: Sequence[str] = LABELS) -> Path:
    """Write rows with their fields as columns and the label last."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow([*rows[0].fields, "label"])
        writer.writerows([*row.fields.values(), labels[row.label]] for row in rows)
    return path


@dataclass
class Project:
    """A folder with a spec in JSON; change `spec` and plan or apply again."""

    folder: Path
    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def path(self) -> Path:
        """The spec's file, written where it differs: several processes may read it at the same time."""
        path, text = self.folder / "spec.json", json.dumps(self.spec)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        return path

    def plan(self) -> Planned:
        return plan_spec(self.path, self.workspace)

    def apply(self, **how: Any) -> Applied:
        self.reporter = Silent()
        return apply(self.path, self.workspace, How(**{"in_process": True, **how}), self.reporter)

    @property
    def reader(self) -> Reader:
        return Reader(self.workspace)

    def attempts(self) -> dict[str, int]:
        """Run -> attempts."""
        return dict(self.reader.history().attempts)

    def rows(self, name: str) -> list[list[str]]:
        with (self.folder / name).open(newline="") as handle:
            return list(csv.reader(handle))

    def write(self, name: str, rows: list[list[str]]) -> None:
        with (self.folder / name).open("w", newline="") as handle:
            csv.writer(handle).writerows(rows)

    def sql(self, query: str) -> list[list[Any]]:
        """Rows of the published results."""
        rows: list[list[Any]] = json.loads(self.cli("sql", query, "--json").stdout)["data"]["rows"]
        return rows

    def cli(
        self, *arguments: str, stdin: str = "", env: dict[str, str] | None = None, fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run the command in a new process, in the project's folder."""
        env = {"FEWTUNE_WORKSPACE": "workspace", **(env or {})}
        return fewtune(*arguments, cwd=self.folder, stdin=stdin, env=env, fresh=fresh)


def fewtune(
    *arguments: str, cwd: Path, stdin: str = "", env: dict[str, str] | None = None, timeout: float = 300,
    fresh: bool = False,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run the command in a new process, which begins with the libraries imported unless it is to be fresh."""
    if not fresh:
        return preloaded.run("fewtune", *arguments, cwd=cwd, stdin=stdin, env=env, timeout=timeout)
    command = [sys.executable, "-m", "fewtune.api.cli", *arguments]
    return subprocess.run(
        command,
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **(env or {})},
    )


def make_project(
    folder: Path, *, n: int = 16, train: int = 48, test: int = 40, pairs: bool = False, **tables: Any
) -> Project:
    """A classification (or pair) project on a tiny random model.

    Args:
        folder: where to put it.
        n: the label budget.
        train: rows of the training file.
        test: rows of the test file; 0: none, so cross-validation.
        pairs: pair classification.
        tables: tables of the spec that replace or add to the usual ones; the rules' order chooses below 96 labels.
    """
    tiny_model(folder / "model")
    write_csv(folder / "train.csv", tiny_rows(train, seed=1, pairs=pairs))
    data: dict[str, Any] = {"train": "train.csv", "label_budget": n}
    if test:
        write_csv(folder / "test.csv", tiny_rows(test, seed=2, pairs=pairs))
        data["test"] = "test.csv"
    spec = {
        "spec_version": 1,
        "name": "toy",
        "task": {"type": "pair-classification" if pairs else "classification"},
        "data": data,
        "model": {"path": "model"},
        "evaluation": {"data_seeds": 2, **({"validation": "fixed-schedule"} if n < 96 else {})},
        "methods": {"exclude": ["pattern+full", "encoder"], "pin": {"steps": 6, "learning_rate": 5e-3}},
    }
    for name, table in tables.items():
        merged = (
            {**spec.get(name, {}), **table} if isinstance(table, dict) and isinstance(spec.get(name), dict) else table
        )
        spec[name] = merged
    return Project(folder, spec)


def slow_project(folder: Path, steps: int) -> Project:
    """Four seeds of one trained arm, each a second or two, and a spec that lies ready for the command."""
    pins = {"steps": steps, "learning_rate": 1e-3}
    made = make_project(
        folder, train=40, test=20,
        methods={"exclude": ["pattern+full", "head+lora", "in-context", "probe", "encoder"], "pin": pins},
        evaluation={"data_seeds": 4},
    )  # fmt: skip
    made.path  # noqa: B018 -- written once
    return made
