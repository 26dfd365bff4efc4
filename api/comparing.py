"""compare: two arms on the same items."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fewtune.compiler.expand import CV, VALIDATION
from fewtune.compiler.plan import Plan
from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.specs.evaluation import Metric, metrics_of
from fewtune.store.history import Run
from fewtune.store.reader import Reader
from fewtune.store.statistics import Comparison, compare
from fewtune.store.trial_predictions import arm_runs


@dataclass(frozen=True)
class Compared:
    """Two arms, and the difference of the first to the second."""

    a: str
    b: str
    metric: str
    split: str
    n: int
    comparison: Comparison

    def data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "a": self.a,
            "b": self.b,
            "metric": self.metric,
            "split": self.split,
            "n": self.n,
            **asdict(self.comparison),
        }

    def text(self) -> str:
        """One sentence."""
        found = self.comparison
        said = f"{self.a} against {self.b}, {self.metric} on {self.split} at n = {self.n}: "
        said += f"{found.difference:+.3f} [{found.low:.3f}, {found.high:.3f}], {found.verdict}"
        would = [f"{found.more_seeds} more seeds" if found.more_seeds else "",
                 f"{found.more_items} more items" if found.more_items else ""]  # fmt: skip
        needed = " or ".join(part for part in would if part)
        covers = "items only" if found.basis == "items_only" else "seeds and items"
        return f"{said} ({covers}; {found.seeds} seeds, {found.items} items)" + (
            f"; {needed} would decide" if needed else ""
        )


def compare_arms(
    workspace: Path, a: str, b: str, *, metric: str | None = None, split: str | None = None, n: int | None = None
) -> Compared:
    """Compare two arms, of the latest run or of named ones, on the items that both were scored on.

    Args:
        workspace: where the results are.
        a: an arm, or RUN/ARM.
        b: another one.
        metric: omitted: that of a's plan.
        split: omitted: test, or cv where there is no test split.
        n: omitted: the largest data size of a's plan.

    Raises:
        StoreError: E-not-found, E-nothing-to-show, or E-conflict where the items are not the same.
    """
    reader = Reader(workspace)
    (plan_a, arm_a), (plan_b, arm_b) = _find(reader, a), _find(reader, b)
    split = split or ("test" if "test" in plan_a.facts.rows else CV)
    n = n or plan_a.final_n
    chosen = _metric(metric or plan_a.metric, plan_a)
    for plan in (plan_a, plan_b):
        known = sorted({stage.split for stage in plan.stages if stage.split and stage.split != VALIDATION})
        if split not in known:
            message = f"{plan.experiment_name} has no split {split!r} that arms are compared on"
            remedy = f"there are {', '.join(known)}"
            raise StoreError(Diagnostic(code="E-not-found", message=message, remedy=remedy), exit_status=7)
    kinds = [metrics_of(plan.experiment.task.type) for plan in (plan_a, plan_b)]
    if kinds[0] != kinds[1]:
        message = f"{a} and {b} do not answer alike: {kinds[0][0]} measures one, {kinds[1][0]} the other"
        raise StoreError(Diagnostic(code="E-conflict", message=message), exit_status=7)
    first, second = (arm_runs(reader, plan, arm, n, split, chosen) for plan, arm in ((plan_a, arm_a), (plan_b, arm_b)))
    if first.labels.tolist() != second.labels.tolist() or first.rows.tolist() != second.rows.tolist():
        message = f"{a} and {b} were not scored on the same items of {split}"
        raise StoreError(Diagnostic(code="E-conflict", message=message), exit_status=7)
    level = plan_a.experiment.evaluation.confidence
    return Compared(a, b, chosen, split, n, compare(chosen, first.labels, first.runs, second.runs, level))


def _metric(name: str, plan: Plan) -> Metric:
    known = metrics_of(plan.experiment.task.type)
    if name not in known:
        message = f"--metric {name}: expected {', '.join(known[:-1])} or {known[-1]}"
        raise StoreError(Diagnostic(code="E-usage", message=message), exit_status=2)
    return name


def _find(reader: Reader, name: str) -> tuple[Plan, str]:
    """The plan and the arm that a name means."""
    run, _, rest = name.partition("/")
    known: dict[str, Run] = {found.id: found for found in reader.runs()}
    latest = reader.latest_run()
    if latest is None:
        raise StoreError(Diagnostic(code="E-nothing-to-show", message="no run has results here yet"), exit_status=7)
    run, arm = (run, rest) if run in known and rest else (latest.id, name)
    plan = reader.plan_of(run).plan
    arms = [found.name for found in plan.arms]
    if arm not in arms:
        message = f"run {run} has no arm {arm!r}"
        remedy = f"its arms are {', '.join(arms)}"
        raise StoreError(Diagnostic(code="E-not-found", message=message, remedy=remedy), exit_status=7)
    return plan, arm
