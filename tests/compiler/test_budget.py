"""Fitting limits: what is cut, in which order, what stays, and that each cut is named twice."""

import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from situations import codes, compiled, faults

from fewtune.compiler import budget
from fewtune.compiler.budget import LEAST_STEPS, MARGIN
from fewtune.compiler.plan import Compiled, Plan
from fewtune.specs.diagnostic import PlanError
from fewtune.specs.methods import MethodName
from fewtune.specs.units import Size

Tables = dict[str, Any]

CURVE: Tables = {"data": {"label_budget": [8, 64]}}
KINDS = (
    "pattern + full",
    "head + LoRA",
    "parts of",
    "data seeds",
    "cross-validation",
    "steps",
    "data sizes",
    "in-context",
)
"""What a cut's message names, the least valuable first."""


def limited(limits: Tables, tables: Tables | None = None, **parameters: Any) -> Compiled:
    """A plan within limits."""
    return compiled({**(tables or {}), "constraints": limits}, **parameters)


def cuts(plan: Plan) -> list[str]:
    """Messages of the cuts, in their order."""
    return [one.message for one in plan.warnings if one.code == "W-cut"]


def kinds(plan: Plan) -> list[str]:
    """What was cut, in its order."""
    return [next(kind for kind in KINDS if kind in message) for message in cuts(plan)]


def steps_of(plan: Plan) -> set[int]:
    """Steps of the trained recipes."""
    return {recipe.steps for arm in plan.arms if arm.trained for recipe in arm.recipes}


@pytest.mark.parametrize("limits", [{"wall_time": "2 h"}, {"trials": 1000}, {"disk": "9 GB"}, {"gpu_hours": "1 h"}])
def test_a_generous_limit_cuts_nothing(limits: Tables) -> None:
    free, bound = compiled().plan, limited(limits).plan
    assert cuts(bound) == []
    assert bound.arms == free.arms
    assert bound.trials == free.trials


WALLS = ("34 min", "26 min", "21 min", "15 min", "10 min", "7 min", "290 s", "240 s")


def test_cuts_follow_their_order() -> None:
    """Each tighter clock takes what the looser one took, and perhaps the next."""
    taken = [kinds(limited({"wall_time": wall}, CURVE, tokens=40).plan) for wall in WALLS]
    for looser, tighter in pairwise(taken):
        assert tighter[: len(looser)] == looser
    assert taken[0] == ["pattern + full"]
    assert taken[-1] == list(KINDS[:7])


def test_the_arm_of_the_least_value_for_its_time_goes_first() -> None:
    """The rules put the head before full fine-tuning; where it takes many times as long, it goes first all the same."""
    arms = [compiled({"data": {"label_budget": 48}}).plan.arm(name) for name in ("head + LoRA r=8", "pattern + full")]
    methods: list[MethodName] = [arm.method for arm in arms]
    for slow, fast in (arms, arms[::-1]):
        seconds = {slow.name: 1000.0, fast.name: 10.0}
        assert budget._by_value(methods, seconds, arms) == [slow.method, fast.method]
    assert budget._by_value(methods, dict.fromkeys((arm.name for arm in arms), 10.0), arms) == methods[::-1]


@pytest.mark.parametrize("wall", WALLS)
def test_a_kind_is_used_up_before_the_next(wall: str) -> None:
    plan = limited({"wall_time": wall}, CURVE, tokens=40).plan
    taken = kinds(plan)
    if "steps" in taken:
        assert plan.data_seeds == 3
    if "data sizes" in taken:
        assert steps_of(plan) == {LEAST_STEPS}


@pytest.mark.parametrize("wall", WALLS)
def test_what_may_never_be_cut(wall: str) -> None:
    plan = limited({"wall_time": wall}, CURVE, tokens=40).plan
    names = [arm.method for arm in plan.arms]
    assert {"majority", "tfidf", "encoder", "zero-shot", "pattern+lora"} <= set(names)
    assert plan.data_seeds >= 3
    assert plan.levels[-1].n == 64, "the largest data size stays"
    assert min(steps_of(plan)) >= LEAST_STEPS


@pytest.mark.parametrize("wall", WALLS)
def test_a_cut_keeps_the_limit(wall: str) -> None:
    made = limited({"wall_time": wall}, CURVE, tokens=40)
    limit = made.plan.experiment.constraints.wall_time
    assert limit is not None
    assert made.estimate.seconds.mid <= MARGIN * limit.seconds


@pytest.mark.parametrize("wall", ["15 min", "8 min", "6 min", "4 min", "200 s"])
def test_a_cut_is_a_warning_and_a_decision(wall: str) -> None:
    plan = limited({"wall_time": wall}).plan
    decided = {one.field: one for one in plan.decisions if one.rule == "budget"}
    assert plan.warnings
    for one in plan.warnings:
        assert (one.code, one.pointer) == ("W-cut", "/constraints/wall_time")
        assert f"to fit {wall}; keeping it in this plan would take about" in one.message
    wanted = {"data seeds": "/data_seeds", "steps": "/arms/6/recipes/0/steps"}
    values = {one.value: one.field for one in decided.values() if one.field.startswith("/left_out/")}
    wanted |= {"pattern + full": values.get("pattern + full", ""), "head + LoRA": values.get("head + LoRA r=8", "")}
    assert decided.keys() == {wanted[kind] for kind in kinds(plan)}
    assert plan.left_out[-len(values) :] == tuple(values)
    for decision in decided.values():
        assert decision.decided_by == "budget"
        assert decision.source == "the spec's limits and the cost model"
        assert decision.flips_when


