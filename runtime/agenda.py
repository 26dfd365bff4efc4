"""What an apply has still to do: what is done, dropped or given up, and so which jobs are wanted and which are ready.

It starts nothing and records nothing.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from fewtune.compiler.diff import Changes, diff, is_dropped
from fewtune.compiler.plan import Gate, Plan, Stage
from fewtune.runtime.batches import Work
from fewtune.runtime.families import Family, families, pending
from fewtune.runtime.trouble import Trouble
from fewtune.store.history import History
from fewtune.store.known import Known


@dataclass
class Agenda:
    """The stages of one plan, while it is applied."""

    plan: Plan
    known: Known
    """What was there before."""
    history: History
    """What is there by now; only read."""
    done: dict[str, bool] = field(default_factory=dict)
    """Stage -> whether nothing is left to do for it."""
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Halvings that are decided, by fingerprint -> the arms that go on."""
    troubles: defaultdict[str, Trouble] = field(default_factory=lambda: defaultdict(Trouble))
    """Family -> what went wrong with it."""
    dropped_jobs: int = 0
    """Jobs that halvings and closed gates took off since the beginning."""

    def __post_init__(self) -> None:
        """Note what is known."""
        self.families = families(self.plan)
        self.gates = {gate.stage: gate for gate in self.plan.gates}
        tables: dict[str, Collection[str]] = {
            "train": self.known.fitted, "refit": self.known.fitted, "evaluate": self.known.evaluated,
            "select": self.known.selected, "halve": self.known.kept, "augment": self.known.augmented,
        }  # fmt: skip
        for stage in self.plan.stages:
            self.done[stage.id] = stage.kind == "sample" or stage.fingerprint in tables[stage.kind]
        for stage in self.decisions:
            needs = (self.plan.stage_index[need] for need in stage.needs)
            if not all(self.done[need.id] or is_dropped(need, self.plan, self.kept) for need in needs):
                self.done[stage.id] = False  # decided while an arm had failed: once its scores are there, again
            elif stage.fingerprint in self.known.kept:
                self.kept[stage.fingerprint] = self.known.kept[stage.fingerprint]
        for stage in self.plan.stages:
            if stage.kind == "augment" and self.done[stage.id] and stage.fingerprint in self.known.kept:
                self.kept[stage.fingerprint] = self.known.kept[stage.fingerprint]
        self.drop()

    def changes(self) -> Changes:
        """What was missing at the beginning."""
        return diff(self.plan, self.known.work(self.plan))

    @property
    def decisions(self) -> Iterator[Stage]:
        """What is decided while the plan is applied: halvings in their order, then the choice."""
        stages = (self.plan.stage_index[gate.stage] for gate in self.plan.gates)
        return (stage for stage in stages if stage.kind in ("halve", "select"))

    def decidable(self) -> Iterator[tuple[Stage, Gate]]:
        """Decisions for which all that they compare is there, or has failed."""
        for stage in self.decisions:
            if not self.done[stage.id] and all(map(self._settled, stage.needs)):
                yield stage, self.gates[stage.id]

    # What happened.

    def mark(self, fingerprint: str) -> None:
        """All stages of this name are done: the training on all labels may be one of the trials."""
        self.done.update({stage.id: True for stage in self.plan.stages if stage.fingerprint == fingerprint})

    def keep(self, stage: Stage, arms: tuple[str, ...]) -> None:
        """A halving or a gate lets only these arms go on."""
        before = self._left()
        self.kept[stage.fingerprint] = arms
        self.drop()
        self.dropped_jobs += before - self._left()

    def drop(self) -> set[str]:
        """Nothing is left to do for the trials that halvings dropped; returns their arms."""
        stages = [stage for stage in self.plan.stages if is_dropped(stage, self.plan, self.kept)]
        self.done.update({stage.id: True for stage in stages})
        return {stage.arm for stage in stages if stage.arm}

    def give_up(self, stage: Stage) -> None:
        """Without this stage, the fits that need it cannot be."""
        for family in self.families.values():
            if family.fit is not None and stage.id in family.fit.needs:
                self.troubles[family.id].given_up = True

    # What is to be done.

    def wanted(self, family: Family) -> bool:
        """Whether anything of the family is missing, now or once a gate opens."""
        if family.fit is not None and family.fit.kind == "refit":
            return self._is_open(family) and not self.done[family.id]
        return not all(self.done[stage.id] for stage in family.scores)

    def unfinished(self) -> list[str]:
        """Families of which something is missing."""
        return [family.id for family in self.families.values() if self.wanted(family)]

    def refits(self) -> list[str]:
        """Trainings on all labels that are wanted."""
        return [family.id for family in self.families.values() if family.trial is None and self.wanted(family)]

    def ready(self, busy: Collection[str]) -> Iterator[Work]:
        """(family, evaluations, whether to fit) of everything that could run now, in the plan's order.

        Args:
            busy: families that are at work.
        """
        for family in self.families.values():
            if family.id in busy or self.troubles[family.id].given_up:
                continue
            if family.fit is not None and family.fit.kind == "refit":
                there = all(self.done[need] for need in family.fit.needs)
                if there and self.wanted(family) and not self._comes_otherwise(family):
                    yield family, (), True
                continue
            scores = pending(family, self.done)
            if scores:
                yield family, scores, family.fit is not None and not self._is_kept(family.fit)

    def jobs(self) -> int:
        """Jobs that are missing: a fit that is named twice is one, and one candidate will be trained on all labels."""
        refits = [family for family in self.families.values() if family.fit and family.fit.kind == "refit"]
        wanted = [family for family in self.families.values() if self.wanted(family) and family not in refits]
        trained = {family.fit.fingerprint for family in wanted if family.fit}
        decided = self.plan.stage_index["select"].fingerprint in self.history.selected
        final = [family.fit for family in refits if family.fit and (not decided or self._is_open(family))]
        return sum(map(self._rounds, wanted)) + any(
            not self.done[fit.id] and fit.fingerprint not in trained for fit in final[:1]
        )

    def _left(self) -> int:
        return sum(map(self._rounds, self.families.values()))

    def _rounds(self, family: Family) -> int:
        """How many jobs a family still takes: what waits for the choice comes after the rest."""
        if family.fit is not None and family.fit.kind == "refit":
            return int(self.wanted(family))
        chosen = self.done["select"]
        return len({not chosen and "select" in stage.needs for stage in family.scores if not self.done[stage.id]})

    def _settled(self, stage: str) -> bool:
        if self.done[stage]:
            return True
        own = self.plan.stage_index[stage]
        return any(self.troubles[family.id].given_up for family in self.families.values() if own in family.scores)

    def _is_open(self, family: Family) -> bool:
        """Whether the family's gate, if it has one, lets it run."""
        gate = self.gates.get(family.id)
        if gate is None or gate.kind != "is-chosen":
            return True
        select = self.plan.stage_index["select"]
        selected = self.history.selected.get(select.fingerprint)
        chosen = selected is not None and self.done[select.id] and selected.arm in gate.arms
        return chosen and family.arm.seeded

    def _is_kept(self, fit: Stage) -> bool:
        """Whether a fitted state is there."""
        return self.done[fit.id] and not self.plan.is_part(fit)

    def _comes_otherwise(self, refit: Family) -> bool:
        """Whether a trial is the same training, and is still to come or at work."""
        return any(
            refit.fit and other.fit and other.id != refit.id and other.fit.fingerprint == refit.fit.fingerprint
            and self.wanted(other) and not self.troubles[other.id].given_up
            for other in self.families.values()
        )  # fmt: skip
