"""Small-data safety at plan time: each code on the smallest situation that deserves it, and silence right beside it."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from situations import codes, experiment, facts, faults, found, relabelled, said, twins, with_split, with_splits

from fewtune.compiler import budget, facts_checks, resolution_checks
from fewtune.compiler.compilation import check_plan, compile_plan
from fewtune.compiler.facts import Facts, SplitFacts
from fewtune.compiler.wording import word_forms
from fewtune.specs.diagnostic import CODES, PlanError
from fewtune.specs.methods import METHODS

Tables = dict[str, Any]

CV: Tables = {"data": {"test": None}}
TWO: Tables = {"labels": 2}
PAIR: Tables = {"task": {"type": "pair-classification"}}
NLI: Tables = {"labels": ["entailment", "neutral", "contradiction"]}
JUDGED: Tables = {"labels": ["acceptable", "unacceptable"]}
SUMMARY: Tables = {"task": {"type": "summarisation"}}
SETS: Tables = {"task": {"type": "multi-label"}}
TAGS: Tables = {"task": {"type": "sequence-labelling"}}
PATTERN_OF_BOTH: Tables = {"task": {"type": "question-answering", "patterns": ["{context} {question}"]}}
PATTERN_OF_ONE: Tables = {"task": {"type": "question-answering", "patterns": ["{question}"]}}
WORDS = {"billing": "bill", "delivery": "post", "refund": "back", "account": "user"}

SEARCH: Tables = {"methods": {"pin": {"pattern_use": "search"}}}
ENSEMBLE: Tables = {"methods": {"pin": {"pattern_use": "ensemble"}}}


def cv(rows: int, **more: Any) -> Tables:
    """Facts without a test split."""
    return {"test_rows": 0, "n_rows": rows, **more}


# Code, what fires it (tables and facts), and what is right beside it.
BY_SPEC: list[tuple[str, tuple[Tables, Tables], tuple[Tables, Tables]]] = [
    ("E-too-few-rows", ({"data": {"label_budget": 241}}, {}), ({"data": {"label_budget": 240}}, {})),
    ("E-too-few-rows", ({"data": {"label_budget": [8, 241]}}, {}), ({"data": {"label_budget": [8, 240]}}, {})),
    ("E-too-few-rows", ({"data": {"label_budget": {"per_class": 61}}}, {}),
     ({"data": {"label_budget": {"per_class": 60}}}, {})),
    ("E-too-few-rows", ({"data": {"label_budget": {"per_class": 6}}}, {**TWO, "counts": [40, 5]}),
     ({"data": {"label_budget": {"per_class": 5}}}, {**TWO, "counts": [40, 5]})),
    ("E-too-few-rows", ({"data": {"label_budget": 3}}, {}), ({"data": {"label_budget": 4}}, {})),
    ("E-too-few-rows", (CV, cv(0, labels=2, counts=[40, 1])), (CV, cv(0, labels=2, counts=[40, 2]))),
    ("E-too-few-rows", ({"evaluation": {"data_seeds": 7}}, {**TWO, "n_rows": 3}),
     ({"evaluation": {"data_seeds": 7}}, {**TWO, "n_rows": 12})),
    ("E-one-class", ({}, {"labels": 1, "n_rows": 40}), ({}, {"labels": 2, "n_rows": 40})),
    ("E-label-unknown", ({}, {"labels": 3, "counts": [40, 40]}), ({}, {"labels": 3, "counts": [40, 40, 40]})),
    ("E-model", (SUMMARY, {"model": "llama-endless", "device": "h100"}), (SUMMARY, {"model": "opt-125m"})),
    ("E-pattern", (PATTERN_OF_BOTH, {"context": False}), (PATTERN_OF_BOTH, {})),
    ("E-pattern", (PATTERN_OF_ONE, {}), (PATTERN_OF_ONE, {"context": False})),
    ("E-too-few-rows", (SUMMARY | CV, cv(1)), (SUMMARY | CV, cv(20))),
    ("E-no-effect", ({"methods": {"pin": {"max_new_tokens": 8}}}, {}),
     (SUMMARY | {"methods": {"pin": {"max_new_tokens": 8}}}, {})),
    ("W-rare-label", ({}, {**TWO, "counts": [40, 2]}), ({}, {**TWO, "counts": [40, 3]})),
    ("W-rare-label", (SETS, {**TWO, "counts": [40, 2]}), (SETS, {**TWO, "counts": [40, 3]})),
    ("W-rare-label", (TAGS, {**TWO, "counts": [40, 2]}), (TAGS, {**TWO, "counts": [40, 3]})),
    ("E-label-unknown", (SETS, {"labels": 3, "counts": [40, 40]}), (SETS, {"labels": 3, "counts": [40, 40, 40]})),
    ("E-one-class", (SETS, {"labels": 1, "n_rows": 40}), (SETS, {"labels": 2, "n_rows": 40})),
    ("E-no-effect", (SETS | {"methods": {"pin": {"penalty": 2.0}, "exclude": ["encoder"]}}, {}),
     (SETS | {"methods": {"pin": {"penalty": 2.0}}}, {})),
    ("E-conflict", (SETS | {"methods": {"pin": {"dropout": 0.1}}}, {}), ({"methods": {"pin": {"dropout": 0.1}}}, {})),
    ("E-validation-empty", ({"data": {"validation": "v.csv"}}, {"validation_rows": 1}),
     ({"data": {"validation": "v.csv"}}, {"validation_rows": 2})),
    ("E-validation-empty", ({"data": {"label_budget": 7}, "evaluation": {"validation": "held-out"}}, TWO),
     ({"data": {"label_budget": 8}, "evaluation": {"validation": "held-out"}}, TWO)),
    ("E-validation-empty",
     ({"data": {"label_budget": 20}, "evaluation": {"validation": "held-out", "validation_fraction": 0.9}}, {}),
     ({"data": {"label_budget": 20}, "evaluation": {"validation": "held-out", "validation_fraction": 0.8}}, {})),
    ("E-no-effect", ({"evaluation": {"validation": "fixed-schedule", "validation_fraction": 0.2}}, {}),
     ({"evaluation": {"validation": "held-out", "validation_fraction": 0.2}}, {})),
    ("E-no-effect",
     ({"data": {"validation": "v.csv"}, "evaluation": {"validation_fraction": 0.2}}, {"validation_rows": 20}),
     ({"data": {"validation": "v.csv"}}, {"validation_rows": 20})),
    ("E-no-effect", ({"evaluation": {"folds": 4}}, {}), (CV | {"evaluation": {"folds": 4}}, cv(60))),
    ("E-no-effect", ({"methods": {"pin": {"rank": 4}, "exclude": ["pattern+lora", "head+lora"]}}, {}),
     ({"methods": {"pin": {"rank": 4}, "exclude": ["pattern+lora"]}}, {})),
    ("E-no-effect", ({"methods": {"pin": {"demonstrations": 4}, "exclude": ["in-context"]}}, {}),
     ({"methods": {"pin": {"demonstrations": 4}}}, {})),
    ("E-no-effect", ({"methods": {"pin": {"steps": 90}, "exclude": [name for name in METHODS if "+" in name]}}, {}),
     ({"methods": {"pin": {"steps": 90}, "exclude": [name for name in METHODS if "lora" in name]}}, {})),
    ("E-missing", ({"task": {"verbalizer": {"billing": "bill"}}}, {}), ({"task": {"verbalizer": WORDS}}, {})),
    ("E-value", ({"task": {"verbalizer": {**WORDS, "refunds": "x"}}}, {}), ({"task": {"verbalizer": WORDS}}, {})),
    ("E-value", ({"augmentation": {"eda": True, "label_plan": {"biling": 1.0}}}, {}),
     ({"augmentation": {"eda": True, "label_plan": {"billing": 1.0}}}, {})),
    ("E-value", ({"methods": {"pin": {"targets": ["q_proj", "qproj"]}}}, {}),
     ({"methods": {"pin": {"targets": ["q_proj"]}}}, {})),
    ("E-verbalizer-tokens", ({"task": {"verbalizer": WORDS}}, {"words": {"post": [1, 2]}}),
     ({"task": {"verbalizer": WORDS}}, {"words": {"post": [1]}})),
    ("E-verbalizer", ({"task": {"verbalizer": WORDS}}, {"words": {"post": [1], "bill": [1]}}),
     ({"task": {"verbalizer": WORDS}}, {"words": {"post": [1], "bill": [2]}})),
    ("E-ood-missing", ({"constraints": {"ood": True}}, {}), ({"constraints": {"ood": True}}, {"ood": {"blogs": 40}})),
    ("W-one-ood", ({"constraints": {"ood": True}}, {"ood": {"blogs": 40}}),
     ({"constraints": {"ood": True}}, {"ood": {"blogs": 40, "letters": 40}})),
    ("W-no-gpu-limit", ({"constraints": {"gpu_hours": "1 h"}}, {}),
     ({"constraints": {"gpu_hours": "1 h"}}, {"device": "h100"})),
    ("W-pin-against-evidence", ({"model": {"precision": "bf16"}}, {"device": "old-cpu"}),
     ({"model": {"precision": "bf16"}}, {})),
    ("W-small-test", ({}, {"test_rows": 99}), ({}, {"test_rows": 100})),
    ("W-small-test", (CV, cv(99)), (CV, cv(100))),
    ("E-no-arm", ({"methods": {"exclude": list(METHODS)}}, {}), ({"methods": {"exclude": list(METHODS)[1:]}}, {})),
    ("E-warmup", ({"methods": {"pin": {"warmup_ratio": 1.0}}}, {}), ({"methods": {"pin": {"warmup_ratio": 0.9}}}, {})),
    ("E-warmup", ({"methods": {"pin": {"warmup_ratio": 0.1, "steps": 1}}}, {}),
     ({"methods": {"pin": {"warmup_ratio": 0.1, "steps": 2}}}, {})),
    ("E-target-truncated", ({"task": {"patterns": ["{text}" + " a" * 504]}}, {"tokens": 600}),
     ({"task": {"patterns": ["{text}" + " a" * 503]}}, {"tokens": 600})),
    ("W-truncated", (SUMMARY, {"target_tokens": [300, *[20] * 18]}), (SUMMARY, {"target_tokens": [300, *[20] * 20]})),
    ("W-truncated", ({}, {"tokens": [600, *[20] * 18]}), ({}, {"tokens": [600, *[20] * 20]})),
    ("E-memory", ({"constraints": {"gpu_memory": "4 GB"}}, {"model": "llama-7b", "device": "h100"}),
     ({"constraints": {"gpu_memory": "8 GB"}}, {"model": "llama-7b", "device": "h100"})),
    ("W-single-seed", ({"evaluation": {"data_seeds": 1}}, {}), ({"evaluation": {"data_seeds": 2}}, {})),
    ("W-weak-model", (PAIR, {**NLI, "n_rows": 384}), (PAIR, {**NLI, "n_rows": 385})),
    ("W-weak-model", (PAIR, {**NLI, "model": "opt-350m"}), (PAIR, {**NLI, "model": "llama-7b", "device": "h100"})),
    ("W-weak-model", (PAIR, NLI), ({}, NLI)),
    ("W-weak-model", (PAIR, NLI), ({**PAIR, "constraints": {"latency": "1 ms"}}, NLI)),
    ("W-weak-model", ({}, JUDGED), ({}, TWO)),
    ("W-weak-model", ({}, JUDGED), ({}, {**JUDGED, "n_rows": 257})),
    ("W-weak-model", ({"task": {"verbalizer": {"billing": "acceptable", "delivery": "unacceptable"}}}, TWO),
     ({"task": {"verbalizer": {"billing": "acceptable", "delivery": "offensive"}}}, TWO)),
    ("W-imbalanced", ({}, {**TWO, "counts": [90, 10]}), ({}, {**TWO, "counts": [59, 41]})),
    ("E-conflict", ({"constraints": {"latency": "1 ms"}, "methods": {"include": ["zero-shot"]}}, {}),
     ({"constraints": {"latency": "9 s"}, "methods": {"include": ["zero-shot"]}}, {})),
    ("E-conflict", ({"methods": {"arms": [{"method": "pattern+top", "top_layers": 31}]}}, {}),
     ({"methods": {"arms": [{"method": "pattern+top", "top_layers": 30}]}}, {})),
    ("E-conflict", ({"methods": {"include": ["setfit"]}, "data": {"label_budget": {"per_class": 1}}}, {}),
     ({"methods": {"include": ["setfit"]}, "data": {"label_budget": {"per_class": 2}}}, {})),
    ("W-cut", ({"constraints": {"latency": "1 ms"}}, {}), ({"constraints": {"latency": "9 s"}}, {})),
    ("W-cut", ({"constraints": {"latency": "1 ms"}}, {}), ({"methods": {"arms": [{"method": "zero-shot"}]}}, {})),
    ("W-first-token", ({}, {"words": {form: [5, 6] for form in word_forms("billing")}}), ({}, {})),
    ("E-no-effect", ({"methods": {"arms": [{"method": "head+lora", "pattern_use": "search"}]}}, {}),
     ({"methods": {"arms": [{"method": "pattern+lora", "pattern_use": "search"}]}}, {})),
    ("E-no-effect", ({"methods": {"arms": [{"method": "zero-shot", "pattern_use": "search"}]}}, {}),
     ({"methods": {"arms": [{"method": "zero-shot", "pattern_use": "ensemble"}]}}, {})),
    ("E-no-effect", ({"methods": {"arms": [{"method": "zero-shot", "pattern_use": ["each", "search"]}]}}, {}),
     ({"methods": {"arms": [{"method": "in-context", "pattern_use": ["each", "search"]}]}}, {})),
    ("E-no-effect", (SUMMARY | {"methods": {"arms": [{"method": "generate+lora", "pattern_use": "ensemble"}]}}, {}),
     (SUMMARY | {"methods": {"arms": [{"method": "generate+lora", "pattern_use": "search"}]}}, {})),
    ("E-no-effect", ({"task": {"patterns": ["question"]}, **ENSEMBLE}, {}),
     ({"task": {"patterns": ["question", "minimal"]}, **ENSEMBLE}, {})),
    ("E-no-effect", ({"task": {"verbalizer": {**WORDS, "account": ["user", "login"]}}}, {}),
     ({"task": {"verbalizer": {**WORDS, "account": ["user", "login"]}}, **SEARCH}, {})),
    ("E-value", ({"task": {"verbalizer": {name: list("abc") for name in WORDS}}, **SEARCH}, {}),
     ({"task": {"verbalizer": {name: [f"{name}a", f"{name}b"] for name in WORDS}}, **SEARCH}, {})),
    ("E-verbalizer-tokens",
     ({"task": {"verbalizer": {**WORDS, "account": ["user", "login"]}}, **SEARCH}, {"words": {"login": [1, 2]}}),
     ({"task": {"verbalizer": {**WORDS, "account": ["user", "login"]}}, **SEARCH}, {"words": {"login": [1]}})),
    ("E-no-effect", ({"task": {"patterns": ["{text} :"], "question": "Which?"}}, {}),
     ({"task": {"patterns": ["{text} :", "question"], "question": "Which?"}}, {})),
    ("E-conflict", ({"methods": {"pin": {"pattern_use": "search", "objective": "few-shot-distillation"}}}, {}),
     ({"methods": {"pin": {"pattern_use": "search"}}}, {})),
    ("E-no-effect", ({"methods": {"pin": {"demonstrations_by": "nearest"}, "exclude": ["in-context"]}}, {}),
     ({"methods": {"pin": {"demonstrations_by": "nearest"}}}, {})),
    ("E-no-effect", ({"methods": {"arms": [{"method": "pattern+lora", "calibration": "contextual"}]}}, {}),
     ({"methods": {"arms": [{"method": "zero-shot", "calibration": "contextual"}]}}, {})),
    ("E-no-effect", (SUMMARY | {"methods": {"pin": {"calibration": "contextual"}}}, {}),
     ({"methods": {"pin": {"calibration": "contextual"}}}, {})),
]  # fmt: skip


def clash(given: Facts, row: int, original: int, *, same_label: bool = False) -> Facts:
    """Row repeats the text of another, with its label or with the next."""
    label = given.data.train.labels[original]
    torn = relabelled(given, row, label if same_label else (label + 1) % len(given.data.labels))
    return twins(torn, "train", {row: original})


def shared(given: Facts, name: str, row: int = 3, of: str = "train") -> Facts:
    """A row of the split has the text of a training row, or of another split's."""
    groups = list(given.data.splits[name].groups)
    groups[row] = given.data.splits[of].groups[5]
    return with_split(given, name, groups=tuple(groups))


