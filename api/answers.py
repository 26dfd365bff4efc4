"""From results to answers: leaderboard, verdict, comparison of two arms, SQL."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fewtune.api.synthetic import Synthetic, synthetic
from fewtune.compiler.diff import is_dropped
from fewtune.compiler.plan import CV, Plan
from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store.burdens import Burden, burdens
from fewtune.store.history import Run
from fewtune.store.learning import Forecast
from fewtune.store.looks import Look, look_of
from fewtune.store.reader import ComparisonRow, LeaderboardRow, Reader
from fewtune.store.refresh import refresh
from fewtune.store.verdict import Verdict, verdict
from fewtune.store.workspace import Workspace


@dataclass(frozen=True)
class Results:
    """What one experiment has shown so far."""

    experiment: str
    run: Run
    plan: Plan
    split: str
    board: tuple[LeaderboardRow, ...]
    """Rows of the main split and metric at the largest n, the best first."""
    others: tuple[LeaderboardRow, ...]
    """Rows of the main metric on other splits and data sizes."""
    comparisons: tuple[ComparisonRow, ...]
    verdict: Verdict | None
    notes: tuple[str, ...]
    """What must be known of single trials."""
    forecast: Forecast | None
    """What more labels would bring; None where the run has one data size only."""
    burdens: dict[str, Burden]
    """What the arms of the main split take and forget at the largest n."""
    look: Look | None
    """The plan's place among those that looked at the main split."""
    synthetic: Synthetic | None
    """Its synthetic examples, and what they were worth; None: the plan has none."""

    def data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "experiment": self.experiment,
            "run": self.run.id,
            "state": self.run.ended.state if self.run.ended else "running",
            "verdict": asdict(self.verdict) if self.verdict else None,
            "notes": self.notes,
            "forecast": asdict(self.forecast) if self.forecast else None,
            "leaderboard": [asdict(row) for row in self.board + self.others],
            "comparisons": [asdict(row) for row in self.comparisons],
            "burdens": [asdict(burden) for burden in self.burdens.values()],
            "look": self.look.data() if self.look else None,
            "synthetic": self.synthetic.data() if self.synthetic else None,
        }


def results(workspace: Path, experiment: str | None = None) -> Results:
    """The results of the latest run, of this experiment where one is named.

    Raises:
        StoreError: E-nothing-to-show, E-not-found.
    """
    refresh(Workspace(workspace.absolute()))
    reader = Reader(workspace)
    run = reader.latest_run(experiment)
    if run is None:
        raise nothing_yet(reader, experiment)
    return results_of(reader, run)


def results_of(reader: Reader, run: Run) -> Results:
    """The results of one run, of the latest of its experiment or of one before.

    Raises:
        StoreError: E-not-found or E-artefact where the run's plan was lost.
    """
    plan = reader.plan_of(run.id).plan
    name, split = run.started.experiment, "test" if "test" in plan.facts.rows else CV
    standings, contrasts = _standings(reader, run)
    rows = tuple(row for row in standings if row.metric == plan.metric)
    board = tuple(row for row in rows if row.split == split and row.n == plan.final_n)
    others = tuple(row for row in rows if row not in board)
    compared = tuple(
        row for row in contrasts if row.metric == plan.metric and row.split == split and row.n == plan.final_n
    )
    look = look_of(reader.history(), run.started.plan_hash, split)
    noisy = {arm.name for arm in plan.arms if arm.label_noise}  # a condition, and no rival
    said = verdict(
        [row for row in board if row.arm not in noisy], [row for row in compared if row.arm not in noisy],
        look=look, dropped=dropped(reader, plan),
    )  # fmt: skip
    curve = _forecast(reader, plan, next((row for row in board if row.chosen), None))
    found = burdens(reader, run.id, plan.final_n)
    taken = {row.arm: found[row.arm] for row in board if row.arm in found}
    made = synthetic(reader, plan, run.id)
    return Results(name, run, plan, split, board, others, compared, said, noted(reader, plan), curve, taken, look, made)


def _standings(reader: Reader, run: Run) -> tuple[tuple[LeaderboardRow, ...], tuple[ComparisonRow, ...]]:
    """The published rows, or those of a run that another one of its experiment has followed."""
    latest = reader.latest_run(run.started.experiment)
    if latest is not None and latest.id == run.id:
        return reader.leaderboard(run.started.experiment), reader.comparisons(run.started.experiment)
    from fewtune.store.past import past_standings  # scipy takes 0.2 s to import

    return past_standings(reader, run)


def noted(reader: Reader, plan: Plan) -> tuple[str, ...]:
    """Gates that stayed closed, by trial."""
    fitted = reader.history().fitted
    stages = [stage for stage in plan.stages if stage.kind == "train" and not plan.is_part(stage)]
    known = [(stage, fitted[stage.fingerprint]) for stage in stages if stage.fingerprint in fitted]
    return tuple(f"{stage.trial}: {event.note}" for stage, event in known if event.note)


def _forecast(reader: Reader, plan: Plan, chosen: LeaderboardRow | None) -> Forecast | None:
    if len(plan.levels) < 2:
        return None
    from fewtune.api.forecasting import more_labels  # scipy takes 0.2 s to import

    return more_labels(reader, plan, chosen)


def dropped(reader: Reader, plan: Plan) -> frozenset[str]:
    """The arms that a halving left behind."""
    kept = reader.history().kept
    return frozenset(stage.arm for stage in plan.stages if stage.arm and is_dropped(stage, plan, kept))


def nothing_yet(reader: Reader, experiment: str | None) -> StoreError:
    """The error for a question about what is not there."""
    known = sorted({run.started.experiment for run in reader.runs()})
    if known:
        message = f"no run of {experiment!r} here; there are {', '.join(known[:8])}"
        return StoreError(Diagnostic(code="E-not-found", message=message), exit_status=7)
    message = f"no run has results in {reader.workspace.root} yet"
    return StoreError(
        Diagnostic(code="E-nothing-to-show", message=message, remedy="run `fewtune apply SPEC`"), exit_status=7
    )
