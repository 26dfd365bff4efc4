"""Every leaf of a plan has a decision; or it follows from another one, or nothing of its arm uses it: two short tables.

The leaves come from the models, so that a new field without a decision fails here, in one of the tables or not.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from pydantic import BaseModel
from replay import REPLAYED
from situations import compiled

from fewtune.compiler.adaptations import TRAITS
from fewtune.compiler.arm import PLAIN, PROMPTED, REGRESSED, Arm, AugmentedLevel
from fewtune.compiler.plan import Plan
from fewtune.specs.methods import ENCODED, LOW_RANK, METHODS, PREFERENCES

APART = {"plan_version", "rule_set", "experiment_name", "experiment", "facts", "decisions", "warnings",
         "samples", "trials", "stages", "gates"}  # fmt: skip
"""What is no resolved value: what came in, what is said, and what is expanded from the values."""


@dataclass(frozen=True)
class Leaf:
    """A value of a plan that holds no other one."""

    plan: Plan
    pointer: str
    value: Any
    default: Any
    """The model's own value where nothing sets it."""

    @property
    def place(self) -> str:
        """The pointer with * for each index."""
        return re.sub(r"/\d+", "/*", self.pointer)

    @cached_property
    def indices(self) -> list[int]:
        """Its indices, an arm's first."""
        return [int(part) for part in self.pointer.split("/") if part.isdecimal()]

    @property
    def arm(self) -> Arm:
        """The arm that it is of."""
        return self.plan.arms[self.indices[0]]

    @property
    def encoded(self) -> bool:
        """Whether its arm tunes an encoder."""
        return self.arm.formulation in ENCODED

    @property
    def augmented(self) -> AugmentedLevel:
        """The data size of synthetic examples that it is of."""
        assert self.arm.augmentation is not None
        return self.arm.augmentation.levels[self.indices[1]]


def _trained(leaf: Leaf) -> bool:
    return leaf.arm.trained


def _setting(leaf: Leaf) -> bool:
    """Whether the arm's adaptation has a setting of the leaf's name."""
    name = leaf.place.rsplit("/", 1)[-1]
    return leaf.arm.trained and any(one.name == name for one in TRAITS[leaf.arm.adaptation].settings)


def _taught(leaf: Leaf) -> bool:
    return leaf.arm.distillation is not None


def _asks(leaf: Leaf) -> bool:
    """Whether the arm shows a model examples."""
    teacher = leaf.arm.distillation
    return leaf.arm.formulation == "in-context" or (teacher is not None and teacher.context is None)


def _kind(*kinds: str) -> Callable[[Leaf], bool]:
    return lambda leaf: leaf.arm.preference is not None and leaf.arm.preference.kind in kinds


def _source(name: str) -> Callable[[Leaf], bool]:
    return lambda leaf: leaf.arm.augmentation is not None and leaf.arm.augmentation.source == name


def _ceiling(name: str) -> Callable[[Leaf], bool]:
    return lambda leaf: _source("teacher")(leaf) and getattr(leaf.plan.experiment.augmentation, name) is not None


IN_TRAINING = ("steps", "batch_size", "micro_batch", "learning_rate", "schedule", "warmup_steps", "weight_decay",
               "max_grad_norm", "evaluate_every", "patience")  # fmt: skip

