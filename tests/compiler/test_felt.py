"""No field of the language is silent: for each, a pair of specs that differ in it alone and in what follows from it."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel
from situations import compiled, faults

from fewtune.specs.experiment import DESCRIPTIVE, Experiment

Tables = dict[str, Any]
BUDGET: Tables = {"data": {"label_budget": 160}}
TEACHER = {"model": "m", "base_url": "http://127.0.0.1:1/v1"}
TAUGHT: Tables = BUDGET | {"augmentation": {"teacher": TEACHER}}
CHANGED: Tables = BUDGET | {"augmentation": {"eda": True}}


def arm(method: str, **pins: Any) -> Tables:
    """A spec with this method as an arm."""
    return BUDGET | {"methods": {"include": [method], "pin": pins}}


def changed(tables: Tables, field: str, value: Any) -> Tables:
    """The tables with one more value."""
    made = json.loads(json.dumps(tables))
    *path, last = field.split(".")
    place = made
    for key in path:
        place = place.setdefault(key, {})
    place[last] = value
    return made  # type: ignore[no-any-return]


STUDENTS: Tables = BUDGET | {"methods": {"exclude": ["head+lora", "head+full", "pattern+full"]}}
DISTILLED: Tables = BUDGET | {"methods": {**STUDENTS["methods"], "pin": {"objective": "few-shot-distillation"}}}
PREFERRED: Tables = {"task": {"type": "preference"}, "data": {"label_budget": 160, "label": None, "rejected": "worse"}}
WRITTEN: Tables = {"task": {"type": "generation"}, "data": {"label_budget": 160, "label": None, "target": "answer"}}
TEXTS: Tables = BUDGET | {"data": {"label_budget": 160, "unlabelled": "u.csv"}}
REPLAYED: Tables = TEXTS | {"data": {**TEXTS["data"], "replay": "r.csv"}}

FELT: dict[str, tuple[Tables, Any]] = {
    "task.type": (BUDGET, "multi-label"),
    "task.verbalizer": (BUDGET, {"billing": "bill", "delivery": "post", "refund": "b", "account": "a"}),
    "task.patterns": (BUDGET, ["Of {text}:"]),
    "task.question": (BUDGET, "Which team?"),
    "task.instruction": (WRITTEN, "Answer in one line."),
    "data.label_budget": (BUDGET, 161),
    "data.label_noise": (BUDGET, [0.1]),
    "data.ood": (BUDGET, {"b": "b.csv"}),
    "data.unlabelled": (BUDGET | {"methods": {"pin": {"pretraining_steps": 20}}}, "u.csv"),
    "data.replay": (TEXTS | {"methods": {"pin": {"pretraining_steps": 20}}}, "r.csv"),
    "data.test": (BUDGET, None),
    "data.validation": (BUDGET, "v.csv"),
    "model.name": (BUDGET, "facebook/opt-125m"),
    "model.precision": (BUDGET, "fp32"),
    "model.encoder": (arm("encoder+lora"), "roberta-base"),
    "constraints.gpu_memory": (BUDGET, "3 GB"),
    "constraints.gpu_hours": (BUDGET, "1 h"),
    "constraints.wall_time": (BUDGET, "15 min"),
    "constraints.trials": (BUDGET, 20),
    "constraints.disk": (BUDGET, "1 GB"),
    "constraints.latency": (BUDGET, "100 ms"),
    "constraints.deployments": (BUDGET, 3),
    "constraints.forgetting": (BUDGET, 0.01),
    "constraints.ood": (BUDGET, True),
    "methods.include": (BUDGET, ["head+full"]),
    "methods.exclude": (BUDGET, ["tfidf"]),
    "methods.arms": (BUDGET, [{"method": "head+lora"}]),
    "methods.pin.rank": (BUDGET, 4),
    "methods.pin.alpha": (BUDGET, 8.0),
    "methods.pin.rslora": (BUDGET, True),
    "methods.pin.dropout": (BUDGET, 0.2),
    "methods.pin.lr_ratio": (BUDGET, 16.0),
    "methods.pin.width": (arm("pattern+adapter"), 32),
    "methods.pin.placement": (arm("pattern+adapter"), "pfeiffer"),
    "methods.pin.virtual_tokens": (arm("pattern+prompt"), 7),
    "methods.pin.top_layers": (arm("pattern+top"), 3),
    "methods.pin.layer_decay": (arm("pattern+top"), 0.5),
    "methods.pin.targets": (BUDGET, ["q_proj"]),
    "methods.pin.objective": (STUDENTS, "few-shot-distillation"),
    "methods.pin.temperature": (DISTILLED, 3.0),
    "methods.pin.label_weight": (DISTILLED, 0.3),
    "methods.pin.context": (
        TEXTS | {"methods": {**STUDENTS["methods"], "pin": {"objective": "context-distillation"}}},
        "Be kind.",
    ),
    "methods.pin.pretraining_steps": (TEXTS, 20),
    "methods.pin.replay": (REPLAYED | {"methods": {"pin": {"pretraining_steps": 20}}}, 0.3),
    "methods.pin.beta": (PREFERRED, 0.3),
    "methods.pin.reward_margin": (PREFERRED | {"methods": {"include": ["simpo+lora"]}}, 1.3),
    "methods.pin.odds_weight": (PREFERRED | {"methods": {"include": ["orpo+lora"]}}, 0.3),
    "methods.pin.learning_rate": (BUDGET, 3e-4),
    "methods.pin.steps": (BUDGET, 33),
    "methods.pin.epochs": (BUDGET, 2.0),
    "methods.pin.batch_size": (BUDGET, 4),
    "methods.pin.schedule": (BUDGET, "constant"),
    "methods.pin.warmup_ratio": (BUDGET, 0.2),
    "methods.pin.weight_decay": (BUDGET, 0.1),
    "methods.pin.max_grad_norm": (BUDGET, 0.3),
    "methods.pin.early_stopping": (BUDGET, False),
    "methods.pin.demonstrations": (BUDGET, 4),
    "methods.pin.demonstrations_by": (BUDGET, "nearest"),
    "methods.pin.calibration": (BUDGET, "contextual"),
    "methods.pin.pattern_use": (BUDGET, "ensemble"),
    "methods.pin.penalty": (BUDGET, 2.0),
    "methods.pin.pair_iterations": (arm("setfit"), 7),
    "methods.pin.max_new_tokens": (WRITTEN, 9),
    "evaluation.metric": (BUDGET, "mcc"),
    "evaluation.data_seeds": (BUDGET, 4),
    "evaluation.model_seeds": (BUDGET, 2),
    "evaluation.folds": (BUDGET | {"data": {"label_budget": 160, "test": None}}, 4),
    "evaluation.validation": (BUDGET, "fixed-schedule"),
    "evaluation.validation_fraction": (BUDGET, 0.3),
    "evaluation.halving": (BUDGET, 2),
    "evaluation.confidence": (BUDGET, 0.8),
    "augmentation.teacher": (CHANGED, TEACHER),
    "augmentation.eda": (TAUGHT, True),
    "augmentation.target": (TAUGHT, 33),
    "augmentation.factor": (TAUGHT, 3.0),
    "augmentation.gate": (TAUGHT, False),
    "augmentation.quality_threshold": (TAUGHT, 0.4),
    "augmentation.diversity_weight": (TAUGHT, 0.4),
    "augmentation.keep": (TAUGHT, 5),
    "augmentation.task_description": (TAUGHT, "Tickets of a shop."),
    "augmentation.domain_constraints": (TAUGHT, ["No names."]),
    "augmentation.attributes": (TAUGHT, {"tone": ["angry", "calm"]}),
    "augmentation.label_plan": (TAUGHT, {"billing": 40, "refund": 10}),
    "augmentation.max_tokens": (TAUGHT, 1_000),
    "augmentation.max_cost": (TAUGHT | {"augmentation": {"teacher": TEACHER | {"prompt_price": 9.0}}}, 0.1),
    "augmentation.eda_copies": (CHANGED, 3),
    "augmentation.eda_alpha": (CHANGED, 0.3),
}
"""Field -> a spec without it, and a value that is felt there."""

READ = {
    "task.labels", "data.train", "data.text", "data.premise", "data.hypothesis", "data.question", "data.context",
    "data.label", "data.target", "data.rejected", "model.path", "model.revision", "model.encoder_path",
}  # fmt: skip
"""Names of files, columns and labels: what is read there is a fact, and each fact changes the plan
(test_identity_facts_change_the_hash)."""
SPEC_VERSION = "spec_version"
"""One there is, and others are refused (tests/specs)."""


def fields() -> Iterator[str]:
    """All settings of the language but descriptions; an arm of one's own has the pins of all arms."""
    for name, field in Experiment.model_fields.items():
        tables = [each for each in (field.annotation, *get_args(field.annotation)) if isinstance(each, type)]
        table = next((each for each in tables if issubclass(each, BaseModel)), None)
        if table is None:
            yield from () if name in (*DESCRIPTIVE, SPEC_VERSION) else (name,)
            continue
        for inner, value in table.model_fields.items():
            if inner == "pin":
                yield from (f"{name}.pin.{pin}" for pin in value.annotation.model_fields)  # type: ignore[union-attr]
            else:
                yield f"{name}.{inner}"


