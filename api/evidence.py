"""evidence: what the runs of a workspace have shown, and which of it plans may weigh."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtune.api.shows.console import console, heading, table
from fewtune.compiler.adopted import Adopted, Behind
from fewtune.runtime.lock import NAME, read_lock, write_lock
from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.specs.load import load_file
from fewtune.store.reader import Reader
from fewtune.store.refresh import refresh
from fewtune.store.wins import Contest, contests, paces
from fewtune.store.workspace import Workspace

ACTIONS = ("adopt", "drop")
MOST = 3
"""Arms that a line names."""


@dataclass(frozen=True)
class Evidence:
    """What a workspace's runs have shown."""

    contests: tuple[Contest, ...]
    found: Adopted
    """What could be adopted."""
    folder: Path
    """Of the lock that is looked at."""
    adopted: Adopted
    """What stands in it."""

    def data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "contests": [
                {
                    "experiment": one.experiment, "run": one.run, "task": one.plan.experiment.task.type,
                    "model": one.plan.facts.model, "n": one.plan.final_n, "metric": one.plan.metric,
                    "arm": one.leader.arm, "mean": one.leader.mean, "ci_low": one.leader.ci_low,
                    "ci_high": one.leader.ci_high, "seeds": one.leader.seeds, "items": one.leader.items,
                    "winner": one.win.arm if one.win else None,
                    "ahead_of": [other.model_dump() for other in one.win.behind] if one.win else [],
                    "undecided": one.undecided,
                }
                for one in self.contests
            ],
            "paces": [pace.model_dump() for pace in self.found.paces],
            "lock": str(self.folder / NAME),
            "adopted": {"id": self.adopted.id, **self.adopted.model_dump(mode="json")},
        }  # fmt: skip


def evidence(workspace: Path, action: str | None, spec: Path | None) -> Evidence:
    """Look at the runs, and adopt what they showed into the lock beside a spec, or take it out again.

    What was adopted from other experiments and devices stays.

    Args:
        workspace: the workspace's folder.
        action: one of `ACTIONS`; None: only look.
        spec: whose folder's lock; omitted: the current folder's, to look at.

    Raises:
        FewtuneError: E-nothing-to-show, E-facts-missing for a damaged lock, or the spec's faults.
    """
    folder = spec.resolve().parent if spec else Path.cwd()
    if spec is not None:
        load_file(spec)
    lock = read_lock(folder)
    if action == "drop":
        if lock.evidence != Adopted():
            lock = lock.model_copy(update={"evidence": Adopted()})
            write_lock(folder, lock)
        return Evidence((), Adopted(), folder, lock.evidence)
    refresh(Workspace(workspace.absolute()))
    reader = Reader(workspace)
    if not reader.runs():
        remedy = "run `fewtune apply SPEC`"
        message = f"no run has results in {workspace} yet"
        raise StoreError(Diagnostic(code="E-nothing-to-show", message=message, remedy=remedy), exit_status=7)
    known = tuple(contests(reader))
    found = Adopted(wins=tuple(one.win for one in known if one.win), paces=paces(reader))
    if action == "adopt":
        if not found.wins and not found.paces:
            message = "no arm was ahead of another beyond chance, and no run was long enough to time"
            remedy = "more seeds or more test items; `fewtune plan --detect 0.05` says how many"
            raise StoreError(Diagnostic(code="E-nothing-to-show", message=message, remedy=remedy), exit_status=7)
        lock = lock.model_copy(update={"evidence": lock.evidence.joined(found)})
        write_lock(folder, lock)
    return Evidence(known, found, folder, lock.evidence)


def show_evidence(shown: Evidence, action: str | None) -> None:
    """Print it."""
    out = console()
    if shown.contests:
        heading(out, "Who was ahead")
        rows = [
            (one.experiment, one.plan.experiment.task.type, one.plan.final_n, one.leader.arm,
             f"{one.plan.metric} {one.leader.mean:.3f} [{one.leader.ci_low:.2f}, {one.leader.ci_high:.2f}]",
             _ahead(one), f"{one.leader.seeds} seeds, {one.leader.items} items")
            for one in shown.contests
        ]  # fmt: skip
        table(out, ("experiment", "task", "n", "highest mean", "score", "ahead of", "from"), rows)
    if shown.found.paces:
        heading(out, "How long it took")
        cells = [
            (pace.device, f"{pace.ratio:.2f} times the estimate", _counted(pace.runs, "run"), ", ".join(pace.methods))
            for pace in shown.found.paces
        ]
        table(out, ("device", "seconds", "from", "of"), cells)
    out.print(_state(shown, action))


def _ahead(one: Contest) -> str:
    if one.win is None:
        return f"none of {one.undecided}, beyond chance"
    named = sorted(one.win.behind, key=lambda other: -other.low)
    said = ", ".join(map(_gap, named[:MOST])) + (f" and {len(named) - MOST} more" if len(named) > MOST else "")
    said += f"; undecided: {one.undecided}" if one.undecided else ""
    return said if one.win.arm == one.leader.arm else f"none, beyond chance; {one.win.arm} is ahead of {said}"


def _gap(other: Behind) -> str:
    return f"{other.arm} by {other.difference:.2f} [{other.low:.2f}, {other.high:.2f}]"


def _state(shown: Evidence, action: str | None) -> str:
    where = shown.folder / NAME
    if action == "drop":
        return f"{where} holds no evidence any more: plans rest on the rules alone"
    wins, times = len(shown.adopted.wins), len(shown.adopted.paces)
    if not wins and not times:
        return f"nothing of it is in {where}: `fewtune evidence adopt SPEC` lets plans of that folder weigh it"
    kinds = f"{times} device class{'es' * (times != 1)}"
    what = f"{_counted(wins, 'experiment')} with a clear winner, times of {kinds}"
    return f"adopted in {where}: {what} ({shown.adopted.id})"


def _counted(number: int, noun: str) -> str:
    """A number with its noun."""
    return f"{number} {noun}" + "s" * (number != 1)
