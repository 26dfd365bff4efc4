"""The published schema says what the loader does: the same documents are valid, over a corpus of changed ones.

Two differences are the standard's: a schema cannot compare two values of a document (those faults are E-conflict and
E-pattern), and to it 8.0 is an integer.
"""

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from fewtune.specs import later
from fewtune.specs.diagnostic import SpecError
from fewtune.specs.experiment import SPEC_VERSION, Experiment
from fewtune.specs.load import load
from fewtune.specs.methods import METHODS
from fewtune.specs.parse import Document, parse
from fewtune.specs.schema import SCHEMA_ID, attribute_docs, json_schema

EXAMPLES = Path(__file__).parents[2] / "examples"

FULL: dict[str, Any] = {
    "spec_version": 1,
    "name": "clauses",
    "title": "Legal clauses",
    "notes": "Two lines\nof notes.",
    "tags": ["legal", "demo"],
    "task": {
        "type": "classification",
        "labels": ["cost", "date"],
        "verbalizer": {"cost": "money", "date": ["time", "day"]},
        "patterns": ["{text} is about", "minimal"],
        "question": "What is it about?",
    },
    "data": {
        "train": {"path": "a.csv", "rows": "1-200"},
        "validation": "v.csv",
        "test": {"hub": "ag_news", "config": "default", "split": "test", "revision": "main"},
        "unlabelled": "u.jsonl",
        "text": "clause",
        "label": "type",
        "label_budget": {"per_class": [8, 16]},
        "ood": {"mail": {"path": "m.csv"}},
    },
    "model": {"name": "facebook/opt-125m", "revision": "abc", "precision": "fp32", "encoder": "roberta-base"},
    "constraints": {
        "gpu_memory": "24 GB", "gpu_hours": "2 h", "wall_time": "300 s", "trials": 100, "disk": "5 GB",
        "latency": "50 ms", "deployments": 3, "forgetting": 0.1, "ood": True,
    },
    "methods": {
        "include": ["zero-shot"],
        "exclude": ["tfidf"],
        "pin": {
            "rank": [4, 8], "alpha": 16, "targets": ["q_proj"], "schedule": "cosine", "warmup_ratio": 0.1,
            "weight_decay": 0.1, "max_grad_norm": 1, "batch_size": 8, "steps": 100, "demonstrations": [4],
            "pair_iterations": [5], "early_stopping": False, "demonstrations_by": ["balanced", "nearest"],
            "calibration": "contextual",
            "pattern_use": ["each", "search", "ensemble"],
        },
        "arms": [{"name": "mine", "method": "pattern+lora", "learning_rate": 1e-4, "epochs": 3}],
    },
    "evaluation": {
        "metric": "mcc", "data_seeds": 4, "model_seeds": 2, "folds": 5, "validation": "held-out",
        "validation_fraction": 0.25, "confidence": 0.9,
    },
}  # fmt: skip
"""A document with every key of the language but those that exclude others."""

VALUES: tuple[Any, ...] = (
    None, True, 0, 1, 1.5, 0.5, 1e9, "", "no", "0.5", "q_proj", "24 gb", "0 h", "1234567890123 h", "a\nb", "x" * 500,
    [], [8, 16], ["a", "b"], {"path": "x"}, {"a": 1}, {"per_class": 4},
)  # fmt: skip
"""What is put at every place of the document."""


@cache
def validator() -> Draft202012Validator:
    """The published schema, ready."""
    return Draft202012Validator(json_schema())


def loads(tree: dict[str, Any]) -> bool:
    """Whether the loader takes the document, values that contradict each other aside."""
    try:
        Experiment.model_validate(tree)
    except ValidationError as error:
        return {one["type"] for one in error.errors(include_url=False, include_input=False)} == {"conflict"}
    return True


def places(tree: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a document below its root."""
    below = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in below:
        yield (*path, key)
        yield from places(value, (*path, key))


def put(path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The full document with one other value."""
    tree = copy.deepcopy(FULL)
    owner: Any = tree
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    return tree


@pytest.mark.parametrize("path", list(places(FULL)), ids=lambda path: "".join(f"/{part}" for part in path))
def test_schema_and_loader_agree(path: tuple[str | int, ...]) -> None:
    for value in VALUES:
        tree = put(path, value)
        assert validator().is_valid(tree) is loads(tree), repr(value)[:60]


def test_schema_and_loader_refuse_unknown_keys() -> None:
    for path in [(), *places(FULL)]:
        tree = copy.deepcopy(FULL)
        owner: Any = tree
        for key in path:
            owner = owner[key]
        if isinstance(owner, dict) and path[-1:] not in (("verbalizer",), ("ood",)):
            owner["zzz"] = 1
            assert not validator().is_valid(tree), path
            assert not loads(tree), path


def test_every_key_may_be_left_out_alike() -> None:
    for path in places(FULL):
        tree = copy.deepcopy(FULL)
        owner: Any = tree
        for key in path[:-1]:
            owner = owner[key]
        del owner[path[-1]]
        assert validator().is_valid(tree) is loads(tree), path


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())
    assert json_schema()["$id"] == SCHEMA_ID
    assert str(SPEC_VERSION) in SCHEMA_ID
    assert json_schema() == json_schema()
    assert json.loads(json.dumps(json_schema())) == json_schema()