def test_every_field_is_listed() -> None:
    assert set(fields()) == set(FELT) | READ


def consequences(tables: Tables) -> Any:
    """What is refused; else decisions, trials, what they are scored on, and what can be told."""
    data, model = tables.get("data", {}), tables.get("model", {})
    given = {
        "test_rows": 0 if data.get("test", "") is None else 200,
        "validation_rows": 60 if "validation" in data else 0,
        "ood": dict.fromkeys(data.get("ood", {}), 20),
        "unlabelled_rows": 40 if "unlabelled" in data else 0,
        "replay_rows": 40 if "replay" in data else 0,
        "model": "opt-125m" if "name" in model else "small",
        "encoder": model.get("encoder"),
    }
    refused = [one.code for one in faults(tables, **given) if one.severity == "error"]
    if refused:
        return refused
    made = compiled(tables, **given)
    decisions = [(one.field, one.value) for one in made.plan.decisions]
    trials = [(one.id, one.fingerprint) for one in made.plan.trials]
    scored = {(one.trial, one.split) for one in made.plan.stages if one.kind == "evaluate"}
    return decisions, trials, scored, made.estimate.detectable


@pytest.mark.parametrize("field", FELT)
def test_no_field_is_silent(field: str) -> None:
    """Decisions are compared by place and value, so that a decision which only repeats the spec is not enough."""
    tables, value = FELT[field]
    assert consequences(tables) != consequences(changed(tables, field, value))
