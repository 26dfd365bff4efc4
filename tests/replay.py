"""Replay a plan's trace: every decision is asked for again, of the rule that it names, in the situation as it stood.

The situation is built from the recorded values alone, in the order of the trace: what a rule says is compared with the
record, then the recorded value is settled, and the next rule sees it. Of the resolver only what is no rule takes part:
the pins of each arm (`arm_ideas`), and how large a forward pass may be (`micro_batch`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from importlib import import_module
from typing import Any

from situations import SHAPES

from fewtune.compiler.arm import Arm, Verbalizer
from fewtune.compiler.arm_ideas import arm_ideas
from fewtune.compiler.decision import Decision
from fewtune.compiler.facts import Facts
from fewtune.compiler.plan import Choosing, Plan
from fewtune.compiler.resolve_arm import micro_batch, trainable_parameters
from fewtune.compiler.rules.methods import methods
from fewtune.compiler.sample import pool
from fewtune.compiler.situation import ArmIdea, ArmSituation, Choice, RecipeSituation, Situation
from fewtune.compiler.weighing import weighed
from fewtune.specs.patch import lookup

Tables = dict[str, Any]

NO_RULE = {"budget", "memory", "halving", "label_noise"}
"""What a decision may be by besides a file of compiler/rules: a limit, or the spec's own word."""
SETTLED = ("metric", "precision", "verbalizer", "patterns", "folds", "levels", "choosing", "preferred", "data_seeds",
           "model_seeds")  # fmt: skip
"""Values of a plan that a situation holds, too."""
TYPED: Mapping[str, Callable[[Any], Any]] = {
    "choosing": lambda value: value and Choosing.model_validate(value),
    "verbalizer": lambda value: value and Verbalizer.model_validate(value),
}
"""Fields of a situation that are no plain value."""


MORE: dict[str, tuple[Tables, Tables]] = {
    "synthetic examples": (
        {
            "data": {"label_budget": [16, 32]},
            "augmentation": {"teacher": {"model": "smollm2-135m-instruct"}, "eda": True, "max_tokens": 90_000},
        },
        {},
    ),
    "label noise": ({"data": {"label_budget": 40, "label_noise": [0.1, 0.3]}}, {}),
    "cut": ({"data": {"label_budget": [8, 64]}, "constraints": {"wall_time": "20 min"}}, {"tokens": 40}),
    "cut harder": ({"data": {"label_budget": [8, 64]}, "constraints": {"wall_time": "4 min"}}, {"tokens": 40}),
    "halved": ({"data": {"label_budget": 160}, "evaluation": {"halving": 2}}, {}),
    "distilled": (
        {
            "data": {"label_budget": 32, "unlabelled": "u.csv"},
            "methods": {"arms": [{"method": "pattern+lora", "objective": "context-distillation"}]},
        },
        {"unlabelled_rows": 80},
    ),
    "pinned": (
        {
            "data": {"label_budget": 160},
            "methods": {"pin": {"rank": 4, "steps": 20, "learning_rate": [1e-4, 2e-4], "early_stopping": False}},
            "evaluation": {"data_seeds": 4, "validation_fraction": 0.3},
            "constraints": {"forgetting": 0.01},
        },
        {},
    ),
    "a large model": (
        {"data": {"label_budget": 160}, "methods": {"include": ["pattern+qlora", "head+adapter"]}},
        {"model": "llama-7b", "device": "h100"},
    ),
    "sets of labels": ({"task": {"type": "multi-label"}, "data": {"label_budget": 160}}, {}),
    "tags": ({"task": {"type": "sequence-labelling"}, "data": {"label_budget": 32}}, {}),
    "several patterns": (
        {
            "data": {"label_budget": 32},
            "task": {"patterns": ["minimal", "question"]},
            "methods": {"pin": {"pattern_use": ["each", "search", "ensemble"]}},
        },
        {},
    ),
    "adaptations": (
        {
            "data": {"label_budget": 32},
            "methods": {
                "include": [f"pattern+{name}" for name in ("dora", "adapter", "prefix", "prompt", "top", "norm")]
            },
        },
        {},
    ),
    "simpo": (
        {"task": {"type": "preference"}, "data": {"label_budget": 40}, "methods": {"include": ["simpo+lora"]}},
        {},
    ),
}
REPLAYED = SHAPES | MORE
"""Tables and parameters of facts, as in `SHAPES`: plans in which most rules have a say."""