def validated(given: Facts, share: float) -> Facts:
    """A validation split that has this share of the test rows, and rows of its own."""
    test = given.data.splits["test"]
    groups = [group if row < share * len(test) else f"own {row}" for row, group in enumerate(test.groups)]
    changed = {**test.model_dump(include=set(SplitFacts.model_fields)), "name": "validation", "groups": tuple(groups)}
    return with_splits(given, {**given.data.splits, "validation": SplitFacts.model_validate(changed)})


# Code, the change of sound facts that fires it, and one that does not.
BY_FACTS: list[tuple[str, Callable[[Facts], Facts], Callable[[Facts], Facts]]] = [
    ("E-text-missing", lambda f: with_split(f, "train", missing_text=(3,)), lambda f: f),
    ("E-text-missing", lambda f: with_split(f, "test", missing_text=(3,)), lambda f: f),
    ("E-label-missing", lambda f: with_split(f, "train", missing_label=(3,)), lambda f: f),
    ("E-label-missing", lambda f: with_split(f, "test", missing_label=(3,)),
     lambda f: with_split(f, "unlabelled", missing_label=(3,))),
    ("E-label-unknown", lambda f: with_split(f, "blogs", unknown_labels=("spam",)),
     lambda f: with_split(f, "unlabelled", unknown_labels=("spam",))),
    ("W-duplicate-rows", lambda f: clash(f, 8, 3, same_label=True), lambda f: f),
    ("W-label-conflict", lambda f: clash(f, 8, 3), lambda f: clash(f, 8, 3, same_label=True)),
    ("W-duplicate-across-splits", lambda f: shared(f, "test"), lambda f: f),
    ("W-duplicate-across-splits", lambda f: shared(f, "blogs"), lambda f: f),
    ("W-duplicate-across-splits", lambda f: shared(f, "unlabelled", of="test"), lambda f: shared(f, "unlabelled")),
    ("W-duplicate-across-splits", lambda f: shared(f, "unlabelled", of="blogs"), lambda f: f),
    ("W-truncated", lambda f: with_split(f, "blogs", tokens=(600,) * 40), lambda f: f),
    ("E-validation-is-test", lambda f: validated(f, 1.0), lambda f: validated(f, 0.5)),
    ("W-duplicate-across-splits", lambda f: validated(f, 0.5), lambda f: validated(f, 0.0)),
]  # fmt: skip


