"""What a report tells of one run: read once, from the journal and the published results."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtune.api.answers import Results, nothing_yet, results_of
from fewtune.compiler.decision import Decision
from fewtune.compiler.price import Estimate
from fewtune.store.database import Connection
from fewtune.store.reader import Reader
from fewtune.store.refresh import refresh
from fewtune.store.snapshot import open_newest
from fewtune.store.workspace import Workspace

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """One run, its results and its circumstances."""

    results: Results
    estimate: Estimate
    row: Row
    """The run in the view `runs`."""
    metrics: list[Row]
    """Values while arms were fitted: trial, arm, fold, name, step, value."""
    costs: list[Row]
    failures: list[Row]
    versions: dict[str, str]
    """Library -> version, of those that fitted arms."""
    as_of: str | None

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions of the plan."""
        return self.results.plan.decisions


def find(workspace: Path, run: str | None = None) -> Findings:
    """What is known of a run.

    Args:
        workspace: where it was recorded.
        run: its name; None: the latest one.

    Raises:
        StoreError: E-nothing-to-show, E-not-found; E-artefact where the run's plan was lost.
    """
    folder = Workspace(workspace.absolute())
    refresh(folder)
    reader = Reader(workspace)
    chosen = reader.run(run) if run is not None else reader.latest_run()
    if chosen is None:
        raise nothing_yet(reader, None)
    found = results_of(reader, chosen)
    saved = reader.plan_of(chosen.id)
    plan = saved.plan
    fitted = [reader.history().fitted.get(stage.fingerprint) for stage in plan.stages if stage.kind == "train"]
    versions = {name: version for event in fitted if event is not None for name, version in event.versions.items()}
    with open_newest(folder) as (connection, where):
        return Findings(
            results=found,
            estimate=saved.estimate,
            row=next(iter(_rows(connection, "runs", chosen.id)), {}),
            metrics=_rows(connection, "metrics", chosen.id),
            costs=_rows(connection, "costs", chosen.id),
            failures=_rows(connection, "failures", chosen.id),
            versions=versions,
            as_of=where.as_of if where else None,
        )


def _rows(connection: Connection, view: str, run: str) -> list[Row]:
    result = connection.execute(f"SELECT * FROM {view} WHERE run = ?", [run])
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
