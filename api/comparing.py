"""compare: two arms on the same items."""

from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from fewtune.compiler.plan import CV, VALIDATION, Plan
from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.specs.evaluation import Metric, metrics_of
from fewtune.store.history import Run
from fewtune.store.looks import Look, look_of
from fewtune.store.reader import Reader
from fewtune.store.statistics import Comparison, compare_family, compare_picked
from fewtune.store.statistics import Verdict as Judged
from fewtune.store.trial_predictions import ArmRuns, arm_runs
from fewtune.store.verdict import percent


@dataclass(frozen=True)
class Compared:
    """Two arms, and the difference of the first to the second."""

    a: str
    b: str
    metric: str
    split: str
    n: int
    comparison: Comparison
    family: int
    """Comparisons that share the risk: of the chosen arm with each other one, or of all pairs that one could pick."""
    picked: bool
    """Whether neither is the chosen arm of the plan of both."""
    look: Look | None
    """At the split; of two plans the later one's."""

    def data(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "a": self.a,
            "b": self.b,
            "metric": self.metric,
            "split": self.split,
            "n": self.n,
            **asdict(self.comparison),
            "family": self.family,
            "picked": self.picked,
            "look": self.look.data() if self.look else None,
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
        said = f"{said} ({covers}; {found.seeds} seeds, {found.items} items)"
        return said + (f"; {needed} would decide" if needed else "") + self._shared()

    def _shared(self) -> str:
        """Which level the interval has, and why."""
        number = self.look.number if self.look else 1
        if self.comparison.p_value is None or (self.family == 1 and number == 1):
            return ""
        kind = "pairs one could pick" if self.picked else "comparisons of the chosen arm"
        by = [f"{self.family} {kind}"] if self.family > 1 else []
        by += [f"look {number} at this split"] if number > 1 else []
        low, high = self.comparison.raw_low, self.comparison.raw_high
        alone = f"alone it would be [{low:.3f}, {high:.3f}]"
        return f"; a {percent(self.comparison.level)} interval, for the risk is shared ({', '.join(by)}); {alone}"


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
    found, family, picked, look = _judged(reader, (plan_a, arm_a, first), (plan_b, arm_b, second), n, split, chosen)
    return Compared(a, b, chosen, split, n, found, family, picked, look)


Side = tuple[Plan, str, ArmRuns]
"""A plan, one of its arms, and what that answered."""


def _judged(
    reader: Reader, a: Side, b: Side, n: int, split: str, metric: Metric
) -> tuple[Comparison, int, bool, Look | None]:
    """The comparison, how many share its risk, whether the pair was picked, and the look.

    A plan's chosen arm against another one is a comparison that the plan announced: it is judged as in the
    leaderboard. Any other pair may have been picked for its scores.
    """
    looks = [look_of(reader.history(), plan.hash, split) for plan, _, _ in (a, b)]
    look = max((each for each in looks if each), key=lambda each: each.number, default=None)
    level = a[0].experiment.evaluation.confidence
    share = look.share if look else 1.0
    if a[0].hash == b[0].hash:
        chosen = _chosen(reader, a[0])
        if chosen in (a[1], b[1]) and a[1] != b[1]:
            own, other = (a, b) if chosen == a[1] else (b, a)
            rivals = _rivals(reader, own, other, n, split, metric)
            judged = compare_family(
                metric, own[2].labels, own[2].runs, [rival.runs for rival in rivals.values()], level, share=share,
                next_share=look.next_share if look else None,
            )[list(rivals).index(other[1])]  # fmt: skip
            return judged if own is a else swapped(judged), len(rivals), False, look
    count = len(a[0].arms)
    at = look or Look(number=1, total=0, arms=count, earlier_arms=0)
    found = compare_picked(metric, a[2].labels, a[2].runs, b[2].runs, level, share=at.pair_share)
    return found, max(1, at.pairs), True, look


def _chosen(reader: Reader, plan: Plan) -> str | None:
    """The arm that a plan's runs chose."""
    stages = [stage.fingerprint for stage in plan.stages if stage.kind == "select"]
    found = [event for event in map(reader.history().selected.get, stages) if event is not None]
    return max(found, key=lambda event: event.n or 0).arm if found else None


def _rivals(reader: Reader, own: Side, other: Side, n: int, split: str, metric: Metric) -> dict[str, ArmRuns]:
    """Every other arm of the plan that has complete results on the same items."""
    rivals = {}
    for arm in own[0].arms:
        if arm.name == other[1]:
            rivals[arm.name] = other[2]
        elif arm.name != own[1]:
            with suppress(StoreError):
                found = arm_runs(reader, own[0], arm.name, n, split, metric)
                if found.rows.tolist() == own[2].rows.tolist():
                    rivals[arm.name] = found
    return rivals


def swapped(found: Comparison) -> Comparison:
    """The same comparison from the other side."""
    verdict: dict[Judged, Judged] = {"better": "worse", "worse": "better", "cannot tell": "cannot tell"}
    return replace(
        found, difference=-found.difference, low=-found.high, high=-found.low, raw_low=-found.raw_high,
        raw_high=-found.raw_low, verdict=verdict[found.verdict],
    )  # fmt: skip


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
        remedy, near = f"its arms are {', '.join(arms)}", get_close_matches(arm, arms, 1)
        found = Diagnostic(code="E-not-found", message=message, nearest=near[0] if near else None, remedy=remedy)
        raise StoreError(found, exit_status=7)
    return plan, arm
