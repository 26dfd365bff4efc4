"""The experiments of this workspace that are most like a plan, and what they came to: nobody need run them again."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any

from fewtune.compiler.facts import SplitFacts
from fewtune.compiler.likeness import (
    Difference,
    Kind,
    distance,
    kind,
    of_one_kind,
    resolved_differences,
    spec_differences,
)
from fewtune.compiler.plan import Plan
from fewtune.specs.diagnostic import StoreError
from fewtune.store.history import Run
from fewtune.store.outcomes import Outcome, outcome
from fewtune.store.reader import Reader

NEAREST = 3
NAMED, LISTED = 2, 12
"""Differences that a line names, and that data list."""


@dataclass(frozen=True)
class Earlier:
    """An experiment that ran before."""

    run: Run
    kind: Kind
    differs: tuple[Difference, ...]
    """Where its spec is another one."""
    resolved: tuple[Difference, ...]
    """Resolved values, arms and facts that are others."""
    outcome: Outcome | None
    """None: it has none yet, or lost it."""

    @property
    def state(self) -> str:
        """How its latest run ended."""
        return self.run.ended.state if self.run.ended else "running"

    def data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "run": self.run.id,
            "experiment": self.run.started.experiment,
            "plan_hash": self.run.started.plan_hash,
            "state": self.state,
            "kind": self.kind,
            "differs": [asdict(one) for one in self.differs[:LISTED]],
            "resolved": [asdict(one) for one in self.resolved[:LISTED]],
            "more_differences": max(0, len(self.differs) - LISTED) + max(0, len(self.resolved) - LISTED),
            "outcome": asdict(self.outcome) if self.outcome else None,
            "sentence": self.sentence,
        }

    @property
    def sentence(self) -> str:
        """One line for a reader."""
        name = f"{self.run.id}, {self.run.started.experiment} ({self.state})"
        came = self.outcome.sentence if self.outcome else "no outcome yet"
        if self.kind == "the same plan":
            done = self.state == "succeeded"
            what = "this very plan: nothing is new" if done else "this very plan: apply goes on where it ended"
            return f"{name}: {what}; {came}"
        shown = self.differs or self.resolved
        where = ", ".join(_named(one) for one in shown[:NAMED])
        more = f" and {len(shown) - NAMED} more" if len(shown) > NAMED else ""
        what = "differs in" if self.kind == "near" else f"{self.kind}:"
        return f"{name}: {what} {where}{more}; {came}" if where else f"{name}: {self.kind}; {came}"


def _named(one: Difference) -> str:
    """A difference in a few words, then -> now."""
    then, now = ("unset" if value is None else _short(value) for value in (one.then, one.now))
    name = one.pointer.strip("/").replace("/", ".") if one.pointer.startswith("/") else one.pointer
    return f"{name} ({then} -> {now})"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def earlier(reader: Reader, plan: Plan, splits: Collection[SplitFacts] = ()) -> tuple[Earlier, ...]:
    """The nearest experiments of before, the most alike first; of a plan that ran several times its latest run.

    Args:
        reader: of the workspace.
        plan: what is planned now.
        splits: which its report is about: who was scored on the same rows, under whatever name, is near.
    """
    spec = plan.experiment.model_dump(mode="json")
    history = reader.history()
    scored = {name for split in splits for name in history.looks(split.digest, split.alike)}
    runs = {run.started.plan_hash: run for run in reader.runs()}
    found = []
    for place, run in enumerate(runs.values()):
        then = run.started.spec
        if run.started.plan_hash in (plan.hash, *scored) or of_one_kind(spec, then):
            differs = spec_differences(spec, then)
            found.append((run.started.plan_hash != plan.hash, distance(differs), -place, run, differs))
    return tuple(_earlier(reader, plan, run, differs) for *_, run, differs in sorted(found, key=_order)[:NEAREST])


def _order(found: tuple[Any, ...]) -> tuple[Any, ...]:
    return found[:3]


def _earlier(reader: Reader, plan: Plan, run: Run, differs: tuple[Difference, ...]) -> Earlier:
    same = run.started.plan_hash == plan.hash
    try:
        then = reader.plan_of(run.id).plan
    except StoreError:  # the plan's file was lost
        return Earlier(run, kind(differs, same_plan=same), differs, (), None)
    resolved = () if same else resolved_differences(plan, then)
    return Earlier(run, kind(differs, same_plan=same), differs, resolved, outcome(reader, run.id, then))
