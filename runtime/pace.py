"""How long work takes: what the plan predicts, corrected by what its work took so far."""

from collections.abc import Iterable
from dataclasses import dataclass

from fewtune.compiler.cost import FINISH, START
from fewtune.compiler.diff import Changes, KnownWork, diff
from fewtune.compiler.plan import Compiled
from fewtune.runtime.batches import Work
from fewtune.runtime.job import Answer

TELLING = 2.0
"""Predicted seconds from which a job says something about the pace."""


@dataclass
class Pace:
    """Predicted and real seconds of one run."""

    compiled: Compiled
    workers: int
    sharing: bool
    """Whether the workers share one processor: jobs side by side take longer each."""
    predicted_done: float = 0.0
    """Predicted seconds of the jobs that are over, the tiny ones left out."""
    taken: float = 0.0
    """Seconds that the work in these jobs really took, imports and loading apart."""

    def whole(self, missing: Changes, engine: str) -> float:
        """Predicted seconds of a run that does what is missing, start and end of the engine with it.

        Where nothing is known yet, those of the plan.
        """
        if len(missing.stages) == len(diff(self.compiled.plan, KnownWork()).stages):
            return self.compiled.estimate.seconds.mid
        seconds = sum(self.compiled.estimate.stage_seconds.get(stage, 0.0) for stage in missing.stages)
        return START[engine] + (seconds if self.sharing else seconds / self.workers) + FINISH

    def predicted(self, work: Work) -> float:
        """Predicted seconds of a job."""
        family, scores, fit = work
        stages = [stage.id for stage in scores] + ([family.id] if fit else [])
        return sum(self.compiled.estimate.stage_seconds.get(stage, 0.0) for stage in stages)

    def keep(self, work: Work, answer: Answer) -> None:
        """Take in what a job took, where that says something."""
        predicted = self.predicted(work)
        if predicted > TELLING:
            self.predicted_done += predicted
            self.taken += sum(outcome.seconds for outcome in answer.outcomes)

    def left(self, coming: Iterable[Work]) -> float:
        """Seconds until all of these are over, at the pace so far."""
        seconds = sum(map(self.predicted, coming)) / max(1, self.workers)
        alike = self.workers if self.sharing else 1.0
        return seconds * (self.taken / self.predicted_done if self.predicted_done else alike)
