"""Synthetic examples for a run: each augment stage as a recorded attempt, its rows handed to the fits."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fewtune.compiler.facts import DataFacts
from fewtune.compiler.plan import Plan, Stage
from fewtune.runtime.augment.stage import AugmentMaker, Made, rows_of
from fewtune.runtime.augmenting import Augmenting
from fewtune.runtime.families import JobMaker
from fewtune.runtime.job import Corpus
from fewtune.runtime.probe.rows import data_path
from fewtune.specs.diagnostic import RunError
from fewtune.store import event as happened
from fewtune.store.writer import Store

CEILING = "E-ceiling"


@dataclass(frozen=True)
class Supply:
    """Makes the synthetic examples of one run."""

    plan: Plan
    data: DataFacts
    corpus: Corpus
    maker: JobMaker
    augmenting: Augmenting
    store: Store
    base: Path
    """The spec's folder."""
    device: str
    """Where a teacher of this machine and the encoder compute."""
    say: Callable[[str], None]
    watch: Callable[[], None]
    """Raises RunError E-ceiling where the run has taken more than it may; asked between the batches of a teacher."""

    @cached_property
    def stages(self) -> AugmentMaker:
        """What does the work."""
        asked = self.plan.experiment.augmentation
        named = asked.teacher.recording if asked and asked.teacher else None
        return AugmentMaker(
            self.plan, self.data, self.corpus, self.maker.samples, self.store.workspace.root,
            data_path(named, self.base) if named else None, self.device, self.say, self.watch,
        )  # fmt: skip

    @property
    def holds_teacher(self) -> bool:
        """Whether a teacher of this machine is in memory."""
        return bool(self.stages.loaded)

    def release_teacher(self) -> None:
        """Free its memory for what is trained."""
        self.stages.loaded.release()

    def restore(self, stage: Stage) -> tuple[str, ...] | None:
        """Hand a stage's rows to the fits; the arms that go on after its gate, None where there is none."""
        event = self.store.history.augmented[stage.fingerprint]
        self.maker.added[stage.id] = rows_of(self.store.read(event.artefact))
        return self.store.history.kept.get(stage.fingerprint)

    def make(self, stage: Stage, run: str) -> bool:
        """Make and record a stage's examples; without them nothing can be fitted that needs them, all else goes on.

        Raises:
            RunError: E-ceiling. What the teacher answered is recorded.
        """
        attempt, began = self._started(stage, run), time.monotonic()
        try:
            made = self.stages.run(
                stage, self.augmenting.amounts(stage), attempt, self.augmenting.students.get(stage.id)
            )
        except RunError as error:
            self._failed(stage, attempt, str(error), time.monotonic() - began)
            if any(found.code == CEILING for found in error.diagnostics):
                raise
            return False
        ended = happened.AttemptEnded(attempt=attempt, state="succeeded", message="", seconds=time.monotonic() - began)
        selected = self.augmenting.decided(stage, made.event, run)
        self.store.record(made.event, *([selected] if selected else []), ended, artefacts=[made.artefact])
        self.say(_told(stage, made))
        return True

    def _started(self, stage: Stage, run: str) -> str:
        """Name the attempt and record its beginning."""
        (attempt,) = self.store.attempt_names(1)
        self.store.record(
            happened.AttemptStarted(
                attempt=attempt, run=run, job=stage.id, trial=None, stages=(stage.id,),
                fingerprints=(stage.fingerprint,), worker="supervisor",
                arm=next(other.arm or "" for other in self.plan.stages if stage.id in other.needs),
            )
        )  # fmt: skip
        return attempt

    def _failed(self, stage: Stage, attempt: str, message: str, seconds: float) -> None:
        ended = happened.AttemptEnded(
            attempt=attempt, state="failed", failure="error", message=message, seconds=seconds
        )
        self.store.record(ended)
        self.augmenting.failed.add(stage.id)
        self.say(f"{stage.id}: {message}")


def _told(stage: Stage, made: Made) -> str:
    """What a stage brought, as a line."""
    kept = f"{made.event.kept} of {made.event.written} synthetic examples stay" if made.event.opened else "dropped"
    return "; ".join(part for part in (f"{stage.id}: {kept}", made.event.note) if part)