USED: dict[str, Callable[[Leaf], bool]] = {
    "/verbalizer": lambda leaf: not leaf.plan.experiment.task.writes and leaf.plan.experiment.task.marks is None,
    "/patterns": lambda leaf: leaf.plan.experiment.task.marks is None,
    **{f"/arms/*/recipes/*/{name}": _trained for name in IN_TRAINING},
    "/arms/*/recipes/*/pretraining_steps": lambda leaf: leaf.arm.trained and not leaf.encoded,
    "/arms/*/recipes/*/replay": lambda leaf: leaf.arm.trained and not leaf.encoded,
    "/arms/*/recipes/*/penalty": lambda leaf: leaf.arm.formulation in REGRESSED,
    "/arms/*/recipes/*/demonstrations": _asks,
    "/arms/*/recipes/*/transfer": _taught,
    "/arms/*/recipes/*/pair_iterations": lambda leaf: leaf.arm.formulation == "setfit",
    "/arms/*/pattern_use": lambda leaf: leaf.arm.formulation in PROMPTED,
    "/arms/*/demonstrations_by": lambda leaf: leaf.arm.formulation == "in-context",
    "/arms/*/calibration": lambda leaf: (
        leaf.arm.formulation in PROMPTED and not leaf.arm.trained and leaf.arm.generation is None
    ),
    "/arms/*/lora": lambda leaf: leaf.arm.adaptation in LOW_RANK,
    "/arms/*/adapter": lambda leaf: leaf.arm.adaptation == "adapter",
    **{f"/arms/*/{name}": _setting for name in ("virtual_tokens", "top_layers", "layer_decay")},
    "/arms/*/generation": lambda leaf: leaf.plan.experiment.task.writes and leaf.arm.formulation != "lead",
    "/arms/*/objective": _trained,
    **{f"/arms/*/regularisation/{name}": _trained
       for name in ("embedding_noise", "prompt_loss", "divergence", "replay")},
    "/arms/*/distillation": lambda leaf: leaf.arm.objective.endswith("-distillation"),
    "/arms/*/preference": lambda leaf: leaf.arm.method in PREFERENCES,
    "/arms/*/preference/beta": _kind("dpo", "kto", "simpo"),
    "/arms/*/preference/reward_margin": _kind("simpo"),
    "/arms/*/preference/odds_weight": _kind("orpo"),
    "/arms/*/max_tokens": lambda leaf: leaf.arm.formulation not in PLAIN or leaf.encoded,
    "/arms/*/augmentation": lambda leaf: leaf.arm.name.endswith((", augmented", ", EDA")),
    "/arms/*/augmentation/levels/*/target": _source("teacher"),
    "/arms/*/augmentation/levels/*/copies": _source("eda"),
    "/arms/*/augmentation/levels/*/alpha": _source("eda"),
    "/arms/*/augmentation/levels/*/max_tokens": _ceiling("max_tokens"),
    "/arms/*/augmentation/levels/*/max_cost": _ceiling("max_cost"),
}  # fmt: skip
"""Leaves that an arm may do without -> whether this one does with it: then it has a decision, else its default."""


def _recipe_n(leaf: Leaf) -> bool:
    return bool(leaf.value == leaf.plan.levels[leaf.indices[1]].n)


def _train(leaf: Leaf) -> bool:
    level = leaf.plan.levels[leaf.indices[0]]
    inner = 0 if level.scheme == "validation-split" else level.validation
    return bool(level.train + inner == level.n or leaf.plan.folds)


def _pattern(leaf: Leaf) -> bool:
    prompted = leaf.arm.formulation in PROMPTED
    return leaf.value in leaf.plan.patterns if prompted else leaf.value is None or leaf.arm.formulation not in PLAIN


def _several(leaf: Leaf) -> bool:
    return bool(leaf.value == (() if leaf.arm.pattern_use == "each" else leaf.plan.patterns))


def _words(leaf: Leaf) -> bool:
    return leaf.arm.pattern_use == "search" and leaf.arm.verbalizers[0] == leaf.plan.verbalizer


def _poses(leaf: Leaf) -> bool:
    named = METHODS[leaf.arm.method][0]
    return leaf.value in (named, "generation" if named == "pattern" else named)


DERIVED: dict[str, tuple[str, Callable[[Leaf], bool]]] = {
    "/labels": ("the spec's order, or the data's", lambda leaf: list(leaf.value) == list(leaf.plan.facts.labels)),
    "/levels/*/n": ("data.label_budget", lambda leaf: leaf.value > 0),
    "/levels/*/per_class": ("data.label_budget", lambda leaf: leaf.value is None or leaf.value > 0),
    "/levels/*/train": ("n without the validation rows, of a fold in cross-validation", _train),
    "/arms/*/name": ("method and values, numbered where they are shared", lambda leaf: bool(leaf.value)),
    "/arms/*/formulation": ("the method's first part", _poses),
    "/arms/*/adaptation": ("the method's second part", lambda leaf: leaf.value == METHODS[leaf.arm.method][1]),
    "/arms/*/role": ("candidate: it moves parameters and is no twin",
                     lambda leaf: leaf.value == "baseline" or leaf.arm.trained),
    "/arms/*/pattern": ("one of /patterns; of a head the fields", _pattern),
    "/arms/*/patterns": ("/patterns, where pattern_use takes all", _several),
    "/arms/*/verbalizers": ("what pattern_use searches", lambda leaf: leaf.arm.pattern_use != "search"),
    **{f"/arms/*/verbalizers/*/{name}": ("what pattern_use searches, /verbalizer first", _words)
       for name in ("words", "tokens")},
    "/arms/*/marks": ("task.type", lambda leaf: leaf.value == leaf.plan.experiment.task.marks),
    "/arms/*/precision": ("/precision; of an encoder decided", lambda leaf: leaf.value == leaf.plan.precision),
    "/arms/*/label_noise": ("data.label_noise, decided as a whole",
                            lambda leaf: leaf.value in (0.0, *leaf.plan.experiment.data.noise_shares)),
    "/arms/*/recipes/*/n": ("the level's", _recipe_n),
    "/arms/*/generation/end_tokens": ("the model's own", lambda leaf: len(leaf.value) > 0),
    "/arms/*/preference/kind": ("the method's first part", lambda leaf: leaf.value == PREFERENCES[leaf.arm.method]),
    "/arms/*/augmentation/source": ("who the spec names", lambda leaf: leaf.value in ("teacher", "eda")),
    "/arms/*/augmentation/twin": ("the arm without", lambda leaf: not leaf.plan.arm(leaf.value).conditioned),
    "/arms/*/augmentation/levels/*/n": ("the level's", _recipe_n),
}  # fmt: skip
"""Leaves without a decision -> what they follow from, and whether they do."""