def numbered(table: list[tuple[str, Any, Any]]) -> list[Any]:
    """The rows as parameters, named by code and number."""
    return [pytest.param(*row, id=f"{row[0]}-{index}") for index, row in enumerate(table)]


@pytest.mark.parametrize(("code", "fires", "silent"), numbered(BY_SPEC))
def test_a_check_fires_and_is_silent_beside(
    code: str, fires: tuple[Tables, Tables], silent: tuple[Tables, Tables]
) -> None:
    assert code in codes(fires[0], **fires[1])
    assert code not in codes(silent[0], **silent[1])


@pytest.mark.parametrize(("code", "fires", "silent"), numbered(BY_FACTS))
def test_a_check_of_the_rows_fires_and_is_silent_beside(
    code: str, fires: Callable[[Facts], Facts], silent: Callable[[Facts], Facts]
) -> None:
    asked = experiment(data={"ood": {"blogs": "b.csv"}, "unlabelled": "u.csv", "label_budget": 32})
    sound = facts(asked, ood={"blogs": 40}, unlabelled_rows=20)
    assert code in said(asked, fires(sound))
    assert code not in said(asked, silent(sound))


def test_every_code_of_the_checks_is_in_a_table() -> None:
    sources = [Path(module.__file__ or "").read_text() for module in (facts_checks, resolution_checks)]
    written = {code for source in sources for code in re.findall(r'"([EW]-[a-z-]+)"', source)}
    assert written == {code for code, *_ in (*BY_SPEC, *BY_FACTS)}
    assert written <= CODES.keys()


