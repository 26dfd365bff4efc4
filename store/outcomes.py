"""What a run came to: the arm that it chose, with its score and interval."""

from contextlib import suppress
from dataclasses import dataclass

from fewtune.compiler.plan import CV, Plan
from fewtune.specs.diagnostic import StoreError
from fewtune.store.reader import Reader


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The chosen arm's standing on the main split at the largest data size, by the plan's metric."""

    arm: str
    metric: str
    split: str
    n: int
    mean: float
    low: float
    high: float
    level: float
    seeds: int
    items: int

    @property
    def sentence(self) -> str:
        """For a reader."""
        where = "by cross-validation" if self.split == CV else f"on {self.split}"
        return (
            f"{self.arm} was chosen and reached {self.mean:.2f} [{self.low:.2f}, {self.high:.2f}] {self.metric} "
            f"{where} at n = {self.n}"
        )


def outcome(reader: Reader, run: str, plan: Plan) -> Outcome | None:
    """The outcome of a run, from its predictions; None where the chosen arm has no result yet.

    Unlike the leaderboard it is there for every run, and not only for the latest of each experiment.
    """
    from fewtune.store.statistics import score_interval  # scipy takes 0.2 s to import
    from fewtune.store.trial_predictions import arm_runs

    chosen = reader.selection_of(run)
    split = "test" if "test" in plan.facts.rows else CV
    with suppress(StoreError):
        if chosen is None:
            return None
        found = arm_runs(reader, plan, chosen.arm, plan.final_n, split, plan.metric)
        level, seeds = plan.experiment.evaluation.confidence, found.runs.data_seeds
        if found.labels.size < 2:
            return None
        interval = score_interval(plan.metric, found.labels, found.runs.predicted, seeds, level)
        return Outcome(
            arm=chosen.arm, metric=plan.metric, split=split, n=plan.final_n, mean=interval.mean, low=interval.low,
            high=interval.high, level=level, seeds=interval.seeds, items=interval.items,
        )  # fmt: skip
    return None
