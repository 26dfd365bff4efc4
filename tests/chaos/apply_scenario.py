"""The same work through the real apply: a spec of arms that need no language model, in this process.

`kill_sweep` runs it in forked processes in place of `scenario`.
"""

import os
from pathlib import Path

from project import Project, write_csv
from tiny import tiny_model, tiny_rows

from fewtune.api.running import How, apply
from fewtune.runtime.families import families
from fewtune.runtime.job import Progress

LM_ARMS = ["tfidf", "encoder", "probe", "zero-shot", "in-context", "pattern+lora", "head+lora", "pattern+full"]


def project(folder: Path) -> Project:
    """Two data seeds of the majority class: every operation of apply, in a tenth of a second."""
    if not (folder / "spec.json").exists():
        tiny_model(folder / "model")
        write_csv(folder / "train.csv", tiny_rows(24, seed=1))
        write_csv(folder / "test.csv", tiny_rows(12, seed=2))
    spec = {
        "spec_version": 1,
        "name": "toy",
        "task": {"type": "classification"},
        "data": {"train": "train.csv", "test": "test.csv", "label_budget": 12},
        "model": {"path": "model"},
        "evaluation": {"data_seeds": 2},
        "methods": {"exclude": LM_ARMS},
    }
    return Project(folder, spec)


class Acknowledge:
    """Writes down each result that apply says is recorded."""

    def __init__(self, made: Project, log: int) -> None:
        plan = made.plan().plan
        self.fingerprints = {
            name: [stage.fingerprint for stage in (*([family.fit] if family.fit else []), *family.scores)]
            for name, family in families(plan).items()
        }
        self.log = log

    def began(self, run: str, jobs: int, seconds: float) -> None:
        return

    def progress(self, progress: Progress) -> None:
        return

    def said(self, text: str) -> None:
        return

    def ended(self, job: str, outcome: str, done: int, jobs: int, left: float) -> None:
        os.write(self.log, "".join(f"{name}\n" for name in self.fingerprints[job]).encode())


HOME = Path(os.environ.get("FEWTUNE_TEST_PROJECT", "."))


def wanted() -> list[str]:
    plan = project(HOME).plan().plan
    return [stage.fingerprint for stage in plan.stages if stage.kind in ("train", "evaluate")]


def main(workspace: Path, acknowledged: Path, *, publish: bool = True) -> None:
    made = project(HOME)
    log = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    apply(made.folder / "spec.json", workspace, How(in_process=True), Acknowledge(made, log))
    os.close(log)
