"""The plan as a whole: the same bytes everywhere, a hash of what counts, a decision for every value."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from situations import CPU, TEN_THOUSAND, compiled, experiment, facts, relabelled, with_model, with_split

from fewtune.compiler.compilation import compile_plan
from fewtune.compiler.facts import Facts, Weather
from fewtune.compiler.fingerprint import canonical
from fewtune.compiler.plan import Compiled, Plan
from fewtune.specs.constraints import Constraints
from fewtune.specs.experiment import DESCRIPTIVE
from fewtune.specs.patch import lookup

Tables = dict[str, Any]

# --- the same bytes -------------------------------------------------------------------------------------------------

PRINT_PLAN = """
from situations import compiled
from fewtune.compiler.fingerprint import canonical
plan = compiled({"data": {"label_budget": [32, 160], "ood": {"b": "b.csv", "a": "a.csv"}}, "constraints":
                 {"wall_time": "20 min", "trials": 90}, "task": {"patterns": ["{text}: ", "About {text}? "]}},
                labels=6, counts=(60, 50, 40, 30, 20, 40), ood={"b": 30, "a": 20}, unlabelled_rows=10)
print(canonical(plan.saved()))
"""


def test_two_processes_give_the_same_bytes() -> None:
    """Nothing in a plan follows the order of a set or a hash of the process."""
    folder = Path(__file__).parents[1]
    printed = []
    for seed in ("0", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
        command = [sys.executable, "-c", PRINT_PLAN]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        printed.append(ran.stdout)
    assert len(printed[0]) > 10_000
    assert printed[0] == printed[1]


def test_planning_imports_nothing_heavy() -> None:
    folder = Path(__file__).parents[1]
    heavy = ["torch", "transformers", "ray", "peft", "datasets", "duckdb", "numpy", "scipy", "rich", "tomlkit"]
    check = f"import sys\nfrom situations import compiled\ncompiled()\nprint([m for m in {heavy} if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    ran = subprocess.run([sys.executable, "-c", check], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_plan_survives_json(shaped: Compiled) -> None:
    again = Plan.model_validate_json(shaped.plan.model_dump_json())
    assert again == shaped.plan
    assert again.hash == shaped.plan.hash
    assert Compiled.model_validate_json(shaped.model_dump_json()) == shaped


def test_a_saved_plan_is_json_and_holds_its_hash(shaped: Compiled) -> None:
    saved = json.loads(canonical(shaped.saved()))
    assert saved["plan_hash"] == shaped.plan.hash
    assert Plan.model_validate(saved["plan"]).hash == shaped.plan.hash


# --- the plan's hash ------------------------------------------------------------------------------------------------

BASE: Tables = {"data": {"label_budget": 160}}

DESCRIPTIONS: dict[str, Any] = {"name": "other", "title": "Another", "notes": "why", "tags": ["a", "b"]}


@pytest.mark.parametrize("field", DESCRIPTIVE)
def test_descriptions_do_not_change_the_hash(field: str) -> None:
    assert DESCRIPTIONS.keys() == set(DESCRIPTIVE)
    changed = compiled(BASE | {field: DESCRIPTIONS[field]})
    assert changed.plan.hash == compiled(BASE).plan.hash
    assert canonical(changed.plan.model_dump(mode="json")) != canonical(compiled(BASE).plan.model_dump(mode="json"))


def test_weather_does_not_change_the_plan() -> None:
    asked, calm = experiment(**BASE), facts()
    stormy = calm.model_copy(update={"weather": Weather(free_memory_bytes=1, free_disk_bytes=1)})
    assert compile_plan(asked, calm) == compile_plan(asked, stormy)


def test_the_file_name_does_not_change_the_hash() -> None:
    asked, given = experiment(), facts()
    one, other = (compile_plan(asked, given, name).plan for name in ("one", "other"))
    assert (one.experiment_name, other.experiment_name) == ("one", "other")
    assert one.hash == other.hash


GENEROUS: dict[str, Any] = {
    "gpu_memory": "15 GB", "gpu_hours": "1000 h", "wall_time": "9 days", "trials": 100_000, "disk": "90 TB",
    "latency": "1 h", "deployments": 1, "forgetting": 0.9, "ood": False,
}  # fmt: skip


@pytest.mark.parametrize("name", Constraints.model_fields)
@pytest.mark.parametrize("device", ["cpu", "h100"])
def test_a_generous_limit_leaves_a_decision(name: str, device: str) -> None:
    """Constraints promise it: each given limit leaves a decision in the plan, and a generous one nothing else."""
    was = compiled(BASE, device=device).plan
    now = compiled(BASE | {"constraints": {name: GENEROUS[name]}}, device=device).plan
    assert was.arms == now.arms
    known = {one.field: one.value for one in was.decisions}
    (decision,) = [one for one in now.decisions if one.field not in known or one.value != known[one.field]]
    assert decision.field == f"/experiment/constraints/{name}"
    assert decision.value == lookup(now.model_dump(mode="json"), decision.field)
    assert (decision.rule, decision.pinned, decision.decided_by) == ("pin", True, "budget")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"wall_time": "9 days"}, "the plan takes about"),
        ({"trials": 100}, "the plan takes 41 trials"),
        ({"disk": "90 TB"}, "MB"),
        ({"gpu_hours": "9 h"}, "no accelerator here"),
    ],
)
def test_a_limit_says_how_near_the_plan_is(limits: dict[str, Any], words: str) -> None:
    plan = compiled({"constraints": limits}).plan
    (decision,) = [one for one in plan.decisions if one.field.startswith("/experiment/constraints/")]
    assert words in decision.because


FACTS_FELT: dict[str, Callable[[Facts], Facts]] = {
    "a training text": lambda given: with_split(given, "train", text_keys=("0" * 16, *given.data.train.text_keys[1:])),
    "a training label": lambda given: relabelled(given, 0, 1),
    "a test label": lambda given: with_split(given, "test", labels=(1, *given.data.splits["test"].labels[1:])),
    "the weights": lambda given: with_model(given, weights_hash="f" * 24),
    "the tokenizer": lambda given: with_model(given, tokenizer_hash="f" * 24),
    "the device": lambda given: Facts(
        data=given.data, model=given.model, device=CPU.model_copy(update={"name": "cpu avx512-bf16"})
    ),
}


@pytest.mark.parametrize("what", FACTS_FELT)
def test_identity_facts_change_the_hash(what: str) -> None:
    asked, given = experiment(), facts()
    assert compile_plan(asked, given).plan.hash != compile_plan(asked, FACTS_FELT[what](given)).plan.hash


def test_places_in_the_text_do_not_change_the_hash() -> None:
    plan = compiled(device="cpu", test_rows=30).plan
    assert plan.warnings
    moved = plan.model_copy(update={"warnings": tuple(one.located(7, 3) for one in plan.warnings)})
    assert Plan.model_validate(moved.model_dump()).hash == plan.hash


# --- decisions ------------------------------------------------------------------------------------------------------


def about(plan: Plan) -> None:
    """Each decision points into the plan, and to its value."""
    content = plan.model_dump(mode="json")
    for decision in plan.decisions:
        found = lookup(content, decision.field)
        wanted = [level["n"] for level in found] if decision.field == "/levels" else found
        assert decision.value == wanted, decision.field


def test_a_decision_is_about_the_value_that_the_plan_has(shaped: Compiled) -> None:
    about(shaped.plan)


@pytest.mark.parametrize("wall", ["20 min", "4 min"])
def test_a_decision_of_a_cut_plan_is_about_the_value_that_it_has(wall: str) -> None:
    """And the methods and arms that are left out stand in the order of their decisions."""
    plan = compiled({"data": {"label_budget": [8, 64]}, "constraints": {"wall_time": wall}}, tokens=40).plan
    about(plan)
    left_out = [one for one in plan.decisions if one.field.startswith("/left_out/")]
    assert [one.field for one in left_out] == [f"/left_out/{index}" for index in range(len(plan.left_out))]


def test_more_pinned_demonstrations_than_labels() -> None:
    plan = compiled({"data": {"label_budget": 16}, "methods": {"pin": {"demonstrations": [32]}}}).plan
    decision = next(one for one in plan.decisions if one.field.endswith("/demonstrations"))
    assert lookup(plan.model_dump(mode="json"), decision.field) == decision.value


def test_a_place_is_decided_once(shaped: Compiled) -> None:
    fields = [decision.field for decision in shaped.plan.decisions]
    assert len(fields) == len(set(fields))


# --- size -----------------------------------------------------------------------------------------------------------


def test_ten_thousand_trials() -> None:
    plan = compiled(TEN_THOUSAND, n_rows=400).plan
    assert len(plan.trials) == 200 * 50 + 4 * 50 + 1
    assert len({stage.id for stage in plan.stages}) == len(plan.stages)