def test_the_full_document_is_valid() -> None:
    assert [error.message for error in validator().iter_errors(FULL)] == []
    load(json.dumps(FULL | {"methods": {**FULL["methods"], "arms": []}}).encode())


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.toml")), ids=lambda path: path.name)
def test_examples_are_valid(path: Path) -> None:
    document = parse(path.read_bytes(), "toml")
    assert isinstance(document, Document)
    assert validator().is_valid(document.tree)


SHORT_FORMS: list[tuple[tuple[str | int, ...], Any]] = [
    (("data", "train"), "a.csv"),
    (("data", "test"), "a.csv"),
    (("methods", "pin", "rank"), 8),
    (("methods", "pin", "learning_rate"), 1e-4),
    (("methods", "pin", "targets"), "all-linear"),
    (("data", "label_budget"), 32),
    (("data", "label_budget"), "all"),
]


@pytest.mark.parametrize(("path", "value"), SHORT_FORMS)
def test_short_forms_are_valid(path: tuple[str | int, ...], value: Any) -> None:
    assert validator().is_valid(put(path, value))


def test_a_named_split_may_be_a_path() -> None:
    assert validator().is_valid(put(("data", "ood"), {"blogs": "b.csv"}))


def objects(node: Any, name: str = "spec") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object of the schema with properties."""
    if isinstance(node, dict):
        if "properties" in node:
            yield name, node
        for key, value in node.items():
            yield from objects(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from objects(value, name)


NESTED = {"task", "data", "model", "constraints", "methods", "evaluation"}


def test_every_property_is_described() -> None:
    for name, node in objects(json_schema()):
        for key, value in node["properties"].items():
            described = value.get("description", "") or ("$ref" in value and key in NESTED)
            assert described, f"{name}.{key}"


def test_every_table_is_closed_and_described() -> None:
    for name, node in objects(json_schema()):
        assert node["additionalProperties"] is False, name
        assert node["description"], name


def test_descriptions_are_the_sentences_of_the_source() -> None:
    from fewtune.specs.constraints import Constraints
    from fewtune.specs.methods import ArmPin

    assert attribute_docs(Constraints)["wall_time"] == "Time of the whole run on the clock, from apply to verdict."
    assert {"rank", "method", "name"} <= attribute_docs(ArmPin).keys(), "those of the base class, too"
    shown = json_schema()["$defs"]["Constraints"]["properties"]["wall_time"]["description"]
    assert shown == attribute_docs(Constraints)["wall_time"]


def words(node: Any) -> Iterator[str]:
    """Every word that the schema lets a user write: names of properties and allowed values."""
    if isinstance(node, dict):
        yield from node.get("properties", {})
        yield from (value for value in node.get("enum", ()) if isinstance(value, str))
        if isinstance(node.get("const"), str):
            yield node["const"]
        for value in node.values():
            yield from words(value)
    elif isinstance(node, list):
        for value in node:
            yield from words(value)


def test_the_schema_holds_only_what_runs() -> None:
    allowed = set(words(json_schema()))
    assert set(METHODS) <= allowed
    assert not allowed & (later.TASKS.keys() | later.METHODS.keys())
    assert not json_schema()["properties"].keys() & later.KEYS.keys()
    assert not {word for word in allowed for name in later.METHODS if word.endswith(f"+{name}")}


@pytest.mark.parametrize("name", [*later.TASKS, *later.METHODS])
def test_what_comes_later_is_valid_in_neither(name: str) -> None:
    for path in (("task", "type"), ("methods", "include", 0), ("methods", "arms", 0, "method")):
        assert not validator().is_valid(put(path, name))
        assert not loads(put(path, name))


def test_patterns_are_plain_enough_for_every_reader() -> None:
    """Editors use JavaScript's regular expressions: no possessive quantifiers, no Python groups."""
    for pattern in re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(json_schema())):
        assert not re.search(r"\(\?P|\+\+|\*\+|\(\?i|\\A|\\Z", pattern)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("constraints", "ood"), "no"),
        (("constraints", "forgetting"), True),
        (("methods", "pin", "early_stopping"), "no"),
        (("methods", "pin", "alpha"), "16"),
        (("methods", "arms", 0, "learning_rate"), True),
        (("spec_version",), True),
    ],
)
def test_a_value_of_another_type_is_refused(path: tuple[str | int, ...], value: Any) -> None:
    """What was meant by it cannot be known."""
    assert not loads(put(path, value))


def test_a_refused_document_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match="E-unknown-key"):
        load(json.dumps(put(("data", "zzz"), 1)).encode())
