"""What the spec pins: it wins, it is recorded, and what strong evidence says against it is said."""

from typing import Any

import pytest
from situations import compiled

from fewtune.compiler.plan import Plan
from fewtune.compiler.rules.methods import UNASKED
from fewtune.specs.methods import PREFERENCES, Pins
from fewtune.specs.patch import lookup

Tables = dict[str, Any]

PINNED: dict[str, tuple[Any, str, Any]] = {
    "rank": (4, "/lora/rank", 4),
    "alpha": (64, "/lora/alpha", 64.0),
    "rslora": (True, "/lora/rslora", True),
    "dropout": (0.1, "/lora/dropout", 0.1),
    "lr_ratio": (16.0, "/lora/lr_ratio", 16.0),
    "width": (32, "/adapter/width", 32),
    "placement": ("pfeiffer", "/adapter/placement", "pfeiffer"),
    "virtual_tokens": (8, "/virtual_tokens", 8),
    "top_layers": (3, "/top_layers", 3),
    "layer_decay": (0.9, "/layer_decay", 0.9),
    "targets": (["q_proj"], "/lora/targets", ["q_proj"]),
    "objective": ("few-shot-distillation", "/objective", "few-shot-distillation"),
    "temperature": (4.0, "/distillation/temperature", 4.0),
    "label_weight": (0.9, "/distillation/label_weight", 0.9),
    "context": ("Label each text.", "/distillation/context", "Label each text."),
    "pretraining_steps": (40, "/recipes/0/pretraining_steps", 40),
    "replay": (0.5, "/recipes/0/replay", 0.5),
    "beta": (0.5, "/preference/beta", 0.5),
    "reward_margin": (0.4, "/preference/reward_margin", 0.4),
    "odds_weight": (0.3, "/preference/odds_weight", 0.3),
    "learning_rate": (1e-4, "/recipes/0/learning_rate", 1e-4),
    "steps": (100, "/recipes/0/steps", 100),
    "epochs": (20, "/recipes/0/steps", 120),
    "batch_size": (4, "/recipes/0/batch_size", 4),
    "schedule": ("constant", "/recipes/0/schedule", "constant"),
    "warmup_ratio": (0.5, "/recipes/0/warmup_steps", 30),
    "weight_decay": (0.1, "/recipes/0/weight_decay", 0.1),
    "max_grad_norm": (0.5, "/recipes/0/max_grad_norm", 0.5),
    "early_stopping": (False, "/recipes/0/patience", None),
    "demonstrations": (8, "/recipes/0/demonstrations", 8),
    "demonstrations_by": ("nearest", "/demonstrations_by", "nearest"),
    "calibration": ("contextual", "/calibration", "contextual"),
    "pattern_use": ("search", "/pattern_use", "search"),
    "penalty": (1.0, "/recipes/0/penalty", 1.0),
    "max_new_tokens": (40, "/generation/max_new_tokens", 40),
    "pair_iterations": (5, "/recipes/0/pair_iterations", 5),
}

SPECIAL = {
    "demonstrations_by": "in-context", "calibration": "in-context",
    "demonstrations": "in-context", "penalty": "probe", "max_new_tokens": "generate+lora", "width": "pattern+adapter",
    "placement": "pattern+adapter", "virtual_tokens": "pattern+prefix", "top_layers": "head+top",
    "layer_decay": "head+top", "beta": "dpo+lora", "reward_margin": "simpo+lora", "odds_weight": "orpo+lora",
    "pair_iterations": "setfit",
}  # fmt: skip
"""Pin -> a method that takes it, where LoRA does not."""


def arm_decisions(plan: Plan, method: str) -> dict[str, Any]:
    """Pointer below the arm -> decision, for the first arm of a method."""
    index = next(index for index, arm in enumerate(plan.arms) if arm.method == method)
    prefix = f"/arms/{index}"
    found = (one for one in plan.decisions if one.field.startswith(f"{prefix}/"))
    return {one.field.removeprefix(prefix): one for one in found}


def test_every_pin_is_in_the_table() -> None:
    assert PINNED.keys() == Pins.model_fields.keys()


