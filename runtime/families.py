"""A plan's stages as jobs for workers: one fit with all that is scored from it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from fewtune.compiler.arm import Arm, Recipe
from fewtune.compiler.facts import DataFacts
from fewtune.compiler.fingerprint import fingerprint
from fewtune.compiler.identity import init_seed, order_seed
from fewtune.compiler.plan import CV, Compiled, Plan, Sample, Stage
from fewtune.compiler.refit import refit_recipe
from fewtune.compiler.sample import pretrained_on, transferred
from fewtune.runtime.job import Fit, Job, Row, RowRef, Score


@dataclass(frozen=True)
class Family:
    """A fit (or none) and the evaluations that need its state."""

    id: str
    arm: Arm
    fit: Stage | None
    scores: tuple[Stage, ...]

    @property
    def trial(self) -> str | None:
        """The trial that the family belongs to; None: a refit."""
        return self.fit.trial if self.fit else self.scores[0].trial


def families(plan: Plan) -> dict[str, Family]:
    """All families of a plan, in its order: train and refit stages, and evaluations without a fit."""
    arms = {arm.name: arm for arm in plan.arms}
    members: dict[str, list[Stage]] = {}
    for stage in plan.stages:
        if stage.kind in ("train", "refit"):
            members.setdefault(stage.id, [])
        elif stage.kind == "evaluate":
            fits = [need for need in stage.needs if need.startswith("train/")]
            members.setdefault(fits[0] if fits else f"prompt/{stage.trial}", []).append(stage)
    return {
        name: Family(
            name, arms[(plan.stage_index.get(name) or scores[0]).arm or ""], plan.stage_index.get(name), tuple(scores)
        )
        for name, scores in members.items()
    }


@dataclass(frozen=True)
class JobMaker:
    """Turns families into jobs; knows which rows each stage means."""

    compiled: Compiled
    data: DataFacts
    added: dict[str, tuple[Row, ...]] = field(default_factory=dict)
    """Augment stage -> its synthetic rows."""

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.compiled.plan

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """Sample id -> rows."""
        return {sample.id: sample for sample in self.compiled.samples}

    def job(
        self, family: Family, scores: Iterable[Stage], *, fit: bool, micro_batch: int | None, attempt: int,
        threads: int | None = None,
    ) -> Job:  # fmt: skip
        """One job of a family.

        Args:
            family: whose stages.
            scores: the evaluations to do now.
            fit: whether to fit; otherwise the state is given.
            micro_batch: a smaller one than the plan's, after running out of memory.
            attempt: counted from 1.
            threads: how many it may use; None: as many as its worker has.
        """
        recipe = self._recipe(family, micro_batch)
        verbalizer = self.plan.verbalizer
        return Job(
            id=family.id,
            arm=family.arm,
            recipe=recipe,
            words=verbalizer.words if verbalizer else {},
            tokens=verbalizer.tokens if verbalizer else {},
            metric=self.plan.metric,
            compares=self.plan.experiment.task.prefers,
            fit=self._fit(family.fit) if fit and family.fit else None,
            scores=tuple(self._score(stage) for stage in scores),
            attempt=attempt,
            threads=threads,
        )

    def _recipe(self, family: Family, micro_batch: int | None) -> Recipe:
        trial = self.plan.trial_index.get(family.trial or "")
        recipe = family.arm.recipe(trial.n if trial and trial.n else self.plan.final_n)
        if family.fit is not None and family.fit.kind == "refit":
            recipe = refit_recipe(recipe)
        return recipe if micro_batch is None else recipe.model_copy(update={"micro_batch": micro_batch})

    def _fit(self, stage: Stage) -> Fit:
        sample = self.samples[stage.sample or ""]
        trial = self.plan.trial_index.get(stage.trial or "")
        model_seed = (trial.model_seed if trial else 0) or 0
        recipe = self.plan.arm(stage.arm or "").recipe(trial.n if trial else self.plan.final_n)
        transfer = transferred(self.data, recipe.transfer, sample.data_seed)
        texts = pretrained_on(self.data, recipe)
        return Fit(
            stage=stage.id,
            fingerprint=stage.fingerprint,
            train=RowRef(split="train", rows=sample.train, flipped=sample.flipped, added=self._added(stage)),
            validation=self._validation(sample) if sample.validation and stage.kind == "train" else None,
            init_seed=init_seed(sample.data_seed, model_seed),
            order_seed=order_seed(sample.data_seed, model_seed),
            transfer=RowRef(split="unlabelled", rows=transfer) if transfer else None,
            pretraining=tuple(RowRef(split=name, rows=rows) for name, rows in texts.items()),
            general=not self.plan.is_part(stage) and stage.fold in (None, 0),
        )

    def _added(self, stage: Stage) -> tuple[Row, ...]:
        """The synthetic rows that a fit needs."""
        return tuple(row for need in stage.needs if need.startswith("augment/") and self.plan.arm(stage.arm or "")
                     .augmentation for row in self.added[need])  # fmt: skip

    def asks(self, stage: Stage) -> Job | None:
        """The untrained model on the seeds of an augment stage; None where it is no arm."""
        arm = next((arm for arm in self.plan.arms if arm.method == "zero-shot"), None)
        if arm is None:
            return None
        rows = RowRef(split="train", rows=self.samples[stage.sample or ""].train)
        score = Score(stage=stage.id, fingerprint=stage.fingerprint, split="seeds", rows=rows)
        verbalizer = self.plan.verbalizer
        return Job(
            id=f"prompt/{stage.id}", arm=arm, recipe=arm.recipe(self.plan.final_n),
            words=verbalizer.words if verbalizer else {}, tokens=verbalizer.tokens if verbalizer else {},
            metric=self.plan.metric, fit=None, scores=(score,),
        )  # fmt: skip

    def _validation(self, sample: Sample) -> RowRef:
        split = "validation" if "validation" in self.data.splits else "train"
        return RowRef(split=split, rows=sample.validation)

    def _score(self, stage: Stage) -> Score:
        return Score(stage=stage.id, fingerprint=stage.fingerprint, split=stage.split or "", rows=self.rows(stage))

    def rows(self, stage: Stage) -> RowRef:
        """The rows that an evaluate stage scores."""
        if stage.split == "validation":
            return self._validation(self.samples[stage.sample or ""])
        if stage.split == CV:
            scored = self.samples[stage.sample].scored if stage.sample else None
            return RowRef(split="train", rows=scored if scored is not None else self._pool)
        return RowRef(split=stage.split or "", rows=tuple(range(len(self.data.splits[stage.split or ""]))))

    @cached_property
    def _pool(self) -> tuple[int, ...]:
        """Every row that cross-validation scores."""
        rows = {row for sample in self.compiled.samples for row in sample.scored or ()}
        return tuple(sorted(rows))

    def content(self, rows: RowRef) -> str:
        """Digest of the rows' texts and labels."""
        split = self.data.splits[rows.split]
        return fingerprint("rows", [split.row_key(row, self.data.labels) for row in rows.rows])


def pending(family: Family, done: Mapping[str, bool]) -> tuple[Stage, ...]:
    """The family's evaluations that are still to be done and wait for nothing but its own fit."""
    own = family.fit.id if family.fit else ""
    return tuple(
        stage
        for stage in family.scores
        if not done.get(stage.id) and all(need == own or done.get(need, False) for need in stage.needs)
    )
