"""What a resolution will take: seconds, memory and disk, for each arm and in all."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from fewtune.compiler.arm import PROBES, Arm, Augmented
from fewtune.compiler.augment_cost import AugmentCost
from fewtune.compiler.cost import (
    FINISH,
    REGRESSION_SECONDS,
    START,
    TFIDF_SECONDS,
    around,
    encoding_seconds,
    general_seconds,
    scoring_seconds,
    slower,
    step_seconds,
    writing_seconds,
)
from fewtune.compiler.encoder import ENCODER, network
from fewtune.compiler.facts import ModelFacts, SplitFacts
from fewtune.compiler.halving import share, spans
from fewtune.compiler.memory import HEADROOM, Load, element_bytes, limit_bytes, peak_bytes
from fewtune.compiler.packing import Key, Shape, alone, key, packing, workers
from fewtune.compiler.plan import Level
from fewtune.compiler.price import ArmCost, Packing, Range
from fewtune.compiler.resolution import Resolution, ResolvedArm
from fewtune.compiler.wording import CONTENT_FREE
from fewtune.specs.methods import OWN_WEIGHTS

PREDICTION_BYTES = 12
"""Bytes of one probability in a predictions file."""
WRITTEN_BYTES = 400
"""Bytes of a written text with its target and scores."""
CACHED_PROMPT = 1.35
"""A query token beside cached demonstrations attends to them, too."""


def distinct(draws: int, kinds: int) -> float:
    """How many of so many kinds so many draws are expected to show.

    >>> distinct(2, 2)
    1.5
    """
    return kinds * (1.0 - (1.0 - 1.0 / kinds) ** draws)


def new_tokens(arm: Arm) -> int:
    """The most tokens that the arm writes for a row."""
    return arm.generation.max_new_tokens if arm.generation else 0


@dataclass(frozen=True)
class Costing:
    """Predicts the parts that a plan is made of."""

    resolution: Resolution

    @cached_property
    def mean_train(self) -> float:
        """Mean tokens of a text of the pool."""
        lengths = self.resolution.situation.lengths
        return sum(lengths) / max(1, len(lengths))

    def _network(self, arm: Arm) -> ModelFacts:
        """What the arm's answers come from."""
        return network(self.resolution.situation.facts, arm.formulation)

    def _tokens(self, arm: Arm, mean: float) -> float:
        """Mean tokens of one input of this arm."""
        known = self._network(arm).pattern_tokens
        fixed = max(known.get(text, 0) for text in arm.patterns or (arm.pattern or "",))
        return min(float(arm.max_tokens), mean + fixed)

    def _trained_tokens(self, arm: Arm) -> float:
        """Mean tokens of one training example, its target included."""
        return arm.compared * (self._tokens(arm, self.mean_train) + self.mean_target)

    @cached_property
    def mean_target(self) -> float:
        """Mean tokens of a target of the pool; 0 where labels are given."""
        lengths = self.resolution.situation.target_lengths
        return sum(lengths) / len(lengths) if lengths else 0.0

    def _written(self, arm: Arm) -> float:
        """Mean tokens that the arm writes for a row: one without training often does not stop by itself."""
        if arm.generation is None or self.resolution.situation.preferences is not None:
            return 0.0
        most = float(arm.generation.max_new_tokens)
        return min(most, self.mean_target + 1) if arm.trained else most

    def fit_seconds(self, arm: Arm, level: Level, slots: int | None = None) -> float:
        """Seconds of fitting once; reading the demonstrations counts for in-context arms.

        Args:
            arm: what is fitted.
            level: on how many labels.
            slots: trainings that share a step; None: as many as the plan says.
        """
        s = self.resolution.situation
        recipe = arm.recipe(level.n)
        if arm.formulation == "majority":
            return 0.0
        if arm.formulation == "tfidf":
            return TFIDF_SECONDS
        if arm.formulation in PROBES:
            return REGRESSION_SECONDS + self.score_seconds(arm, level.train, self.mean_train)
        each, searched = self._trained_tokens(arm), self._searching_seconds(arm, level)
        if arm.formulation == "in-context":
            shown = recipe.demonstrations * (each + 2)
            return searched + scoring_seconds(s.facts.model, s.facts.device, arm.precision, shown)
        slots, texts = slots or self._slots(arm), float(recipe.batch_size)
        if recipe.pair_iterations:
            texts = distinct(2 * recipe.batch_size, level.train) / arm.compared  # a text in several pairs is read once
        step = step_seconds(
            self._network(arm), s.facts.device, arm.precision, arm.adaptation,
            tokens=texts * each, trainable=self.trainable[arm.name], slots=slots,
            masked=arm.masked, depth=arm.depth(self._network(arm).layers), recorded=not arm.encoded,
        )  # fmt: skip
        trainings = self.runs(arm) * (s.folds or 1)
        once = min(1.0, workers(s.facts.device) / trainings)  # what comes before is done once on each worker
        steps = recipe.steps + once * recipe.pretraining_steps
        seconds = searched + steps * step / slots + self._teacher_seconds(arm, level)
        if recipe.penalty:
            seconds += REGRESSION_SECONDS + self.score_seconds(arm, level.train, self.mean_train)
        if recipe.evaluate_every and level.validation:
            looks = recipe.steps // recipe.evaluate_every
            seconds += looks * self.score_seconds(arm, level.validation, self.mean_train)
        return seconds

    def _searching_seconds(self, arm: Arm, level: Level) -> float:
        """Seconds in which the labelled texts are read under each pattern; a list of the words makes each set one."""
        if arm.pattern_use != "search":
            return 0.0
        passes = sum(max(1, len(arm.verbalizers)) if "{labels}" in text else 1 for text in arm.patterns)
        tokens = passes * level.train * self._trained_tokens(arm)
        return scoring_seconds(self.resolution.situation.facts.model, self.resolution.situation.facts.device,
                               arm.precision, tokens)  # fmt: skip

    def _asked_tokens(self, arm: Arm, tokens: float, rows: int) -> float:
        """Tokens that are read for so many rows, of `tokens` without demonstrations."""
        if arm.demonstrations_by == "nearest":
            shown = arm.recipes[-1].demonstrations * (self._trained_tokens(arm) + 2)
            prompts = 1 + (len(CONTENT_FREE) if arm.calibration == "contextual" else 0)
            tokens = prompts * (tokens + rows * shown)
        elif arm.formulation == "in-context":
            tokens *= CACHED_PROMPT
        return tokens * (len(arm.patterns) if arm.pattern_use == "ensemble" else 1)

    def _teacher_seconds(self, arm: Arm, level: Level) -> float:
        """Seconds in which a teacher answers: its context once for the texts, and once for each shown example."""
        if arm.distillation is None:
            return 0.0
        s, recipe, each = self.resolution.situation, arm.recipe(level.n), self._trained_tokens(arm)
        shown = recipe.demonstrations * (each + 2)
        tokens = CACHED_PROMPT * each * (recipe.transfer + 2 * level.train) + shown * (1 + recipe.demonstrations)
        return scoring_seconds(s.facts.model, s.facts.device, arm.precision, tokens)

    @cached_property
    def packings(self) -> dict[Key, Packing]:
        """Key of arms that can share their steps -> how they are trained."""
        groups: dict[Key, list[ResolvedArm]] = {}
        for resolved in self.resolution.arms:
            common = key(resolved.arm)
            if common is not None:
                groups.setdefault(common, []).append(resolved)
        return {common: self._packing(members) for common, members in groups.items()}

    @property
    def alone(self) -> tuple[Packing, ...]:
        """The trained arms that share nothing."""
        arms = [resolved.arm for resolved in self.resolution.arms if resolved.arm.trained]
        return tuple(self._apart(arm) for arm in arms if key(arm) is None)

    def _apart(self, arm: Arm) -> Packing:
        s = self.resolution.situation
        each = self.runs(arm) * (s.folds or 1)
        seconds = round(sum(each * self.fit_seconds(arm, level) for level in s.levels), 3)
        return Packing(arms=(arm.name,), trials=each * len(s.levels), slots=1, alone_seconds=seconds,
                       packed_seconds=seconds, because=alone(arm))  # fmt: skip

    def _packing(self, members: list[ResolvedArm]) -> Packing:
        s = self.resolution.situation
        recipes = [(member.arm, recipe) for member in members for recipe in member.arm.recipes]
        trainings = {arm.name: self.runs(arm) * (s.folds or 1) * self._done(arm) for arm, _ in recipes}
        parts = [(self._parts(arm), recipe) for arm, recipe in recipes if recipe.n == s.levels[-1].n]
        shape = Shape(
            tokens=max(recipe.batch_size * self._trained_tokens(arm) for arm, recipe in recipes),
            micro_batch=max(recipe.micro_batch for _, recipe in recipes),
            longest=max(member.arm.max_tokens + new_tokens(member.arm) for member in members),
            trainable=max(member.trainable for member in members),
            written=max(new_tokens(member.arm) for member in members),
        )
        return packing(
            s.facts.model, s.facts.device, [member.arm for member in members], shape,
            trials=round(sum(trainings[arm.name] for arm, _ in recipes)) + sum(count for count, _ in parts),
            steps=round(sum(trainings[arm.name] * recipe.steps for arm, recipe in recipes))
            + sum(count * recipe.steps for count, recipe in parts),
            ready=self._ready(len(members)),
            limit=limit_bytes(s.experiment, s.facts.device),
        )  # fmt: skip

    def _ready(self, arms: int) -> int:
        """Trainings of so many arms that can be at work at the same time: later seeds wait for halvings."""
        s, resolution = self.resolution.situation, self.resolution
        each = s.model_seeds * (s.folds or 1) * len(s.levels)
        parts = sum(self._parts(arm) for arm in self.resolution.candidates)
        found = spans(len(resolution.candidates), s.data_seeds, resolution.rungs)
        return parts + max(min(count, arms) * seeds * each for count, seeds in found)

    def _slots(self, arm: Arm) -> int:
        """Trainings that share a step of this arm."""
        common = key(arm)
        return 1 if common is None else self.packings[common].slots

    @cached_property
    def trainable(self) -> dict[str, int]:
        """Arm -> its moving parameters."""
        return {resolved.arm.name: resolved.trainable for resolved in self.resolution.arms}

    def score_seconds(self, arm: Arm, rows: int, mean_tokens: float) -> float:
        """Seconds of predicting so many rows."""
        s = self.resolution.situation
        if arm.formulation == "encoder":
            return encoding_seconds(s.facts.device, rows * min(ENCODER.max_tokens, mean_tokens))
        if not arm.reads:
            return 0.05
        tokens = rows * self._tokens(arm, mean_tokens)
        if self.resolution.situation.preferences is not None:  # both texts, by the arm and by its base
            tokens = 4 * (tokens + rows * self.mean_target)
        tokens = self._asked_tokens(arm, tokens, rows)
        model, device = self._network(arm), s.facts.device
        written = writing_seconds(model, device, arm.precision, rows, self._written(arm))
        return slower(arm.adaptation) * (scoring_seconds(model, device, arm.precision, tokens) + written)

    def split_seconds(self, arm: Arm, split: SplitFacts) -> float:
        """Seconds of predicting a whole split."""
        return self.score_seconds(arm, len(split), sum(split.tokens) / max(1, len(split)))

    def runs(self, arm: Arm) -> int:
        """Trials at each data size."""
        s = self.resolution.situation
        return s.data_seeds * (s.model_seeds if arm.trained else 1) if arm.seeded else 1

    def _done(self, arm: Arm) -> float:
        """The part of an arm's trials that will be done, any candidate being as good as any other."""
        if arm.role != "candidate":
            return 1.0
        return share(len(self.resolution.candidates), self.resolution.situation.data_seeds, self.resolution.rungs)

    def arm_seconds(self, arm: Arm) -> float:
        """Seconds of all trials of an arm, one after another."""
        s = self.resolution.situation
        report, chosen_by = self._report_seconds(arm), self._choosing_seconds(arm)
        if not arm.seeded:
            return report + chosen_by + self._unseeded_validation(arm)
        runs = self.runs(arm) * self._done(arm)
        reports = 1 if arm.formulation in PROBES else runs * len(s.levels)  # frozen features are read once
        return chosen_by + reports * report + sum(runs * self._trial_seconds(arm, level) for level in s.levels)

    def _parts(self, arm: Arm) -> int:
        """Fits to parts of the samples, which choose the arm."""
        chosen_by = self.resolution.situation.choosing
        return chosen_by.folds * chosen_by.seeds if chosen_by and arm.name in self._choosable else 0

    @cached_property
    def _choosable(self) -> frozenset[str]:
        return frozenset(arm.name for arm in self.resolution.choosable)

    def _choosing_seconds(self, arm: Arm) -> float:
        """Seconds of the cross-validation that chooses the arm."""
        count, level = self._parts(arm), self.resolution.situation.levels[-1]
        chosen_by = self.resolution.situation.choosing
        if chosen_by is None or not count or arm.formulation in (*PROBES, "tfidf"):
            return count * REGRESSION_SECONDS  # frozen features are read already
        fits = self.fit_seconds(arm, level) if arm.seeded else 0.0
        return count * (fits + self.score_seconds(arm, level.n // chosen_by.folds, self.mean_train))

    def _trial_seconds(self, arm: Arm, level: Level) -> float:
        s = self.resolution.situation
        folds = s.folds or 1
        seconds = folds * self.fit_seconds(arm, level) + self.general_seconds(arm)
        if level.validation:
            seconds += folds * self.score_seconds(arm, level.validation, self.mean_train)
        return seconds

    def general_seconds(self, arm: Arm) -> float:
        """Seconds of measuring what a training forgot, once a trial; an encoder writes no text to measure it by."""
        s = self.resolution.situation
        if not arm.trained or arm.encoded:
            return 0.0
        return slower(arm.adaptation) * general_seconds(s.facts.model, s.facts.device, arm.precision)

    def _report_seconds(self, arm: Arm) -> float:
        s = self.resolution.situation
        seconds = sum(self.split_seconds(arm, split) for split in s.facts.data.evaluated)
        if s.folds is not None:
            seconds += self.score_seconds(arm, len(s.pool), self.mean_train)
        return seconds

    def _unseeded_validation(self, arm: Arm) -> float:
        s = self.resolution.situation
        level = s.levels[-1]
        looks = s.data_seeds * (s.folds or 1) if level.scheme == "held-out" else 1
        return looks * self.score_seconds(arm, level.validation, self.mean_train) if level.validation else 0.0

    def refit_seconds(self) -> float:
        """Seconds of the last training, unless a trial is already the same; of the dearest candidate."""
        s = self.resolution.situation
        level = s.levels[-1]
        if s.folds is None and level.scheme == "fixed-schedule":
            return 0.0
        candidates = [resolved.arm for resolved in self.resolution.arms if resolved.arm.trained]
        return max((self.fit_seconds(arm, level, slots=1) for arm in candidates), default=0.0)

    def seconds(self, engine: str = "ray") -> float:
        """Seconds on the clock, all devices busy."""
        s = self.resolution.situation
        work = sum(self.arm_seconds(resolved.arm) for resolved in self.resolution.arms)
        made, _ = self.augmented
        return START[engine] + work / s.facts.device.count + self.refit_seconds() + made.mid + FINISH

    @cached_property
    def _augmenting(self) -> AugmentCost:
        return AugmentCost(self.resolution.situation)

    @cached_property
    def _made(self) -> list[tuple[Augmented, Level]]:
        """What is made at each data size, whatever the number of arms that learn from it."""
        found = (resolved.arm.augmentation for resolved in self.resolution.arms)
        sources = {made.source: made for made in found if made is not None}
        return [(made, level) for made in sources.values() for level in self.resolution.situation.levels]

    @cached_property
    def making(self) -> dict[tuple[str, int], Range]:
        """(source, n) -> seconds of one stage that makes synthetic examples."""
        return {(made.source, level.n): self._augmenting.seconds(made, level) for made, level in self._made}

    @cached_property
    def augmented(self) -> tuple[Range, Range]:
        """(seconds, tokens of teachers) of all such stages, one after another."""
        s = self.resolution.situation
        each, tokens = s.data_seeds * (s.folds or 1), [self._augmenting.tokens(*one) for one in self._made]
        return _times(each, list(self.making.values())), _times(each, tokens)

    def trials(self) -> int:
        """Trials of the whole plan."""
        levels = len(self.resolution.situation.levels)
        return sum(
            self.runs(resolved.arm) * (levels if resolved.arm.seeded else 1) for resolved in self.resolution.arms
        )

    def artefact_bytes(self, resolved: ResolvedArm) -> int:
        """Bytes that one fit and its predictions leave."""
        s = self.resolution.situation
        if resolved.arm.adaptation in OWN_WEIGHTS:
            weights = element_bytes(resolved.arm.precision) * resolved.trainable
        else:
            weights = 4 * resolved.trainable
        rows = sum(len(split) for split in s.facts.data.evaluated) or len(s.pool)
        each = WRITTEN_BYTES if s.writes else len(s.label_names) * PREDICTION_BYTES + 12
        return weights + rows * each

    def disk_bytes(self) -> int:
        """Bytes that the run leaves."""
        s = self.resolution.situation
        each = (s.folds or 1) * len(s.levels)
        return sum(
            self.artefact_bytes(resolved) * self.runs(resolved.arm) * (each if resolved.arm.seeded else 1)
            for resolved in self.resolution.arms
        )

    def peak_bytes(self, resolved: ResolvedArm) -> int:
        """Predicted peak of one trial, or of as many as share its steps."""
        s, arm, slots = self.resolution.situation, resolved.arm, self._slots(resolved.arm)
        if not arm.reads:
            return 0
        micro = max((recipe.micro_batch for recipe in arm.recipes), default=0) or 8
        new = new_tokens(arm)
        micro *= slots * arm.compared
        load = Load(arm.adaptation, arm.precision, slots * resolved.trainable, micro, arm.max_tokens + new, new,
                    arm.depth(s.facts.model.layers))  # fmt: skip
        return peak_bytes(self._network(arm), s.facts.device, load)

    def arm_cost(self, resolved: ResolvedArm) -> ArmCost:
        """One row of the plan's cost table."""
        peak = self.peak_bytes(resolved)
        levels = len(self.resolution.situation.levels) if resolved.arm.seeded else 1
        return ArmCost(
            arm=resolved.arm.name,
            seconds=around(
                self.arm_seconds(resolved.arm), self.resolution.situation.facts.device, [resolved.arm.method]
            ),
            peak_memory_bytes=Range(low=round(0.6 * peak), mid=round(peak / HEADROOM), high=peak),
            trainable_parameters=resolved.trainable,
            artefact_bytes=self.artefact_bytes(resolved),
            trials=self.runs(resolved.arm) * levels,
        )


def _times(count: int, parts: Sequence[Range]) -> Range:
    """The sum of ranges, so many times."""
    return Range(
        low=round(count * sum(part.low for part in parts), 3),
        mid=round(count * sum(part.mid for part in parts), 3),
        high=round(count * sum(part.high for part in parts), 3),
    )
