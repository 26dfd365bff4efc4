"""The reading end of a workspace: typed questions, none of which writes or waits.

What planning asks is answered from the journal, the truth; tables for people come from the published results, which
may be seconds behind. A reader has no way to write, so code that is given one can be trusted not to.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.specs.evaluation import Metric
from fewtune.store import lease
from fewtune.store.artefacts import Artefacts
from fewtune.store.event import ArtefactRef, Selected
from fewtune.store.history import History, Run, follow
from fewtune.store.known import Known, known
from fewtune.store.lease import Holder
from fewtune.store.saved_plan import SavedPlan, parse_plan
from fewtune.store.workspace import Workspace


@dataclass(frozen=True, kw_only=True)
class LeaderboardRow:
    """An arm's standing on one split at one n by one metric; the view `leaderboard` explains the columns."""

    experiment: str
    metric: Metric
    split: str
    n: int
    arm: str
    rank: int
    chosen: bool
    mean: float
    ci_low: float
    ci_high: float
    seeds: int
    trials: int
    diverged: int
    items: int
    basis: str
    method: str
    role: str
    run: str
    level: float
    look: int | None
    looks: int | None


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """The chosen arm against another one; the view `comparisons` explains the columns."""

    experiment: str
    metric: Metric
    split: str
    n: int
    chosen_arm: str
    arm: str
    difference: float
    ci_low: float
    ci_high: float
    verdict: str
    p_value: float | None
    basis: str
    seeds: int
    items: int
    more_seeds: int | None
    more_items: int | None
    run: str
    level: float
    p_raw: float | None
    raw_low: float
    raw_high: float
    look: int | None


class Reader:
    """A workspace, for reading. Contract: no question changes anything, and none waits for a writer."""

    def __init__(self, root: Path) -> None:
        """Name the workspace; it need not exist yet."""
        self.workspace = Workspace(root.absolute())
        self.artefacts = Artefacts(self.workspace.artefacts)
        self._history: History | None = None

    def history(self) -> History:
        """The journal's content up to now; only what is new is read.

        Raises:
            StoreError: E-journal, E-store-too-new.
        """
        self._history = follow(self.workspace.journal, self._history)
        return self._history

    def known(self, of: Collection[str] | None = None, *, deep: bool = True) -> Known:
        """What need not be computed again; see `fewtune.store.known`."""
        return known(self.history(), self.artefacts, of, deep=deep)

    def runs(self) -> tuple[Run, ...]:
        """All runs, in the order of their beginning."""
        return tuple(self.history().runs.values())

    def run(self, name: str) -> Run:
        """The run of this name; StoreError E-not-found where there is none."""
        try:
            return self.history().runs[name]
        except KeyError:
            raise _missing(f"no run is called {name!r}", self.history().runs) from None

    def latest_run(self, experiment: str | None = None) -> Run | None:
        """The run that began last, of this experiment where one is given."""
        fitting = (run for run in reversed(self.runs()) if experiment in (None, run.started.experiment))
        return next(fitting, None)

    def plan_of(self, run: str) -> SavedPlan:
        """The plan of a run; StoreError E-not-found or, where its file was lost, E-artefact."""
        return parse_plan(self.artefacts.read(self.run(run).started.plan))

    def selection_of(self, run: str) -> Selected | None:
        """How the run's arm was chosen, by it or by an earlier run of the same candidates; None: not yet."""
        stages = (stage.fingerprint for stage in self.plan_of(run).plan.stages if stage.kind == "select")
        found = [self.history().selected[name] for name in stages if name in self.history().selected]
        return max(found, key=lambda selected: selected.n or 0, default=None)

    def read(self, ref: ArtefactRef) -> bytes:
        """The content of an artefact; StoreError E-artefact where it is lost."""
        return self.artefacts.read(ref)

    def holder(self) -> Holder | None:
        """Who is writing now; None: nobody, as far as one can tell."""
        return lease.holder(self.workspace.lease)

    def leaderboard(self, experiment: str | None = None) -> tuple[LeaderboardRow, ...]:
        """The published leaderboard, of one experiment where it is given."""
        return tuple(LeaderboardRow(**row) for row in self._table("leaderboard", experiment))

    def comparisons(self, experiment: str | None = None) -> tuple[ComparisonRow, ...]:
        """The published comparisons of the chosen arm, of one experiment where it is given."""
        return tuple(ComparisonRow(**row) for row in self._table("comparisons", experiment))

    def _table(self, view: str, experiment: str | None) -> list[dict[str, Any]]:
        from fewtune.store.snapshot import open_newest  # duckdb takes 0.2 s to import

        with open_newest(self.workspace) as (connection, _):
            chosen = "" if experiment is None else "WHERE experiment = ?"
            result = connection.execute(f"SELECT * FROM {view} {chosen}", [] if experiment is None else [experiment])
            names = [column[0] for column in result.description or ()]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _missing(message: str, names: Collection[str]) -> StoreError:
    if not names:
        remedy = "no run has begun in this workspace: run `fewtune apply SPEC`, or name another one with -w"
        return StoreError(Diagnostic(code="E-not-found", message=message, remedy=remedy), exit_status=7)
    last = f"the latest are {', '.join(list(names)[-5:])}"
    return StoreError(Diagnostic(code="E-not-found", message=message, expected=last, remedy=last), exit_status=7)