def test_a_sound_situation_is_silent() -> None:
    assert codes() == set()


def test_an_empty_split_is_named() -> None:
    empty = with_split(facts(), "test", text_keys=(), groups=(), labels=(), tokens=())
    assert [(one.code, one.pointer) for one in found(experiment(), empty)] == [("E-too-few-rows", "/data/test")]


def test_all_faults_are_said_at_once() -> None:
    asked = experiment(
        data={"label_budget": 500}, constraints={"ood": True, "gpu_hours": "1 h"},
        evaluation={"folds": 3}, task={"verbalizer": {"billing": "bill"}},
    )  # fmt: skip
    given = with_split(relabelled(facts(asked, counts=(2, 30, 30, 30)), 5, 2), "test", missing_text=(1, 2))
    codes = [one.code for one in found(asked, given)]
    assert {"E-too-few-rows", "E-ood-missing", "E-no-effect", "E-missing", "E-text-missing"} <= set(codes)
    assert {"W-no-gpu-limit", "W-rare-label"} <= set(codes)
    severities = [one.severity for one in found(asked, given)]
    assert severities == sorted(severities), "errors stand before warnings"


def test_faults_of_settled_values_are_said_at_once() -> None:
    pins = {"warmup_ratio": 1.0, "targets": ["nope"], "demonstrations": 3}
    tables = {"methods": {"pin": pins, "exclude": ["in-context"]}, "evaluation": {"data_seeds": 1}}
    assert {"E-warmup", "E-value", "E-no-effect", "W-single-seed"} <= codes(tables)