@pytest.mark.parametrize("where", ["pin", "arms"])
@pytest.mark.parametrize("name", PINNED)
def test_a_pin_wins_and_keeps_what_the_rules_would_say(name: str, where: str) -> None:
    written, pointer, value = PINNED[name]
    method = SPECIAL.get(name, "pattern+lora")
    base: Tables = {"data": {"label_budget": 64}, "evaluation": {"validation": "held-out", "validation_fraction": 0.25}}
    if method == "generate+lora":
        base["task"] = {"type": "summarisation"}
    taught: Tables = (
        {"objective": "few-shot-distillation"} if name in ("temperature", "label_weight", "context") else {}
    )
    taught |= {"pretraining_steps": 20} if name == "replay" else {}
    told = {"unlabelled_rows": 80, "replay_rows": 80} if name in ("pretraining_steps", "replay") else {}
    if told:
        base["data"] |= {"unlabelled": "u.csv", "replay": "r.csv"}
    methods: Tables = {"pin": taught | {name: written}, "arms": [{"method": method, name: written}]}
    asked: Tables = {"include": [method]} if method in UNASKED else {}
    asked |= {"pin": taught, "exclude": ["head+lora", "pattern+full"]} if taught or name == "objective" else {}
    if PREFERENCES.keys() & {method}:
        base["task"] = {"type": "preference"}
        asked = {"include": [method]}
    ruled = arm_decisions(compiled(base | {"methods": asked}, **told).plan, method)[pointer]
    plan = compiled(base | {"methods": asked | {where: methods[where]}}, **told).plan
    last = [arm for arm in plan.arms if arm.method == method][-1]
    index = plan.arms.index(last)
    decision = next(one for one in plan.decisions if one.field == f"/arms/{index}{pointer}")
    assert decision.value == value
    assert (decision.rule, decision.pinned, decision.decided_by) == ("pin", True, ruled.decided_by)
    assert decision.source == "the spec"
    if name != "early_stopping":
        assert [one.value for one in decision.alternatives] == [ruled.value]
        assert ruled.because in decision.alternatives[0].why_not
    assert lookup(plan.model_dump(mode="json"), decision.field) == value


def test_a_list_of_pins_makes_an_arm_of_each() -> None:
    plan = compiled({"methods": {"pin": {"rank": [4, 8], "learning_rate": [1e-4, 5e-4]}}}).plan
    geometry = [
        (arm.lora.rank, arm.recipes[0].learning_rate) for arm in plan.arms if arm.lora and arm.formulation == "pattern"
    ]
    assert geometry == [(4, 1e-4), (4, 5e-4), (8, 1e-4), (8, 5e-4)]


def test_a_pin_of_an_arm_goes_before_the_pin_of_all() -> None:
    arms: list[Tables] = [{"method": "pattern+lora", "rank": [16], "steps": [30]}, {"method": "head+lora"}]
    plan = compiled({"methods": {"pin": {"rank": [4], "epochs": [2]}, "arms": arms}}).plan
    settled = [(arm.lora.rank, arm.recipes[0].steps) for arm in plan.arms if arm.lora]
    assert settled == [(16, 30), (4, 48)]


