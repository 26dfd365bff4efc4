"""Resolved arms -> samples, trials, stages and gates, in a stable order, each named by what can change it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from fewtune.compiler.arm import Arm
from fewtune.compiler.augment_stages import AugmentStages
from fewtune.compiler.facts import Facts, SplitFacts
from fewtune.compiler.fingerprint import fingerprint
from fewtune.compiler.halving import Rung
from fewtune.compiler.identity import (
    fit_content,
    fit_fingerprint,
    model_content,
    score_fingerprint,
    slug,
    trial_fingerprint,
)
from fewtune.compiler.naming import free
from fewtune.compiler.noise import noisy
from fewtune.compiler.plan import CV, REFIT, VALIDATION, Gate, Level, Sample, Stage, Trial
from fewtune.compiler.refit import refit_recipe, refit_sample
from fewtune.compiler.resolution import Resolution
from fewtune.compiler.sample import draw, parts, transferred
from fewtune.specs.evaluation import Metric, metrics_of


@dataclass(frozen=True)
class Expanded:
    """The plan's graph."""

    samples: tuple[Sample, ...]
    trials: tuple[Trial, ...]
    stages: tuple[Stage, ...]
    gates: tuple[Gate, ...]


@dataclass
class Expansion:
    """Builds the graph of one resolution."""

    resolution: Resolution
    stages: list[Stage] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)

    @cached_property
    def augments(self) -> AugmentStages:
        """The stages that make synthetic examples."""
        return AugmentStages(self.resolution.situation)

    @property
    def facts(self) -> Facts:
        """The measured facts."""
        return self.resolution.situation.facts

    @cached_property
    def slugs(self) -> dict[str, str]:
        """Arm -> its part of ids, a different one for each."""
        found: dict[str, str] = {}
        for resolved in self.resolution.arms:
            name = slug(resolved.arm.name) or "arm"
            found[free(name, found, "-")] = resolved.arm.name
        return {name: part for part, name in found.items()}

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What every evaluation computes."""
        return metrics_of(self.resolution.situation.experiment.task.type)

    @cached_property
    def words(self) -> dict[str, str]:
        """Label -> word."""
        verbalizer = self.resolution.situation.verbalizer
        return verbalizer.words if verbalizer else {}

    @cached_property
    def samples(self) -> dict[tuple[int, int], list[Sample]]:
        """(n, data seed) -> the sample, or one for each fold."""
        s = self.resolution.situation
        drawn = [draw(s.facts.data, s.pool, s.levels, data_seed, s.folds) for data_seed in range(s.data_seeds)]
        return {
            (level.n, data_seed): drawn[data_seed][level.n] for level in s.levels for data_seed in range(s.data_seeds)
        }

    @cached_property
    def parts(self) -> dict[tuple[int, int], list[Sample]]:
        """(n, data seed) -> the parts that choose the arm, of the samples that are cut."""
        s, chosen_by = self.resolution.situation, self.resolution.situation.choosing
        if chosen_by is None:
            return {}
        keys = [(s.levels[-1].n, data_seed) for data_seed in range(chosen_by.seeds)]
        return {key: parts(s.facts.data, self.samples[key][0], chosen_by.folds) for key in keys}

    @cached_property
    def noisy(self) -> dict[tuple[int, int, float], list[Sample]]:
        """(n, data seed, share of turned labels) -> the same samples with noise."""
        s = self.resolution.situation
        return {
            (n, data_seed, share): [noisy(s.facts.data, sample, share) for sample in drawn]
            for share in s.experiment.data.noise_shares for (n, data_seed), drawn in self.samples.items()
        }  # fmt: skip

    def _drawn(self, arm: Arm, n: int, data_seed: int) -> list[Sample]:
        """What an arm's trial is fitted to."""
        return self.noisy[n, data_seed, arm.label_noise] if arm.label_noise else self.samples[n, data_seed]

    @cached_property
    def choosable(self) -> frozenset[str]:
        """Names of the arms that may be chosen."""
        return frozenset(arm.name for arm in self.resolution.choosable)

    @cached_property
    def all_samples(self) -> tuple[Sample, ...]:
        """Whole samples (or folds), then their parts, then those with noise."""
        groups = (*self.samples.values(), *self.parts.values(), *self.noisy.values())
        return tuple(sample for drawn in groups for sample in drawn)

    @cached_property
    def targets(self) -> dict[str, list[tuple[str, str]]]:
        """Sample -> what a state fitted to it is scored on: names of splits and hashes of their rows."""
        groups = (*self.samples.values(), *self.noisy.values())
        whole = {sample.id: list(self._targets(sample)) for drawn in groups for sample in drawn}
        train = self.facts.data.train
        parts = (part for drawn in self.parts.values() for part in drawn)
        return whole | {part.id: [(VALIDATION, self._rows(train, part.validation))] for part in parts}

    def _targets(self, sample: Sample) -> Iterator[tuple[str, str]]:
        data = self.facts.data
        if sample.validation:
            yield VALIDATION, self._rows(data.splits.get(VALIDATION, data.train), sample.validation)
        if sample.scored is not None:
            yield CV, self._rows(data.train, sample.scored)
        if sample.fold in (None, 0):
            yield from ((split.name, split.digest) for split in data.evaluated)

    def _rows(self, split: SplitFacts, rows: tuple[int, ...]) -> str:
        return fingerprint("rows", [split.row_key(row, self.facts.data.labels) for row in rows])

    @cached_property
    def by_validation(self) -> bool:
        """Whether scores choose the arm; then no report split is scored before the choice."""
        return self.resolution.situation.validated or bool(self.parts)

    @cached_property
    def rungs(self) -> dict[str, Rung]:
        """Stage -> its halving, in their order."""
        return {f"halve/{place}": rung for place, rung in enumerate(self.resolution.rungs, 1)}

    def _transfer(self, arm: Arm, level: Level, data_seed: int) -> str:
        """Hash of the texts that the arm's teacher answers."""
        rows = transferred(self.facts.data, arm.recipe(level.n).transfer, data_seed)
        return self._rows(self.facts.data.splits["unlabelled"], rows) if rows else ""

    def _teachers(self) -> Iterator[Gate]:
        """Arms with a teacher, each fit with its gate."""
        taught = {resolved.arm.name for resolved in self.resolution.arms if resolved.arm.distillation}
        because = "only if the teacher beats zero-shot and the majority class on the sample's labelled texts"
        for stage in self.stages:
            if stage.kind == "train" and stage.arm in taught:
                yield Gate(stage=stage.id, kind="teacher-leads", because=because, metric="accuracy", arms=(stage.arm,))

    def _gate(self, arm: Arm, data_seed: int) -> str | None:
        """The halving that a trial waits for."""
        if arm.role != "candidate":
            return None
        return next((stage for stage, rung in reversed(self.rungs.items()) if rung.seeds <= data_seed), None)

    def run(self) -> Expanded:
        """Expand everything."""
        self.stages += self._sample_stages()
        for resolved in self.resolution.arms:
            if resolved.arm.seeded:
                self._seeded(resolved.arm)
            else:
                self._unseeded(resolved.arm)
        gates = [*self.augments.gates(self.stages), *self._halvings(), *self._choice(), *self._teachers()]
        return Expanded(self.all_samples, tuple(self.trials), tuple(self.stages), tuple(gates))

    def _sample_stages(self) -> Iterator[Stage]:
        for sample in self.all_samples:
            yield Stage(
                id=f"sample/{sample.id}", kind="sample", fingerprint=sample.content, sample=sample.id, fold=sample.fold
            )

    def _seeded(self, arm: Arm) -> None:
        s = self.resolution.situation
        for level in s.levels:
            shared = fit_content(self.facts, arm, arm.recipe(level.n), self.words)
            for data_seed in range(s.data_seeds):
                for model_seed in range(s.model_seeds) if arm.trained else (None,):
                    self._trial(arm, shared, level, data_seed, model_seed)

    def _trial(self, arm: Arm, shared: dict[str, str], level: Level, data_seed: int, model_seed: int | None) -> None:
        trial = f"{self.slugs[arm.name]}/n{level.n}/d{data_seed}" + ("" if model_seed is None else f"/m{model_seed}")
        gate, fits = self._gate(arm, data_seed), list[str]()
        drawn = self._drawn(arm, level.n, data_seed)
        augments, new = self.augments.of(arm, level, drawn, self.targets)
        self.stages += new
        gate = self.augments.gate(arm, augments) or gate
        cut = self.parts.get((level.n, data_seed), []) if arm.name in self.choosable and not model_seed else []
        whole = [(sample, "" if sample.fold is None else f"/f{sample.fold}") for sample in drawn]
        for sample, fold in (*whole, *((part, f"/part{part.fold}") for part in cut)):
            made = augments.get(sample.id)
            waits = tuple(dict.fromkeys((*((gate,) if gate else ()), *((made.id,) if made else ()))))
            fit = fit_fingerprint(
                shared, sample, model_seed, self._transfer(arm, level, data_seed), made.fingerprint if made else ""
            )
            train = Stage(
                id=f"train/{trial}{fold}", kind="train", fingerprint=fit, needs=(f"sample/{sample.id}", *waits),
                trial=trial, arm=arm.name, sample=sample.id, fold=sample.fold,
            )  # fmt: skip
            self.stages.append(train)
            for split, content in self.targets[sample.id]:
                self._score(train, fit, split, content, waits)
            if len(fits) < len(whole):
                fits.append(fit)
        self.trials.append(
            Trial(
                id=trial, arm=arm.name, n=level.n, data_seed=data_seed,
                model_seed=model_seed, gate=gate, fingerprint=trial_fingerprint(fits),
            )
        )  # fmt: skip

    def _score(self, train: Stage, fit: str, split: str, content: str, waits: tuple[str, ...]) -> None:
        gated = ("select",) if split != VALIDATION and self.by_validation else ()
        self.stages.append(
            Stage(
                id=f"{train.id.replace('train', 'evaluate', 1)}/{split}", kind="evaluate",
                fingerprint=score_fingerprint(fit, split, content, self.metrics), needs=(train.id, *waits, *gated),
                trial=train.trial, arm=train.arm, sample=train.sample, fold=train.fold, split=split,
            )
        )  # fmt: skip

    def _unseeded(self, arm: Arm) -> None:
        """An arm without labels: one trial, scored once; its validation rows differ by sample."""
        s, trial = self.resolution.situation, f"{self.slugs[arm.name]}/n0"
        prompt = fingerprint("prompt", model_content(self.facts, arm, self.words))
        gated = ("select",) if self.by_validation else ()
        targets = [(split.name, split.digest) for split in self.facts.data.evaluated]
        if s.folds is not None:
            targets.insert(0, (CV, self._rows(self.facts.data.train, s.pool)))
        for split, content in targets:
            self.stages.append(
                Stage(
                    id=f"evaluate/{trial}/{split}",
                    kind="evaluate",
                    fingerprint=score_fingerprint(prompt, split, content, self.metrics),
                    needs=gated,
                    trial=trial,
                    arm=arm.name,
                    split=split,
                )
            )
        self._unseeded_validation(arm, trial, prompt)
        self.trials.append(
            Trial(
                id=trial, arm=arm.name, n=0, data_seed=None, model_seed=None, fingerprint=fingerprint("trial", [prompt])
            )
        )

    def _unseeded_validation(self, arm: Arm, trial: str, prompt: str) -> None:
        n, seen = self.resolution.situation.levels[-1].n, set[str]()
        for sample in self.all_samples if arm.name in self.choosable else ():
            if sample.n != n or not sample.validation:
                continue
            content = dict(self.targets[sample.id])[VALIDATION]
            score = score_fingerprint(prompt, VALIDATION, content, self.metrics)
            if score in seen:
                continue
            seen.add(score)
            self.stages.append(
                Stage(
                    id=f"evaluate/{trial}/{sample.id}/{VALIDATION}", kind="evaluate", fingerprint=score,
                    needs=(f"sample/{sample.id}",), trial=trial, arm=arm.name, sample=sample.id, fold=sample.fold,
                    split=VALIDATION,
                )
            )  # fmt: skip

    def _choice(self) -> Iterator[Gate]:
        """How the chosen arm is found, and the training of each candidate on all labels, of which one will run."""
        s, level = self.resolution.situation, self.resolution.situation.levels[-1]
        candidates = self.resolution.choosable
        names = tuple(arm.name for arm in candidates)
        looked_at = self._validations(names)
        needs = tuple(stage.id for stage in looked_at) if self.by_validation else ()
        content = {"arms": names, "metric": s.metric, "n": level.n, "scores": [
            stage.fingerprint for stage in looked_at] if self.by_validation else None}  # fmt: skip
        halvings = [stage.fingerprint for stage in self.stages if stage.kind == "halve"]
        chosen_by = fingerprint("select", content | ({"halvings": halvings} if halvings else {}))
        self.stages.append(Stage(id="select", kind="select", fingerprint=chosen_by, needs=needs))
        if s.choosing is not None:
            parts = f"{s.choosing.folds} parts of the {level.n} labels"
            because = f"the best {s.metric} when {parts} are scored by what was fitted to the rest, over "
            because += f"{s.choosing.seeds} sample{'s' * (s.choosing.seeds > 1)}, before any test score is read"
        elif self.by_validation:
            because = f"the best mean {s.metric} on the validation rows at n = {level.n}, before any test score is read"
        else:
            because = "no validation rows at this n: the rules' order decides, before any test score is read"
        kind = "best-validation" if self.by_validation else "rules-order"
        because += self._beside(names)
        yield Gate(stage="select", kind=kind, because=because, metric=s.metric, n=level.n, arms=names)
        for arm in candidates:
            stage = self._refit(arm, level)
            self.stages.append(stage)
            yield Gate(stage=stage.id, kind="is-chosen", because=f"only if {arm.name!r} is chosen", arms=(arm.name,))

    def _beside(self, choosable: tuple[str, ...]) -> str:
        """Why arms with synthetic examples are not among those that may be chosen; empty: they are, or are none."""
        made = [one.arm for one in self.resolution.arms if one.arm.augmentation is not None]
        if not made or any(arm.name in choosable for arm in made):
            return ""
        parts = self.resolution.situation.choosing
        if parts is None:
            return "; arms with synthetic examples come after those without, and are measured only"
        return (
            "; arms with synthetic examples are measured only: each part would take examples of its own, written "
            f"without the rows that it scores, {parts.folds * parts.seeds} more data sets of each source"
        )

    def _validations(self, arms: tuple[str, ...], seeds: int | None = None) -> list[Stage]:
        """Validation scores of these arms at the largest n, of the first data seeds or of all."""
        n = self.resolution.situation.levels[-1].n
        first = {trial.id for trial in self.trials if seeds is None or (trial.data_seed or 0) < seeds}
        return [
            stage for stage in self.stages
            if stage.kind == "evaluate" and stage.split == VALIDATION and stage.arm in arms and stage.trial in first
            and (stage.sample or "").startswith(f"{n}/")
        ]  # fmt: skip

    def _halvings(self) -> Iterator[Gate]:
        """Who goes on to further data seeds."""
        s, left = self.resolution.situation, len(self.resolution.candidates)
        n, names = s.levels[-1].n, tuple(arm.name for arm in self.resolution.candidates)
        for name, rung in self.rungs.items():
            scores = self._validations(names, rung.seeds)
            content = {"arms": names, "metric": s.metric, "n": n, "keep": rung.keep,
                       "scores": [stage.fingerprint for stage in scores]}  # fmt: skip
            needs = tuple(stage.id for stage in scores)
            self.stages.append(Stage(id=name, kind="halve", fingerprint=fingerprint("halve", content), needs=needs))
            after = "the first data seed" if rung.seeds == 1 else f"{rung.seeds} data seeds"
            because = f"after {after} the best {rung.keep} of {left} go on, by mean {s.metric} on the validation rows"
            yield Gate(stage=name, kind="best-share", because=because, metric=s.metric, n=n, arms=names, keep=rung.keep)
            left = rung.keep

    def _refit(self, arm: Arm, level: Level) -> Stage:
        """Train on all labels of the largest n, without stopping early.

        Synthetic examples are those of the first sample, whose rows are among these labels: nothing is written anew.
        """
        recipe = refit_recipe(arm.recipe(level.n))
        made = self.augments.made(arm, self.samples[level.n, 0][0])
        sample = refit_sample(self.resolution, self.samples[level.n, 0])
        if arm.seeded:
            shared = fit_content(self.facts, arm, recipe, self.words)
            transfer = self._transfer(arm, level, sample.data_seed)
            synthetic = made.fingerprint if made else ""
            fit = fit_fingerprint(shared, sample, 0 if arm.trained else None, transfer, synthetic)
        else:
            fit = fingerprint("prompt", model_content(self.facts, arm, self.words))
        name = f"{REFIT}/{self.slugs[arm.name]}"
        needs = ("select", *((made.id,) if made else ()))
        return Stage(id=name, kind="refit", fingerprint=fit, needs=needs, arm=arm.name, sample=REFIT)
