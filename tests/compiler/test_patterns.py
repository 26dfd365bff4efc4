"""Patterns by name, searched and pooled; label words to choose among; and what of it names a fit."""

from typing import Any

import pytest
from situations import compiled, experiment, facts

from fewtune.compiler.arm import Arm
from fewtune.compiler.budget import countable
from fewtune.compiler.packing import key
from fewtune.compiler.plan import Plan
from fewtune.compiler.resolve import resolve
from fewtune.compiler.sample import pool
from fewtune.compiler.situation import Situation
from fewtune.compiler.verbalizers import verbalizers
from fewtune.specs.data import FIELD
from fewtune.specs.task import FIELDS, PATTERN_NAMES, Task, TaskType

Tables = dict[str, Any]
ASKED = [task for task in sorted(FIELDS) if Task(type=task).marks is None]
"""Tasks that are put into words."""
THREE: Tables = {"task": {"patterns": list(PATTERN_NAMES)}}
SMALL: Tables = {"data": {"label_budget": 32}}
IN_CONTEXT = "3481fb6a45c95c445655dc85"
"""The first in-context fit, as it was named before it could be asked in other ways."""


def arms(plan: Plan, method: str) -> list[Arm]:
    return [arm for arm in plan.arms if arm.method == method]


def fits(plan: Plan, method: str) -> list[str]:
    """Fingerprints of the fits of an arm's first trial, arm by arm."""
    return [next(one.fingerprint for one in plan.stages if one.kind == "train" and one.arm == arm.name)
            for arm in arms(plan, method)]  # fmt: skip


def situation(tables: Tables, **parameters: Any) -> Situation:
    asked = experiment(**tables)
    given = facts(asked, **parameters)
    return resolve(Situation.first(asked, given, pool(given.data)[0])).situation


@pytest.mark.parametrize("task", ASKED)
def test_every_task_has_three_patterns_that_differ(task: TaskType) -> None:
    found = situation({"task": {"type": task}}).named_patterns
    assert tuple(found) == PATTERN_NAMES
    assert len(set(found.values())) == 3
    for text in found.values():
        assert set(FIELD.findall(text)) - {"labels"} == set(FIELDS[task])
    lengths = [len(FIELD.sub("", text)) for text in found.values()]
    assert lengths == sorted(lengths), "minimal is the shortest, an instruction the longest"


def test_every_pattern_that_a_name_may_stand_for_is_measured() -> None:
    for task in ASKED:
        for model in ("small", "opt-125m"):
            for context in (True, False):
                found = situation({"task": {"type": task}}, model=model, context=context)
                assert found.facts.model.pattern_tokens.keys() >= set(found.named_patterns.values())


def test_names_make_an_arm_each_under_their_own_name() -> None:
    own = {"task": {"patterns": ["minimal", "{text} It was about", "instruction"]}}
    named = [arm.name for arm in arms(compiled(SMALL | own).plan, "pattern+lora")]
    assert [name.rpartition(", ")[2] for name in named] == ["pattern minimal", "pattern 2", "pattern instruction"]


def test_a_search_and_an_ensemble_are_an_arm_each_beside_those_of_each_pattern() -> None:
    pins: Tables = {"methods": {"pin": {"pattern_use": ["each", "search", "ensemble"]}}}
    plan = compiled(SMALL | THREE | pins).plan
    found = arms(plan, "pattern+lora")
    assert sorted(arm.pattern_use for arm in found) == ["each", "each", "each", "ensemble", "search"]
    assert {arm.pattern_use: len(arm.patterns) for arm in found} == {"each": 0, "search": 3, "ensemble": 3}
    assert {arm.name for arm in found} == {
        f"pattern + LoRA r=8, pattern {name}" for name in (*PATTERN_NAMES, "search", "ensemble")
    }
    assert {arm.pattern_use for arm in arms(plan, "zero-shot")} == {"each", "ensemble"}
    assert {arm.pattern_use for arm in arms(plan, "head+lora")} == {"each"}
    assert len(fits(plan, "pattern+lora")) == len(set(fits(plan, "pattern+lora"))) == 5
    assert [key(arm) is None for arm in found] == [arm.pattern_use == "search" for arm in found]


def test_without_patterns_those_by_name_are_searched() -> None:
    plan = compiled(SMALL | {"methods": {"pin": {"pattern_use": "search"}}}).plan
    (arm,) = arms(plan, "pattern+lora")
    assert set(arm.patterns) == set(situation(SMALL).named_patterns.values())
    assert arm.pattern == arm.patterns[0] == "{text}\nCategory:"


def test_by_default_nothing_is_searched_and_fits_keep_their_names() -> None:
    """The names that fits had before there was a search, a pool, a calibration, or another choice of examples."""
    plan = compiled(SMALL).plan
    assert all(arm.pattern_use == "each" and not arm.patterns and not arm.verbalizers for arm in plan.arms)
    assert fits(plan, "in-context") == [IN_CONTEXT]
    written: Tables = {"pattern_use": "each", "calibration": "none", "demonstrations_by": "balanced"}
    assert fits(compiled(SMALL | {"methods": {"pin": written}}).plan, "in-context") == [IN_CONTEXT]