@pytest.mark.parametrize(("code", "fires", "silent"), numbered(BY_SPEC))
def test_a_finding_has_a_place_and_a_way_out(
    code: str, fires: tuple[Tables, Tables], silent: tuple[Tables, Tables]
) -> None:
    for one in (one for one in faults(fires[0], **fires[1]) if one.code == code):
        assert one.pointer.startswith("/")
        assert one.severity == ("error" if code.startswith("E-") else "warning")
        assert one.remedy or one.expected


def test_a_message_has_no_name_of_the_source_in_it() -> None:
    asked = experiment(data={"label_budget": 241})
    (one,) = found(asked, facts(asked))
    assert "s.pool" not in one.message


# --- what must be said, and is not ----------------------------------------------------------------------------------


def test_the_same_file_for_training_and_test() -> None:
    given = facts(n_rows=60, test_rows=60)
    same = with_split(given, "test", groups=given.data.train.groups, text_keys=given.data.train.text_keys)
    assert "E-too-few-rows" in said(experiment(), same)


def test_a_label_whose_rows_are_all_in_the_test_split() -> None:
    given = facts(n_rows=60, labels=3, test_rows=60)
    train, test = given.data.train, given.data.splits["test"]
    groups = tuple(
        own if label == 2 else other for own, other, label in zip(train.groups, test.groups, train.labels, strict=True)
    )
    assert "E-too-few-rows" in said(experiment(), with_split(given, "test", groups=groups, text_keys=groups))


