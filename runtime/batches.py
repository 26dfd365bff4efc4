"""Which jobs a worker gets together: trainings that share their steps, probes that share what they read."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

from fewtune.compiler.arm import PROBES
from fewtune.compiler.packing import key
from fewtune.compiler.plan import Compiled, Stage
from fewtune.runtime.families import Family

Work = tuple[Family, tuple[Stage, ...], bool]
"""(family, its evaluations to be done, whether to fit)"""


@dataclass(frozen=True)
class Batches:
    """Puts ready work together as the plan says."""

    compiled: Compiled
    slots: int | None = None
    """Trainings that share a step, in place of the plan's number, as far as memory goes."""

    def first(self, ready: Sequence[Work], alone: Collection[str], *, workers: int) -> tuple[list[Work], int]:
        """The work to hand out next, and how many trainings share a step.

        Args:
            ready: in the order of its importance; not empty.
            alone: families that go by themselves.
            workers: of the run, busy ones among them: each takes its share of what can be shared, so that all end
                at about the same time.
        """
        head = ready[0]
        common = self._common(head)
        if common is None or head[0].id in alone:
            return [head], 1
        same = [work for work in ready if self._common(work) == common and work[0].id not in alone]
        if head[0].arm.formulation in PROBES:
            return same, 1
        mine = same[:: max(1, workers)]  # every second of two workers' work: both get long and short ones
        return mine, min(len(mine), self._slots(head[0]))

    def _common(self, work: Work) -> Hashable:
        """What work must agree on to be done together; None: it is done alone."""
        family, _, fit = work
        if family.arm.formulation in PROBES:
            return family.arm.formulation
        return key(family.arm) if fit and self._slots(family) > 1 else None

    def _slots(self, family: Family) -> int:
        if key(family.arm) is None:
            return 1
        group = next((group for group in self.compiled.estimate.packing if family.arm.name in group.arms), None)
        if group is None:
            return 1
        return group.slots if self.slots is None else min(self.slots, group.fitting)
