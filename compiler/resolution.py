"""What rules and pins settled: the situation, arms with the choices behind their values, and what a limit cut."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fewtune.compiler.arm import PROBES, PROMPTED, Arm
from fewtune.compiler.halving import Rung, rungs
from fewtune.compiler.notes import Noted
from fewtune.compiler.situation import ArmIdea, Situation
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.methods import MethodName


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """What a limit took away; empty: nothing."""

    methods: frozenset[MethodName] = frozenset()
    """Methods whose arms by the rules are left out."""
    data_seeds: int | None = None
    """The largest number of data seeds."""
    steps: int | None = None
    """The largest number of steps that a rule may choose."""
    levels: int | None = None
    """How many points of the learning curve stay, the largest n first."""
    choosing: int | None = None
    """The largest number of samples whose parts choose the arm by a rule; 0: none."""


@dataclass(frozen=True, kw_only=True)
class ResolvedArm:
    """An arm with the choices behind its values."""

    arm: Arm
    idea: ArmIdea
    trainable: int
    """Moving parameters."""
    noted: tuple[Noted, ...]


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """Everything that rules and pins settled."""

    situation: Situation
    arms: tuple[ResolvedArm, ...]
    augmentation: dict[str, float] | None
    """Source -> synthetic examples for each labelled one at the largest data size; None: there are none."""
    noted: tuple[Noted, ...]
    warnings: tuple[Diagnostic, ...]
    cuts: Cuts
    """What was taken away when it was settled."""

    @cached_property
    def candidates(self) -> tuple[Arm, ...]:
        """The arms that are compared, in the rules' order; all others are what they are measured by."""
        return self._preferred_first([resolved.arm for resolved in self.arms if resolved.arm.role == "candidate"])

    def _preferred_first(self, arms: Sequence[Arm]) -> tuple[Arm, ...]:
        return tuple(sorted(arms, key=lambda arm: arm.method != self.situation.preferred))

    @cached_property
    def choosable(self) -> tuple[Arm, ...]:
        """The arms that may be chosen, in the rules' order: trained ones; where scores choose, all model arms.

        What adopted evidence prefers stands first, trained or not. Where validation rows are held from training, an arm
        with synthetic examples may be chosen as the arm without, which comes before it.
        """
        arms = tuple(resolved.arm for resolved in self.arms if not resolved.arm.conditioned)
        prompted = tuple(arm for arm in arms if not arm.trained and arm.formulation in PROMPTED)[::-1]
        frozen = tuple(arm for arm in arms if arm.formulation in (*PROBES, "tfidf", "lead", "unigram"))[::-1]
        chosen_by, best = self.situation.choosing, tuple(a for a in arms if a.method == self.situation.preferred)
        if self.situation.validated or (chosen_by is not None and chosen_by.trained == "all"):
            found = self.candidates + prompted + frozen
        elif chosen_by is not None:
            found = self.candidates[:1] + prompted + frozen
        else:
            found = best[:1] + self.candidates if self.candidates else frozen or prompted
        plain = tuple(dict.fromkeys(found)) or arms
        names = {arm.name for arm in plain} if self.situation.validated else set()
        twins = tuple(one.arm for one in self.arms if one.arm.augmentation and one.arm.augmentation.twin in names)
        return self._preferred_first(plain + twins)

    @cached_property
    def rungs(self) -> tuple[Rung, ...]:
        """Where candidates are dropped; nowhere unless the spec asks for it and validation rows can decide."""
        s = self.situation
        factor = s.experiment.evaluation.halving
        if factor is None or not s.levels[-1].validation:
            return ()
        return rungs(len(self.candidates), s.data_seeds, factor)