@pytest.mark.parametrize(
    "pin", [{"demonstrations_by": "nearest"}, {"calibration": "contextual"}, {"pattern_use": "search"}]
)
def test_each_setting_names_another_fit(pin: Tables) -> None:
    assert fits(compiled(SMALL | {"methods": {"pin": pin}}).plan, "in-context") != [IN_CONTEXT]


def test_a_teacher_is_calibrated_where_it_is_asked_for() -> None:
    def taught(**pins: str) -> Plan:
        arm = {"method": "pattern+lora", "objective": "few-shot-distillation", **pins}
        return compiled(SMALL | {"methods": {"arms": [arm]}}).plan

    plain, asked = taught(), taught(calibration="contextual")
    (student,) = arms(asked, "pattern+lora")
    assert student.name == "pattern + LoRA r=8, few-shot distillation by a calibrated teacher"
    assert student.distillation is not None
    assert (student.distillation.calibration, student.calibration) == ("contextual", "none")
    assert fits(plain, "pattern+lora") == fits(taught(calibration="none"), "pattern+lora")
    assert fits(plain, "pattern+lora") != fits(asked, "pattern+lora")
    assert fits(plain, "pattern+lora") == ["70c30c45f1688e722d73d2e1"]  # as before there was a calibration


def test_settings_of_in_context_are_swept_and_named() -> None:
    pins: Tables = {"demonstrations_by": ["balanced", "nearest"], "calibration": ["none", "contextual"]}
    plan = compiled(SMALL | {"methods": {"pin": pins}}).plan
    assert [arm.name for arm in arms(plan, "in-context")] == [
        "in-context k=16", "in-context k=16, calibrated", "in-context k=16, nearest",
        "in-context k=16, nearest, calibrated",
    ]  # fmt: skip
    assert [arm.name for arm in arms(plan, "zero-shot")] == ["zero-shot", "zero-shot, calibrated"]
    assert [arm.encodes for arm in arms(plan, "in-context")] == [False, False, True, True]
    costs = {cost.arm: cost.seconds.mid for cost in compiled(SMALL | {"methods": {"pin": pins}}).estimate.arms}
    assert costs["in-context k=16, nearest, calibrated"] > 2 * costs["in-context k=16, nearest"]
    assert costs["in-context k=16, nearest"] > 2 * costs["in-context k=16"]


def test_searches_and_pools_cost_what_they_read() -> None:
    pins: Tables = {"methods": {"pin": {"pattern_use": ["each", "search", "ensemble"]}}}
    fixed: Tables = {"evaluation": {"validation": "fixed-schedule"}}
    costs = {cost.arm: cost.seconds.mid for cost in compiled(SMALL | THREE | pins | fixed).estimate.arms}
    each = costs["pattern + LoRA r=8, pattern minimal"]
    assert costs["pattern + LoRA r=8, pattern search"] > each
    assert costs["pattern + LoRA r=8, pattern ensemble"] > 1.2 * each


WORDS: Tables = {"billing": ["bill", "money"], "delivery": "post", "refund": ["back", "bill"], "account": "user"}


def test_alternatives_are_combined_but_never_share_a_token() -> None:
    found = verbalizers(situation({"task": {"verbalizer": WORDS}}))
    assert [(one.words["billing"], one.words["refund"]) for one in found] == [
        ("bill", "back"), ("money", "back"), ("money", "bill"),
    ]  # fmt: skip
    assert all(len(set(one.tokens.values())) == 4 for one in found)


def test_without_alternatives_other_spellings_are_tried() -> None:
    found = verbalizers(situation({}))
    assert [one.words["billing"] for one in found] == ["billing", "Billing"]
    assert len(verbalizers(situation({"task": {"verbalizer": {**WORDS, "billing": "x", "refund": "y"}}}))) == 1


def test_others_take_the_first_word() -> None:
    plan = compiled(SMALL | {"task": {"verbalizer": WORDS}, "methods": {"pin": {"pattern_use": "search"}}}).plan
    assert plan.verbalizer is not None
    assert plan.verbalizer.words == {"billing": "bill", "delivery": "post", "refund": "back", "account": "user"}
    (arm,) = arms(plan, "pattern+lora")
    assert len(arm.verbalizers) == 3
    assert not arms(plan, "zero-shot")[0].verbalizers


def test_a_search_is_one_arm_however_many_patterns() -> None:
    many = [f"{{text}} {place}:" for place in range(8)]
    tables: Tables = {"task": {"patterns": many}, "evaluation": {"data_seeds": 200, "model_seeds": 50}}
    arms: list[Tables] = [{"method": "pattern+lora", "rank": list(range(1, 8)), "pattern_use": use}
                          for use in ("each", "search")]  # fmt: skip
    assert countable(experiment(**tables, methods={"arms": arms[:1]}))
    assert not countable(experiment(**tables, methods={"arms": arms[1:]}))