@dataclass
class Replay:
    """One plan and its facts; `asked` counts the decisions that a rule was asked for again."""

    plan: Plan
    facts: Facts
    asked: int = 0
    told: list[str] = field(default_factory=list)
    """What the trace says and the rules do not."""

    def run(self) -> list[str]:
        """Everything that differs; empty: the trace replays."""
        s = Situation.first(self.plan.experiment, self.facts, pool(self.facts.data)[0])
        for one in self.plan.decisions:
            if not one.field.startswith("/arms/"):
                s = self._experiment(s, one)
        for name in SETTLED:
            if getattr(s, name) != getattr(self.plan, name):
                self.told.append(f"{name}: the trace ends at {getattr(s, name)!r}")
        ideas = [idea for idea in arm_ideas(s) if idea.method in {arm.method for arm in self.plan.arms}]
        plain = [arm for arm in self.plan.arms if not arm.conditioned]
        if len(ideas) != len(plain):
            self.told.append(f"{len(ideas)} ideas for {len(plain)} arms")
        known = {_without_condition(arm): idea for arm, idea in zip(plain, ideas, strict=False)}
        for index, arm in enumerate(self.plan.arms):
            self._arm(s, known[_without_condition(arm)], f"/arms/{index}")
        return self.told

    def _experiment(self, s: Situation, one: Decision) -> Situation:
        name = one.field.split("/")[1]
        if name == "levels":
            return self._level(s, one)
        if name == "left_out" and one.rule == "budget":
            self._expect(one, one.value not in {arm.name for arm in self.plan.arms}, "an arm")
        elif name == "left_out":
            self._compare(one, methods(s)[one.value], one.value)
        elif one.decided_by == "base_model" and name == "facts" and one.field.endswith("encoder"):
            self._is(one, s.facts.encoder and s.facts.encoder.place)
        elif name in ("experiment", "halving"):
            at = "/experiment/evaluation/halving" if name == "halving" else one.field
            self._is(one, lookup(self.plan.model_dump(mode="json"), at))
        else:
            self._compare(one, self._rule(one, s, name))
        known = {each.name for each in fields(s)} - {"facts", "experiment"}
        return replace(s, **{name: _typed(name, one.value)}) if name in known else s

    def _level(self, s: Situation, one: Decision) -> Situation:
        """The split of a data size's labels; the sizes themselves are the spec's."""
        if one.field == "/levels":
            self._is(one, [level.n for level in self.plan.levels])
            return s
        index, part = one.field.split("/")[2:]
        level = self.plan.levels[int(index)]
        n = level.n if s.folds is None else min(level.n, len(s.pool) - len(s.pool) // s.folds)
        validation = import_module("fewtune.compiler.rules.validation").validation
        choice = weighed(validation(s, n), ("validation",), s)
        ruled = choice.value["rows" if part == "validation" else part]
        self.asked += 1
        if one.pinned:
            others = [other.value for other in one.alternatives]
            self._expect(one, not others or choice.value in others, choice.value)
        else:
            self._record(one, replace(choice, value=ruled))
        last = one.field == f"/levels/{len(self.plan.levels) - 1}/validation"
        return replace(s, levels=self.plan.levels) if last else s

    def _arm(self, s: Situation, idea: ArmIdea, prefix: str) -> None:
        outer = s.through(idea.formulation)
        a = ArmSituation(**{each.name: getattr(outer, each.name) for each in fields(outer)}, arm=idea)
        recipes: dict[int, RecipeSituation] = {}
        for one in self.plan.decisions:
            place = one.field.removeprefix(f"{prefix}/")
            if place == one.field:
                continue
            head, *rest = place.split("/")
            if head in ("recipes", "augmentation"):
                index = int(rest[0 if head == "recipes" else 1])
                r = recipes.get(index) or _recipe(a, self.plan, index)
                recipes[index] = self._recipe_value(r, one, rest[-1])
            elif head == "method":
                self._compare(one, methods(s)[one.value], one.value)
            elif head == "precision":
                self._is(one, a.precision)
            else:
                name = place.rsplit("/", 1)[-1]
                self._compare(one, self._rule(one, a, name))
                known = {each.name for each in fields(a)}
                a = replace(a, **{name: _typed(name, one.value)}) if name in known else a

    def _recipe_value(self, r: RecipeSituation, one: Decision, name: str) -> RecipeSituation:
        if one.decided_by == "memory":
            self._is(one, micro_batch(r, r.settled["batch_size"], trainable_parameters(r)))
        elif one.decided_by == "early_stopping":
            choice = self._rule(one, r, name)
            value = (choice.value or {}).get(name)
            if one.pinned:
                self._is(one, None)
            else:
                self._record(one, replace(choice, value=value))
                self.asked += 1
        elif one.decided_by == "augmentation":  # a share of the run's ceiling
            self._expect(one, one.pinned, "a pin")
        else:
            self._compare(one, self._rule(one, r, name))
        return replace(r, settled={**r.settled, name: one.value})

    def _rule(self, one: Decision, s: Situation, name: str) -> Choice:
        """What the rule that the decision names says now; of a cut value the rule of that name."""
        rule = name if one.decided_by in NO_RULE else one.decided_by
        function = getattr(import_module(f"fewtune.compiler.rules.{rule}"), rule)
        return weighed(function(s), (rule,), s)

    def _compare(self, one: Decision, choice: Choice, method: str | None = None) -> None:
        """A rule's word is the record; a pinned or cut value keeps the rule's word as the alternative."""
        self.asked += 1
        if one.pinned or one.rule == "budget":
            ruled = choice.decision(one.field, one.decided_by).value
            others = [other.value for other in one.alternatives]
            self._expect(one, method is not None or one.value == ruled or ruled in others, ruled)
            return
        if method is not None:
            self._expect(one, bool(choice.value) is one.field.endswith("/method"), choice.value)
            choice = replace(choice, value=method)
        self._record(one, choice)

    def _record(self, one: Decision, choice: Choice) -> None:
        again = choice.decision(one.field, one.decided_by).model_dump(mode="json")
        was = one.model_dump(mode="json")
        self.told += [f"{one.field}: {key}: {was[key]!r}, now {again[key]!r}" for key in was if was[key] != again[key]]

    def _is(self, one: Decision, value: Any) -> None:
        self._expect(one, one.value == value, value)

    def _expect(self, one: Decision, holds: bool, value: Any) -> None:
        if not holds:
            self.told.append(f"{one.field}: {one.value!r}, now {value!r}")


def _typed(name: str, value: Any) -> Any:
    return TYPED[name](value) if name in TYPED else tuple(value) if isinstance(value, list) else value


def _without_condition(arm: Arm) -> str:
    """What an arm shares with the one without its synthetic examples or its noise."""
    return arm.model_dump_json(exclude={"name", "role", "label_noise", "augmentation"})


def _recipe(a: ArmSituation, plan: Plan, index: int) -> RecipeSituation:
    return RecipeSituation(**{each.name: getattr(a, each.name) for each in fields(a)}, level=plan.levels[index])