def test_what_keeping_takes_is_that_of_the_plan_shown() -> None:
    """Seeds are cut before steps, and a seed of short trainings is cheap."""
    made = limited({"wall_time": "6 min"}, tokens=40)
    assert kinds(made.plan) == ["pattern + full", "head + LoRA", "data seeds", "steps"]
    number, unit = re.findall(r"would take about ([\d.]+) (s|min) more", cuts(made.plan)[2])[0]
    methods = {"pin": {"steps": [min(steps_of(made.plan))]}, "exclude": ["pattern+full", "head+lora"]}
    kept = compiled({"evaluation": {"data_seeds": 5}, "methods": methods}, tokens=40).estimate.seconds.mid
    more = float(number) * (60 if unit == "min" else 1)
    assert more == pytest.approx(kept - made.estimate.seconds.mid, rel=0.05)


def test_a_cut_of_data_sizes_is_a_decision() -> None:
    plan = limited({"wall_time": "4 min"}, CURVE, tokens=40).plan
    assert len(plan.levels) == 1
    assert any(one.rule == "budget" and "levels" in one.field for one in plan.decisions)


def test_a_cut_number_keeps_what_the_rules_say() -> None:
    plan = limited({"wall_time": "4 min"}).plan
    decided = {one.field: one for one in plan.decisions if one.rule == "budget"}
    assert [one.value for one in decided["/data_seeds"].alternatives] == [5]
    assert decided["/data_seeds"].value == plan.data_seeds == 3
    steps = decided["/arms/6/recipes/0/steps"]
    assert [one.value for one in steps.alternatives] == [72]
    assert {steps.value} == steps_of(plan)
    assert "R-054" in steps.evidence


