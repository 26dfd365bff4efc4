"""Augment stages while a plan is applied: which are due, what the student knows unasked, what a closed gate drops."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from fewtune.compiler.arm import Augmented
from fewtune.compiler.diff import is_dropped
from fewtune.compiler.plan import Plan, Stage
from fewtune.runtime.executor import Executor, Finished
from fewtune.runtime.families import JobMaker
from fewtune.runtime.job import Batch, Corpus, RowRef, Scored
from fewtune.store import event as happened

GATE = "writer-leads"


@dataclass
class Augmenting:
    """The augment stages of one plan."""

    plan: Plan
    maker: JobMaker
    corpus: Corpus
    students: dict[str, float] = field(default_factory=dict)
    """Stage -> share of its seeds that the student labels rightly unasked."""
    failed: set[str] = field(default_factory=set)
    """Stages whose teacher could not be asked."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All of them."""
        return tuple(stage for stage in self.plan.stages if stage.kind == "augment")

    def due(
        self, done: Mapping[str, bool], kept: Mapping[str, tuple[str, ...]], refits: Collection[str] = ()
    ) -> Iterator[Stage]:
        """What is not made and still needed, by trials or by these refits."""
        needed = {
            need for stage in self.plan.stages
            if (stage.kind in ("train", "evaluate") or stage.id in refits)
            and not done[stage.id] and not is_dropped(stage, self.plan, kept)
            for need in stage.needs
        }  # fmt: skip
        for stage in self.stages:
            if not done[stage.id] and stage.id not in self.failed and stage.id in needed:
                yield stage

    def amounts(self, stage: Stage) -> Augmented:
        """Source and amounts of a stage."""
        arm = next(self.plan.arm(other.arm or "") for other in self.plan.stages if stage.id in other.needs)
        assert arm.augmentation is not None
        return arm.augmentation

    def ask_student(self, due: Collection[Stage], executor: Executor) -> None:
        """What the untrained model labels rightly among the seeds of stages with a gate; at least the majority's share.

        Asked before anything else, while all workers are idle.
        """
        gates = {gate.stage for gate in self.plan.gates if gate.kind == GATE}
        stages = {stage.id: stage for stage in due if stage.id in gates}
        for stage in stages.values():
            labels = [row.label for row in self.corpus.rows(self._rows(stage))]
            self.students[stage.id] = max(labels.count(label) for label in set(labels)) / len(labels)
        jobs = tuple(job for stage in stages.values() if (job := self.maker.asks(stage)) is not None)
        if not jobs:
            return
        executor.submit(executor.idle()[0], Batch(jobs, (None,) * len(jobs)))
        left = len(jobs)
        while left:
            for outcome in executor.wait(1.0, lambda progress: None):
                if not isinstance(outcome, Finished):
                    return  # its worker died: the majority's share is what is left to compare with
                left -= 1
                self._note(stages, outcome)

    def _note(self, stages: Mapping[str, Stage], outcome: Finished) -> None:
        for found in outcome.answer.outcomes:
            if isinstance(found, Scored):
                labels = [row.label for row in self.corpus.rows(self._rows(stages[found.stage]))]
                right = sum(a == b for a, b in zip(labels, found.predicted, strict=True)) / len(labels)
                self.students[found.stage] = max(self.students[found.stage], right)

    def _rows(self, stage: Stage) -> RowRef:
        return RowRef(split="train", rows=self.maker.samples[stage.sample or ""].train)

    def decided(self, stage: Stage, made: happened.Augmented, run: str) -> happened.Selected | None:
        """Which arms go on after a gate: those with its examples, or where it stays closed their twins."""
        gate = next((gate for gate in self.plan.gates if gate.stage == stage.id and gate.kind == GATE), None)
        if gate is None:
            return None
        twins = tuple(arm.augmentation.twin for name in gate.arms if (arm := self.plan.arm(name)).augmentation)
        scores = (
            happened.ArmScore(arm="the teacher", value=made.teacher_accuracy),
            happened.ArmScore(arm="the student unasked", value=made.student_accuracy),
        )
        kept = gate.arms if made.opened else twins
        return happened.Selected(
            run=run, fingerprint=stage.fingerprint, arm=kept[0], gate=GATE, kept=kept, metric="accuracy", n=made.n,
            scores=scores,
        )  # fmt: skip