def test_a_label_with_a_single_text_cannot_be_trained_on_and_scored() -> None:
    asked = experiment(data={"test": None})
    same = twins(facts(n_rows=60, labels=2, test_rows=0), "train", dict.fromkeys(range(3, 60, 2), 1))
    assert "E-too-few-rows" in said(asked, same)


def test_a_fold_without_training_rows() -> None:
    asked = experiment(data={"test": None}, evaluation={"validation": "held-out", "validation_fraction": 0.6})
    same = twins(facts(n_rows=12, labels=2, test_rows=0), "train", dict.fromkeys(range(1, 6), 0))
    made = compile_plan(asked, same)
    assert min(len(sample.train) for sample in made.samples) > 0


def test_a_single_validation_row_in_a_fold() -> None:
    tables = CV | {"evaluation": {"validation": "held-out"}}
    assert "E-validation-empty" in codes(tables, **cv(8, labels=2))


UNFELT: dict[str, Tables] = {
    "a share of what is not held out": {"data": {"label_budget": 32}, "evaluation": {"validation_fraction": 0.4}},
    "a rank without LoRA": {"methods": {"arms": [{"method": "head+full", "rank": [8]}]}},
    "a learning rate without training": {"methods": {"arms": [{"method": "majority", "learning_rate": [1e-3]}]}},
    "demonstrations without a prompt": {"methods": {"arms": [{"method": "head+lora", "demonstrations": [4]}]}},
    "early stopping without validation rows": {
        "data": {"label_budget": 32}, "methods": {"pin": {"early_stopping": True}},
    },
    "a question beside written patterns": {"task": {"question": "Which team?", "patterns": ["Of {text}:"]}},
    "model seeds without training": {
        "evaluation": {"model_seeds": 3}, "methods": {"exclude": [name for name in METHODS if "+" in name]},
    },
}  # fmt: skip