def leaves(plan: Plan) -> Iterator[Leaf]:
    """All leaves of a plan's resolved values."""
    for name, field in Plan.model_fields.items():
        if name not in APART:
            yield from _leaves(plan, getattr(plan, name), f"/{name}", field.get_default())


def _leaves(plan: Plan, value: Any, at: str, default: Any) -> Iterator[Leaf]:
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _leaves(plan, getattr(value, name), f"{at}/{name}", field.get_default())
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        for index, one in enumerate(value):
            yield from _leaves(plan, one, f"{at}/{index}", None)
    elif at == "/left_out":
        yield from (Leaf(plan, f"{at}/{index}", one, None) for index, one in enumerate(value))
    else:
        yield Leaf(plan, at, value, default)


def plan_of(shape: str) -> Plan:
    tables, parameters = REPLAYED[shape]
    return compiled(tables, **parameters).plan


def decided(leaf: Leaf, fields: set[str]) -> bool:
    """Whether the leaf or what it is part of has a decision."""
    parts = leaf.pointer.split("/")
    return any("/".join(parts[:end]) in fields for end in range(2, len(parts) + 1))


def undecided(plan: Plan) -> list[str]:
    """Leaves that nothing accounts for, and why."""
    fields, told = {one.field for one in plan.decisions}, []
    for leaf in leaves(plan):
        if decided(leaf, fields):
            continue
        if leaf.place in DERIVED:
            why = "" if DERIVED[leaf.place][1](leaf) else "does not follow from what it should"
        elif leaf.place not in USED or USED[leaf.place](leaf):
            why = "has no decision"
        else:
            why = "" if leaf.value in (leaf.default, (), None) else "is set by nobody"
        told += [f"{leaf.pointer} = {leaf.value!r} {why}"] if why else []
    return told


@pytest.mark.parametrize("shape", REPLAYED)
def test_every_leaf_has_a_decision_or_follows_from_one(shape: str) -> None:
    assert undecided(plan_of(shape)) == []


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("/metric", "/metric = 'accuracy' has no decision"),
        ("/arms/6/lora/rank", "/arms/6/lora/rank = 8 has no decision"),
        ("/arms/6/recipes/0/steps", "/arms/6/recipes/0/steps = 60 has no decision"),
        ("/left_out/0", "/left_out/0 = 'pattern+qlora' has no decision"),
    ],
)
def test_a_leaf_without_its_decision_is_told(field: str, said: str) -> None:
    plan = plan_of("fixed schedule")
    decisions = tuple(one for one in plan.decisions if one.field != field)
    assert undecided(plan.model_copy(update={"decisions": decisions})) == [said]


def test_the_tables_hold_no_more_than_they_must() -> None:
    """Each entry stands for a leaf that some plan has without a decision."""
    found = set[str]()
    for shape in REPLAYED:
        plan = plan_of(shape)
        fields = {one.field for one in plan.decisions}
        found |= {leaf.place for leaf in leaves(plan) if not decided(leaf, fields)}
    assert found == DERIVED.keys() | USED.keys()
    assert not DERIVED.keys() & USED.keys()