AGAINST: list[tuple[Tables, Tables, str | None]] = [
    ({"methods": {"pin": {"learning_rate": 4e-5}}}, {}, "/methods/pin/learning_rate"),
    ({"methods": {"pin": {"learning_rate": 6e-5}, "include": ["pattern+lora"], "exclude": ["pattern+full"]}}, {}, None),
    ({"methods": {"pin": {"learning_rate": 6e-3}}}, {}, "/methods/pin/learning_rate"),
    ({"methods": {"pin": {"steps": 29}}, "data": {"label_budget": 32}}, {}, "/methods/pin/steps"),
    ({"methods": {"pin": {"steps": 30}}, "data": {"label_budget": 32}}, {}, None),
    ({"methods": {"pin": {"steps": 3000}}, "data": {"label_budget": 32}}, {}, None),
    ({"methods": {"pin": {"targets": ["q_proj", "v_proj"]}}}, {}, "/methods/pin/targets"),
    ({"methods": {"pin": {"targets": "all-linear"}}}, {}, None),
    ({"evaluation": {"data_seeds": 2}}, {}, "/evaluation/data_seeds"),
    ({"evaluation": {"data_seeds": 3}}, {}, None),
    ({"methods": {"pin": {"rank": 256}}}, {}, None),
    ({"model": {"precision": "bf16"}}, {"device": "old-cpu"}, "/model/precision"),
    ({"model": {"precision": "fp32"}}, {}, None),
    ({"methods": {"exclude": ["zero-shot"]}}, {}, "/methods/exclude/0"),
    ({"methods": {"exclude": ["tfidf", "majority"]}}, {}, "/methods/exclude/1"),
    ({"methods": {"exclude": ["zero-shot"]}, "data": {"label_noise": [0.1]}}, {}, None),
    ({"methods": {"exclude": ["zero-shot"]}, "task": {"type": "summarisation"}}, {}, None),
    ({"methods": {"exclude": ["in-context"]}}, {}, None),
    ({"methods": {"exclude": ["zero-shot", "in-context"]}, "task": {"type": "multi-label"}}, {}, None),
    ({"methods": {"exclude": ["majority"]}, "task": {"type": "sequence-labelling"}}, {}, None),
    ({"methods": {"exclude": ["majority"]}, "task": {"type": "preference"}}, {}, None),
    ({"methods": {"include": ["head+full"]}}, {}, "/methods/include"),
    ({"methods": {"include": ["pattern+full"]}}, {}, None),
    ({"methods": {"include": ["pattern+adapter"]}}, {}, None),
    ({"methods": {"arms": [{"method": "head+full"}]}}, {}, "/methods/arms/0"),
    ({"methods": {"arms": [{"method": "head+full"}, {"method": "head+lora"}]}}, {}, None),
    ({"methods": {"arms": [{"method": "pattern+full"}]}, "constraints": {"forgetting": 0.01}}, {}, "/methods/arms/0"),
    ({"methods": {"arms": [{"method": "pattern+full"}]}, "constraints": {"forgetting": 0.05}}, {}, None),
    ({"methods": {"pin": {"alpha": 1}}}, {}, "/methods/pin/alpha"),
    ({"methods": {"pin": {"alpha": 8}}}, {}, None),
    ({"methods": {"pin": {"alpha": 33}}}, {}, "/methods/pin/alpha"),
    ({"methods": {"pin": {"alpha": 64, "rank": 32}}}, {}, None),
    ({"methods": {"arms": [{"method": "pattern+full", "learning_rate": 5e-4}]}}, {}, "/methods/arms/0/learning_rate"),
    ({"methods": {"arms": [{"method": "pattern+full", "learning_rate": 5e-5}]}}, {}, None),
]


@pytest.mark.parametrize(("tables", "parameters", "pointer"), AGAINST)
def test_a_pin_against_strong_evidence_is_kept_and_named(
    tables: Tables, parameters: Tables, pointer: str | None
) -> None:
    plan = compiled(tables, **parameters).plan
    warned = {one.pointer for one in plan.warnings if one.code == "W-pin-against-evidence"}
    assert warned == ({pointer} if pointer else set())


@pytest.mark.parametrize(
    ("methods", "pointer"),
    [
        ({"arms": [{"method": "pattern+lora", "learning_rate": [1e-6]}]}, "/methods/arms/0/learning_rate"),
        ({"pin": {"epochs": [1]}}, "/methods/pin/epochs"),
    ],
)
def test_a_warning_about_a_pin_points_to_what_is_written(methods: Tables, pointer: str) -> None:
    plan = compiled({"data": {"label_budget": 32}, "methods": methods}).plan
    assert {one.pointer for one in plan.warnings} == {pointer}


def test_both_prompted_rows_left_out_are_named_by_both_pieces_of_evidence() -> None:
    plan = compiled({"methods": {"exclude": ["in-context", "zero-shot"]}}).plan
    warned = {one.pointer: one.message for one in plan.warnings if one.code == "W-pin-against-evidence"}
    assert ["R-003" in warned["/methods/exclude/0"], "R-132" in warned["/methods/exclude/1"]] == [True, True]
