"""The stages of a plan that make synthetic examples: one for each sample and source, shared by the arms.

With a teacher each has a gate, unless the spec leaves it open.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fewtune.compiler.arm import Arm
from fewtune.compiler.augmenting import augment_fingerprint, gated
from fewtune.compiler.plan import Gate, Level, Sample, Stage
from fewtune.compiler.situation import Situation

BECAUSE = "only if the teacher labels the sample's texts better than the student unasked"


@dataclass
class AugmentStages:
    """Those of one plan, as its arms ask for them."""

    situation: Situation
    known: dict[str, Stage] = field(default_factory=dict)
    """Id -> the stage."""

    def of(
        self, arm: Arm, level: Level, drawn: Sequence[Sample], held: Mapping[str, Sequence[tuple[str, str]]]
    ) -> tuple[dict[str, Stage], list[Stage]]:
        """(sample -> the stage that makes its synthetic examples, those of them that no other arm has asked for).

        Args:
            arm: that learns from them, or not.
            level: its data size.
            drawn: the samples.
            held: sample -> (split, hash of its rows) of what may not be in its synthetic data.
        """
        found: dict[str, Stage] = {}
        new: list[Stage] = []
        for sample in drawn if arm.augmentation else ():
            assert arm.augmentation is not None
            name = _name(arm.augmentation.source, sample)
            if name not in self.known:
                print_ = augment_fingerprint(self.situation, arm.augmentation, level, sample, held[sample.id])
                self.known[name] = Stage(
                    id=name, kind="augment", fingerprint=print_, needs=(f"sample/{sample.id}",), sample=sample.id,
                    fold=sample.fold,
                )  # fmt: skip
                new.append(self.known[name])
            found[sample.id] = self.known[name]
        return found, new

    def made(self, arm: Arm, sample: Sample) -> Stage | None:
        """The stage that makes an arm's synthetic examples for a sample that it was asked for; None: it takes none."""
        return self.known[_name(arm.augmentation.source, sample)] if arm.augmentation else None

    def gate(self, arm: Arm, made: Mapping[str, Stage]) -> str | None:
        """The stage whose gate a trial with these stages waits for."""
        taught = arm.augmentation is not None and arm.augmentation.source == "teacher"
        return next((stage.id for stage in made.values()), None) if taught and gated(self.situation) else None

    def gates(self, stages: Sequence[Stage]) -> Iterator[Gate]:
        """Stages with a teacher, each with the gate that drops its arms.

        Args:
            stages: of the whole plan.
        """
        for name in self.known if gated(self.situation) else ():
            if name.startswith("augment/teacher/"):
                arms = dict.fromkeys(stage.arm for stage in stages if name in stage.needs and stage.arm is not None)
                yield Gate(stage=name, kind="writer-leads", because=BECAUSE, metric="accuracy", arms=tuple(arms))


def _name(source: str, sample: Sample) -> str:
    return f"augment/{source}/{sample.id}"
