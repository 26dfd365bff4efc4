"""One augment stage of a plan: from a sample's rows to a synthetic data set, or to a gate that stays closed."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fewtune.compiler.arm import Augmented
from fewtune.compiler.augmenting import PER_CALL, PER_CALL_SMALL, task_description
from fewtune.compiler.facts import DataFacts
from fewtune.compiler.plan import Plan, Sample, Stage
from fewtune.runtime.augment.analysis import analyse
from fewtune.runtime.augment.example import Seed, joined
from fewtune.runtime.augment.labelling import teacher_accuracy
from fewtune.runtime.augment.ledger import Ledger
from fewtune.runtime.augment.prompting import Brief
from fewtune.runtime.augment.recording import Recording
from fewtune.runtime.augment.synthesis import Synthesis, Synthetic
from fewtune.runtime.augment.teacher import Prices, Teacher
from fewtune.runtime.augment.teachers import Loaded, TeacherRef, opened
from fewtune.runtime.augment.vectors import Encode, embedded_vectors
from fewtune.runtime.job import Corpus, Row
from fewtune.specs.augmentation import Augmentation
from fewtune.specs.augmentation import Teacher as TeacherSpec
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.store import event as happened
from fewtune.store.artefacts import Artefact
from fewtune.store.synthetic import SYNTHETIC

FOLDER = "teachers"
"""Of the workspace: the recorded calls of each teacher."""


@dataclass(frozen=True)
class Gated:
    """How well teacher and student know the task."""

    teacher: float | None
    """None: it was not asked, or the ceilings leave no room for it."""
    student: float | None
    """None: there is no gate."""

    @property
    def opened(self) -> bool:
        """Whether the teacher is better; one that cannot be asked is not believed."""
        return self.student is None or (self.teacher is not None and self.teacher > self.student)

    @property
    def because(self) -> str:
        """Why it stays closed."""
        if self.teacher is None:
            return "the ceiling of tokens or money leaves no room to ask the teacher for the seeds' labels"
        return f"the teacher labels {self.teacher:.0%} of the seeds rightly, the student unasked {self.student:.0%}"


@dataclass(frozen=True)
class Made:
    """What a stage left."""

    event: happened.Augmented
    artefact: Artefact


@dataclass(frozen=True)
class AugmentMaker:
    """Runs the augment stages of one plan."""

    plan: Plan
    data: DataFacts
    corpus: Corpus
    samples: Mapping[str, Sample]
    workspace: Path
    replayed: Path | None
    """The file of recorded calls that the spec names."""
    device: str = "cpu"
    say: Callable[[str], None] = lambda text: None
    watch: Callable[[], None] = lambda: None
    """Raises where the run has taken more than it may; asked between the batches of a teacher."""
    loaded: Loaded = field(default_factory=Loaded)
    """The teacher of this machine, while stages follow each other."""

    @property
    def asked(self) -> Augmentation:
        """What the spec says."""
        assert self.plan.experiment.augmentation is not None
        return self.plan.experiment.augmentation

    @cached_property
    def encode(self) -> Encode:
        """The sentence encoder; a part of every synthetic data set's name.

        Raises:
            RunError: E-facts-missing.
        """
        found = embedded_vectors(self.device)
        if found is None:
            message = "synthetic examples are compared by the embedded encoder, which is not there"
            raise RunError(Diagnostic(code="E-facts-missing", message=message, remedy="fewtune pull SPEC"))
        return found

    def seeds(self, stage: Stage) -> list[Seed]:
        """The sample's own rows."""
        rows = (self.corpus.splits["train"][row] for row in self.samples[stage.sample or ""].train)
        return [Seed(fields=row.fields, label=row.label) for row in rows]

    def held(self, sample: Sample) -> dict[str, list[str]]:
        """Evaluation split -> its texts."""
        splits = self.corpus.splits
        found = {split.name: [joined(row.fields) for row in splits[split.name]] for split in self.data.evaluated}
        if sample.validation:
            name = "validation" if "validation" in splits else "train"
            found["validation"] = [joined(splits[name][row].fields) for row in sample.validation]
        if sample.scored is not None:
            found["cv"] = [joined(splits["train"][row].fields) for row in sample.scored]
        return found

    def run(self, stage: Stage, made: Augmented, attempt: str, student: float | None) -> Made:
        """Make the stage's examples.

        Args:
            stage: of the plan.
            made: source and amounts.
            attempt: its name.
            student: share of the seeds that the student labels rightly unasked; None: not measured.

        Raises:
            RunError: E-teacher, E-not-recorded, E-recording, E-facts-missing.
        """
        began, sample = time.monotonic(), self.samples[stage.sample or ""]
        if made.source == "eda":
            gate, found = Gated(None, None), self._changed(stage, made, sample)
        else:
            gate, found = self._written(stage, made, sample, student)
        artefact = Artefact(fingerprint=stage.fingerprint, name=SYNTHETIC, content=found.model_dump_json().encode())
        event = happened.Augmented(
            fingerprint=stage.fingerprint, attempt=attempt, source=made.source,
            model=self.asked.teacher.model if self.asked.teacher and made.source == "teacher" else "",
            n=sample.n, data_seed=sample.data_seed, fold=sample.fold, seeds=len(sample.train),
            written=len(found.kept) + len(found.rejected), kept=len(found.kept), passed_share=found.share,
            stopped=found.stopped, calls=found.calls, tokens=found.tokens, cost=found.cost,
            teacher_accuracy=gate.teacher, student_accuracy=gate.student, opened=gate.opened,
            wrong_rate=found.wrong_rate, seconds=time.monotonic() - began, note=found.note, artefact=artefact.ref,
        )  # fmt: skip
        return Made(event, artefact)

    def _brief(self, sample: Sample) -> Brief:
        return Brief(
            labels=self.plan.labels, fields=self.data.fields, constraints=self.asked.domain_constraints,
            task=task_description(self.plan.experiment.task.question, self.asked),
            attributes=dict(self.asked.attributes), per_call=PER_CALL_SMALL if self._small else PER_CALL,
            seed=sample.data_seed * 1000 + (sample.fold or 0),
        )  # fmt: skip

    @property
    def _small(self) -> bool:
        """Whether the teacher is the embedded model."""
        return self.asked.teacher is not None and self.asked.teacher.is_embedded

    def _synthesis(self, made: Augmented, sample: Sample) -> Synthesis:
        return Synthesis(
            self._brief(sample), made.level(sample.n).target, self.asked.label_plan, self.asked.quality_threshold,
            self.asked.diversity_weight, self.asked.keep, self.encode, self.held(sample), self.say,
        )  # fmt: skip

    def _changed(self, stage: Stage, made: Augmented, sample: Sample) -> Synthetic:
        level = made.level(sample.n)
        return self._synthesis(made, sample).changed(self.seeds(stage), level.copies, level.alpha)

    def _written(self, stage: Stage, made: Augmented, sample: Sample, student: float | None) -> tuple[Gated, Synthetic]:
        seeds, synthesis = self.seeds(stage), self._synthesis(made, sample)
        teacher_of = self.asked.teacher
        assert teacher_of is not None
        recording = Recording(self.replayed or self.workspace / FOLDER / f"{_file(teacher_of.model)}.jsonl")
        try:
            prices = Prices(prompt=teacher_of.prompt_price, completion=teacher_of.completion_price)
            teacher = opened(_ref(teacher_of, prices), recording, device=self.device, say=self.say, loaded=self.loaded)
            level = made.level(sample.n)
            ledger = Ledger(level.max_tokens, level.max_cost, prices, watch=self.watch,
                            lost=lambda question: recording.lost_on(teacher_of.model, question))  # fmt: skip
            gate = self._gate(synthesis.brief, seeds, teacher, ledger, student)
            if gate.opened and level.target:
                return gate, synthesis.run(seeds, teacher, ledger)
            return gate, self._nothing(synthesis, seeds, gate, ledger, teacher)
        finally:
            recording.close()

    def _gate(self, brief: Brief, seeds: list[Seed], teacher: Teacher, ledger: Ledger, student: float | None) -> Gated:
        if student is None:
            return Gated(None, None)
        known = teacher_accuracy(brief, seeds, teacher, ledger)
        return Gated(known[0] if known else None, student)

    def _nothing(
        self, synthesis: Synthesis, seeds: list[Seed], gate: Gated, ledger: Ledger, teacher: Teacher
    ) -> Synthetic:
        why = "no examples are asked for at this size" if gate.opened else gate.because
        return Synthetic(
            kept=(), rejected=(), analysis=analyse(seeds, synthesis.brief.labels, self.encode), stopped="",
            calls=ledger.calls, tokens=ledger.tokens, cost=ledger.cost, share=0.0,
            note="; ".join(part for part in (why, ledger.note, teacher.note) if part),
        )  # fmt: skip


def rows_of(content: bytes) -> tuple[Row, ...]:
    """The examples of an artefact as rows that train."""
    found = Synthetic.model_validate_json(content)
    return tuple(Row(fields=one.candidate.fields, label=one.candidate.label) for one in found.kept)


def _file(model: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", model).strip("-.") or "teacher"


def _ref(teacher: TeacherSpec, prices: Prices) -> TeacherRef:
    return TeacherRef(
        model=teacher.model, base_url=teacher.base_url, key_variable=teacher.key_variable,
        concurrency=teacher.concurrency, per_minute=teacher.per_minute or 0.0, prices=prices,
        replay=teacher.recording is not None,
    )  # fmt: skip