@pytest.mark.parametrize("tables", UNFELT.values(), ids=UNFELT)
def test_a_setting_that_cannot_have_an_effect_is_refused(tables: Tables) -> None:
    assert "E-no-effect" in codes(tables)


def test_held_out_rows_beside_a_validation_split() -> None:
    tables = {"data": {"validation": "v.csv"}, "evaluation": {"validation": "held-out"}}
    assert codes(tables, validation_rows=40)


def test_targets_of_an_arm_that_the_model_does_not_have() -> None:
    assert "E-value" in codes({"methods": {"arms": [{"method": "head+lora", "targets": ["nope"]}]}})


WORDLESS = [{"include": ["pattern+lora"]}, {"include": ["zero-shot"]}, {"arms": [{"method": "in-context"}]}]


@pytest.mark.parametrize("methods", WORDLESS)
def test_a_pattern_without_words(methods: Tables) -> None:
    said_of = codes({"methods": methods}, labels=27, n_rows=270, blurred=True)
    assert any(code.startswith("E-") for code in said_of)


@pytest.mark.parametrize("methods", [{"include": ["pattern+full"]}, {"arms": [{"method": "pattern+full"}]}])
def test_an_arm_that_was_asked_for_and_does_not_fit(methods: Tables) -> None:
    tables = {"methods": methods, "constraints": {"gpu_memory": "24 GB"}}
    assert codes(tables, model="llama-7b", device="h100") & {"E-memory", "W-memory"}


def test_nothing_fits_and_something_is_excluded() -> None:
    tables = {"methods": {"exclude": ["tfidf"]}, "constraints": {"gpu_memory": "4 GB"}}
    assert "E-memory" in codes(tables, model="llama-7b", device="h100")


