"""Projections of the language for engines that write under a grammar: they fit, they compile, and lose nothing."""

import json
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fewtune.specs.experiment import Experiment
from fewtune.specs.load import load_file
from fewtune.specs.profiles import PROFILES, Profile, counts, fitting, violations
from fewtune.specs.projection import CORE, beyond_core, core_schema, project, restore, whole_schema

sys.path.insert(0, str(Path(__file__).parent))

from generated import specs

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.toml"))
SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {"whole": whole_schema, "core": core_schema}


def same(spec: Experiment, *, core: bool = False) -> Experiment:
    """There and back, through JSON."""
    return Experiment.model_validate(restore(json.loads(json.dumps(project(spec, core=core)))))


def check_round_trips(count: int, seed: int) -> None:
    whole, core = Draft202012Validator(whole_schema()), Draft202012Validator(core_schema())
    for number, spec in enumerate(islice(specs(seed), count)):
        assert same(spec) == spec
        if not beyond_core(spec):
            assert same(spec, core=True) == spec
            core.validate(project(spec, core=True))
        if number % 10 == 0:
            whole.validate(project(spec))


def test_nothing_is_lost() -> None:
    check_round_trips(500, seed=1)


@pytest.mark.full
def test_nothing_is_lost_over_ten_thousand() -> None:
    check_round_trips(10_000, seed=2)


def test_the_generated_specs_use_every_field() -> None:
    """Else the round trip would show little."""
    seen: set[str] = set()
    for spec in islice(specs(3), 1500):
        seen |= said(project(spec), whole_schema())
    assert seen == every(whole_schema())


def every(node: dict[str, Any], at: str = "") -> set[str]:
    found = {at} if at else set()
    for branch in node.get("anyOf", [node]):
        for name, field in branch.get("properties", {}).items():
            found |= every(field, f"{at}/{name}")
        if "items" in branch:
            found |= every(branch["items"], f"{at}/-")
    return found


def said(value: Any, node: dict[str, Any], at: str = "") -> set[str]:
    if value is None:
        return set()
    found = {at} if at else set()
    for branch in node.get("anyOf", [node]):
        if isinstance(value, dict) and "properties" in branch:
            for name, item in value.items():
                found |= said(item, branch["properties"][name], f"{at}/{name}")
        elif isinstance(value, list) and "items" in branch:
            for item in value:
                found |= said(item, branch["items"], f"{at}/-")
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_come_back(path: Path) -> None:
    spec = load_file(path).experiment
    assert same(spec) == spec


def test_what_is_omitted_is_null_and_nothing_else() -> None:
    spec = load_file(next(path for path in EXAMPLES if path.stem == "sixty_rows")).experiment
    document = project(spec)
    absent = ["title", "notes", "tags", "model", "evaluation", "methods", "augmentation"]
    assert [name for name, value in document.items() if value is None] == absent
    assert list(document) == list(whole_schema()["properties"])


def test_the_core_says_what_it_cannot_say() -> None:
    spec = load_file(next(path for path in EXAMPLES if path.stem == "patterns")).experiment
    assert "/methods/arms" in beyond_core(spec)
    with pytest.raises(ValueError, match="the core cannot say"):
        project(spec, core=True)
    small = load_file(next(path for path in EXAMPLES if path.stem == "quickstart")).experiment
    assert same(small, core=True) == small


@pytest.mark.parametrize(
    ("schema", "profile"),
    [("whole", "openai"), *(("core", profile.name) for profile in PROFILES)],
)
def test_a_schema_fits_its_profiles(schema: str, profile: str) -> None:
    [limits] = [one for one in PROFILES if one.name == profile]
    assert violations(SCHEMAS[schema](), limits) == ()


def test_which_profiles_are_fitted_is_what_the_page_says() -> None:
    assert fitting(whole_schema()) == ("openai",)
    assert fitting(core_schema()) == ("openai", "anthropic", "gemini", "minimal")
    assert len(CORE) + 1 == len(core_schema()["properties"]) == 20
    assert len(json.dumps(core_schema())) <= 10_000


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"properties": {"a": {"type": "string", "pattern": "x"}}, "required": ["a"]}, "the keyword pattern"),
        ({"properties": {"a": {"type": "string"}}, "required": []}, "1 optional properties"),
        ({"additionalProperties": True}, "1 objects that accept other keys"),
        (
            {"properties": {"a": {"anyOf": [{"type": "integer"}, {"type": "number"}]}}, "required": ["a"]},
            "1 unions whose branches overlap",
        ),
        ({"properties": {f"p{n}": {"type": ["string", "null"]} for n in range(17)}}, "17 unions, at most 16"),
    ],
)
def test_the_linter_finds(change: dict[str, Any], says: str) -> None:
    properties = change.get("properties", {"a": {"type": "string"}})
    base = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    strict = Profile(name="strict", as_of="", refused=frozenset({"pattern"}), most_depth=5, most_unions=16,
                     most_optional=0)  # fmt: skip
    assert violations(base | {"additionalProperties": False}, strict) == () or "properties" in change
    assert any(said.startswith(says) for said in violations(base | change, strict))


def test_depth_is_that_of_objects() -> None:
    leaf: dict[str, Any] = {"type": "string"}
    for _ in range(6):
        leaf = {"type": "object", "properties": {"a": leaf}, "required": ["a"], "additionalProperties": False}
    assert counts(leaf).depth == 6
    assert counts({"type": "object", "properties": {"a": {"type": "array", "items": leaf}}}).depth == 7


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_grammar_engine_compiles_it(name: str) -> None:
    llguidance = pytest.importorskip("llguidance")
    grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(SCHEMAS[name]()))
    assert llguidance.LLMatcher.validate_grammar(grammar) == ""