def test_what_follows_from_cut_steps_is_decided_anew() -> None:
    """Warm-up and looks are shares of the steps that are left."""
    (arm,) = [arm for arm in limited({"wall_time": "4 min"}).plan.arms if arm.trained]
    recipe = arm.recipes[0]
    assert recipe.steps < 72
    assert recipe.warmup_steps == -(-recipe.steps // 20)
    assert recipe.evaluate_every == -(-recipe.steps // 6)


PINS: list[tuple[Tables, str]] = [
    ({"evaluation": {"data_seeds": 5}}, "data seeds"),
    ({"methods": {"pin": {"steps": 72}}}, "steps"),
    ({"methods": {"pin": {"epochs": 3}}}, "steps"),
    ({"methods": {"include": ["pattern+full"]}}, "pattern + full"),
    ({"methods": {"arms": [{"method": "pattern+lora"}, {"method": "head+lora"}]}}, "head + LoRA"),
]


@pytest.mark.parametrize(("tables", "kind"), PINS, ids=[str(tables) for tables, _ in PINS])
def test_what_the_spec_pins_stays(tables: Tables, kind: str) -> None:
    """Rather no plan than one that drops what was asked for."""
    for wall in ("15 min", "8 min", "6 min", "4 min", "2 min"):
        said = faults({**tables, "constraints": {"wall_time": wall}})
        assert kind not in [name for one in said for name in KINDS if one.code == "W-cut" and name in one.message]
        if "E-budget" in {one.code for one in said}:
            return
    pytest.fail("no limit was tight enough to tell")


def test_pinned_arms_make_room_last() -> None:
    """Of two arms the one that the rules added goes, although it would be chosen first."""
    plan = limited({"wall_time": "9 min"}, {"methods": {"include": ["pattern+full"]}}).plan
    assert [arm.method for arm in plan.arms if arm.trained] == ["pattern+lora", "pattern+full"]


IMPOSSIBLE: list[tuple[Tables, str]] = [
    ({"wall_time": "40 s"}, "/constraints/wall_time"),
    ({"trials": 9}, "/constraints/trials"),
    ({"disk": "20 MB"}, "/constraints/disk"),
]


@pytest.mark.parametrize(("limits", "pointer"), IMPOSSIBLE)
def test_an_impossible_limit_is_refused(limits: Tables, pointer: str) -> None:
    (one,) = faults({"constraints": limits})
    assert (one.code, one.pointer) == ("E-budget", pointer)
    assert one.remedy is not None
    assert "allow" in one.remedy


KEPT: list[tuple[Tables, list[str]]] = [
    ({}, ["the rules' first choice is 'pattern + LoRA", "baselines that stay are 'majority'"]),
    ({"exclude": ["pattern+lora"]}, ["first choice without pattern+lora, which the spec excludes, is 'head + LoRA"]),
    ({"include": ["pattern+full"]}, ["the spec asks for 'pattern + full'"]),
]


@pytest.mark.parametrize(("methods", "said"), KEPT)
def test_a_refusal_names_what_may_not_be_cut_and_why(methods: Tables, said: list[str]) -> None:
    (one,) = faults({"constraints": {"wall_time": "40 s"}, "methods": methods})
    assert [part for part in said if part not in one.message] == []


@pytest.mark.parametrize(("limits", "unit"), [({"trials": 9}, "trials"), ({"disk": "20 MB"}, "MB")])
def test_the_way_out_is_in_the_unit_of_the_limit(limits: Tables, unit: str) -> None:
    (one,) = faults({"constraints": limits})
    assert unit in (one.remedy or "").split(";")[0]


def test_the_way_out_is_one() -> None:
    """The time that the refusal asks for is enough."""
    (one,) = faults({"constraints": {"wall_time": "40 s"}})
    allowed = (one.remedy or "").split("about ")[1].split(";")[0]
    assert "E-budget" not in codes({"constraints": {"wall_time": allowed}})


@pytest.mark.parametrize(
    ("trials", "left"),
    [(41, 41), (40, 36), (36, 36), (35, 31), (30, 25), (20, 19), (16, 16), (15, 13), (13, 13)],
)
def test_a_limit_on_trials(trials: int, left: int) -> None:
    plan = limited({"trials": trials}).plan
    assert len(plan.trials) == left <= trials


def test_baselines_that_stay_can_be_excluded_by_the_spec() -> None:
    limits = {"constraints": {"trials": 10}}
    assert "E-budget" in codes(limits)
    assert "E-budget" not in codes({**limits, "methods": {"exclude": ["encoder"]}})


@pytest.mark.parametrize("disk", ["2 GB", "200 MB", "80 MB", "40 MB"])
def test_a_limit_on_disk(disk: str) -> None:
    made = limited({"disk": disk})
    assert made.estimate.disk_bytes.mid <= MARGIN * Size(disk).bytes
    assert ("pattern + full" in kinds(made.plan)) is (disk != "2 GB")


def test_a_limit_on_gpu_hours_binds_on_a_gpu() -> None:
    made = limited({"gpu_hours": "20 s"}, device="h100")
    assert kinds(made.plan) == ["pattern + full", "head + LoRA", "data seeds"]
    assert made.estimate.gpu_hours.mid <= MARGIN / 180
    assert {one.pointer for one in made.plan.warnings} == {"/constraints/gpu_hours"}


def test_two_limits_both_hold() -> None:
    made = limited({"wall_time": "15 min", "trials": 15})
    assert len(made.plan.trials) <= 15
    assert {one.pointer for one in made.plan.warnings} == {"/constraints/wall_time", "/constraints/trials"}


def test_what_saves_nothing_is_not_cut() -> None:
    plan = limited({"trials": 16}).plan
    assert "in-context" in kinds(plan)
    assert steps_of(plan) == {72}


def test_the_in_context_arm_goes_last() -> None:
    tables = {**CURVE, "constraints": {"wall_time": "3 min"}}
    assert "E-budget" not in codes({**tables, "methods": {"exclude": ["in-context"]}}, tokens=40)
    assert "E-budget" not in codes(tables, tokens=40)


def test_no_other_baseline_is_left_out_however_short_the_time() -> None:
    """Second by second down to where there is no plan, which then names what stays."""
    free = {arm.method for arm in compiled(tokens=40).plan.arms if arm.role == "baseline"}
    least = free
    for wall in range(330, 30, -10):
        try:
            plan = limited({"wall_time": f"{wall} s"}, tokens=40).plan
        except PlanError as error:
            said = str(error)
            break
        least = {arm.method for arm in plan.arms if arm.role == "baseline"}
        assert all(f"baseline '{name}" in " ".join(cuts(plan)) for name in free - least - {"probe"})
    assert least == free - {"in-context", "probe"}
    assert "baselines that stay are 'majority', 'TF-IDF + logistic regression'" in said
    assert "encoder" in said


@settings(max_examples=15, deadline=None)
@given(
    walls=st.lists(st.integers(60, 1500), min_size=2, max_size=2).map(sorted),
    budget=st.sampled_from([32, 160, [16, 160]]),
    tokens=st.sampled_from([10, 40]),
)
def test_less_time_never_gives_a_longer_plan(walls: list[int], budget: Any, tokens: int) -> None:
    estimates = []
    for wall in walls:
        tables = {"data": {"label_budget": budget}, "constraints": {"wall_time": f"{wall} s"}}
        try:
            estimates.append(compiled(tables, tokens=tokens).estimate.seconds.mid)
        except PlanError:
            estimates.append(0.0)
    assert estimates == sorted(estimates)


@settings(max_examples=12, deadline=None)
@given(st.integers(5, 40), st.integers(5, 40))
def test_fewer_trials_never_give_more(one: int, other: int) -> None:
    counts = []
    for trials in sorted((one, other)):
        try:
            counts.append(len(limited({"trials": trials}).plan.trials))
        except PlanError:
            counts.append(0)
    assert counts == sorted(counts)