def test_a_model_that_cannot_even_be_loaded() -> None:
    """Zero-shot and in-context arms need 16 GB here, of 8."""
    tables = {"methods": {"include": ["zero-shot"], "exclude": ["tfidf"]}, "constraints": {"gpu_memory": "8 GB"}}
    assert "E-memory" in codes(tables, model="llama-7b", device="h100")


def test_a_latency_that_no_arm_can_keep() -> None:
    assert codes({"constraints": {"latency": "1 ms"}}, model="llama-7b", device="h100")


# --- before anything is expanded ------------------------------------------------------------------------------------

GRID = """
from situations import codes
pins = {"rank": list(range(1, 51)), "learning_rate": [i / 1e5 for i in range(1, 51)], "steps": list(range(1, 51)),
        "batch_size": list(range(1, 51))}
print(codes({"methods": {"pin": pins}, "task": {"patterns": [f"{{text}} {i}" for i in range(8)]},
             "evaluation": {"data_seeds": 200, "model_seeds": 50}}))
"""


def test_more_than_a_million_trials() -> None:
    arm = {"method": "head+lora", "rank": list(range(1, 51)), "learning_rate": [i / 1e4 for i in range(1, 3)]}
    seeds = {"data_seeds": 200, "model_seeds": 50}
    assert codes({"methods": {"arms": [arm]}, "evaluation": seeds}) == {"E-too-many-trials"}


def test_a_trillion_trials_are_refused_before_they_are_written_out() -> None:
    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (2**31, 2**31))
        resource.setrlimit(resource.RLIMIT_CPU, (3, 3))

    environment = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    command = [sys.executable, "-c", GRID]
    ran = subprocess.run(
        command, env=environment, preexec_fn=limited, capture_output=True, text=True, timeout=120, check=True
    )
    assert ran.stdout.strip() == "{'E-too-many-trials'}"


MANY: Tables = {"steps": list(range(20, 70)), "batch_size": list(range(1, 51)),
                "learning_rate": [i / 1e5 for i in range(1, 51)]}  # fmt: skip
EXPLOSIONS: list[Tables] = [
    {"pin": MANY},
    {"pin": MANY, "arms": [{"method": "pattern+lora", "steps": 20}, {"method": "head+lora"}]},
    {"arms": [{"method": "pattern+lora", "rank": [4, 8], "steps": MANY["steps"], "learning_rate": [1e-4, 2e-4, 3e-4]}]},
    {"include": ["pattern+lora"], "pin": {"batch_size": MANY["batch_size"], "pattern_use": ["each", "search"],
                                          "rank": [4, 8, 16]}},
]  # fmt: skip


@pytest.mark.parametrize("methods", EXPLOSIONS)
@pytest.mark.parametrize("plan", [check_plan, compile_plan])
def test_no_arm_of_a_huge_sweep_is_resolved(
    methods: Tables, plan: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few seeds keep the trials below their limit: the arms are counted as well, before the first rule runs."""
    resolved = list[object]()
    monkeypatch.setattr(budget, "resolve", lambda *given: resolved.append(given))
    with pytest.raises(PlanError) as refused:
        plan(experiment(methods=methods, evaluation={"data_seeds": 1}), facts())
    assert [one.code for one in refused.value.diagnostics] == ["E-too-many-trials"]
    assert not resolved


def test_as_many_arms_as_may_be() -> None:
    lists = {"rank": [4, 8, 16, 32], "steps": list(range(20, 28)), "learning_rate": [i / 1e4 for i in range(1, 9)]}
    asked = experiment(methods={"arms": [{"method": "head+lora", **lists}]}, evaluation={"data_seeds": 1})
    assert not budget.countable(asked)
    more = experiment(methods={"arms": [{"method": "head+lora", **lists}, {"method": "head+lora"}]})
    assert budget.countable(more)
