"""Flips: the nearest number of labels, parameters or GiB at which a decision is another one."""

from dataclasses import replace
from typing import Any

import pytest
from situations import CPU, H100, LLAMA_7B, SMALL, experiment, facts

from fewtune.compiler.budget import within
from fewtune.compiler.flips import CHANGED, Flips, labels_of, named
from fewtune.compiler.resolve import resolve
from fewtune.compiler.sample import pool
from fewtune.compiler.situation import Situation


def start(n: int = 32, **parameters: Any) -> Situation:
    asked = experiment(data={"label_budget": n})
    measured = facts(asked, **parameters)
    return Situation.first(asked, measured, pool(measured.data)[0])


@pytest.mark.parametrize(
    ("name", "fact", "upwards", "at", "value"),
    [
        ("levels/0/scheme", "labels", True, 96, "held-out"),
        ("data_seeds", "labels", True, 10_000, 3),
        ("pattern+lora: lora/rank", "labels", True, 500, 16),
        ("pattern+lora: recipes/0/learning_rate", "parameters", True, 1_000_000_000, 2e-4),
        ("pattern+full: method", "parameters", True, 1_000_000_001, None),
        ("pattern+lora: method", "memory_gib", False, 1, None),
    ],
)
def test_the_nearest_flip(name: str, fact: str, upwards: bool, at: int, value: Any) -> None:
    found = [flip for flip in Flips(start(device=H100)).of(name) if (flip.fact, flip.upwards) == (fact, upwards)]
    assert [(flip.at, flip.value) for flip in found] == [(at, value)]


@pytest.mark.parametrize(
    "situation", [start(), start(200), start(32, model=LLAMA_7B, device=H100), start(32, device=CPU, model=SMALL)]
)
def test_a_flip_is_the_first_other_value(situation: Situation) -> None:
    """Resolved at the flip a decision is what it says, and one step nearer it is what it is now."""
    search = Flips(situation)
    facts_now = {"labels": labels_of(situation), "parameters": situation.facts.model.parameters,
                 "memory_gib": situation.facts.device.memory_gib}  # fmt: skip
    now = {name: one.choice.value for name, one in named(resolve(situation))}
    for name in sorted(now)[::7]:
        for flip in search.of(name):
            there = {name: one.choice for name, one in named(resolve(CHANGED[flip.fact](situation, flip.at)))}
            nearer = {name: one.choice for name, one in named(
                resolve(CHANGED[flip.fact](situation, flip.at + (-1 if flip.upwards else 1))))}  # fmt: skip
            assert (flip.at > (facts_now[flip.fact] or 0)) is flip.upwards
            assert (there[name].value if name in there else None) == flip.value
            assert nearer[name].value == now[name]


def test_a_learning_curve_has_no_single_number_of_labels() -> None:
    asked = experiment(data={"label_budget": [16, 32]})
    situation = replace(start(), experiment=asked)
    assert labels_of(situation) is None
    assert {flip.fact for flip in Flips(situation).of("data_seeds")} <= {"parameters", "memory_gib"}


@pytest.mark.parametrize("wall", ["15 min", "6 min", "4 min"])
def test_within_limits_a_flip_is_one_of_the_plan(wall: str) -> None:
    """Fitted into the limits at the flip a decision is what it says, and one step nearer it is what it is now."""
    asked = experiment(constraints={"wall_time": wall}, data={"label_budget": 32})
    measured = facts(asked)
    situation = Situation.first(asked, measured, pool(measured.data)[0])

    def fitted(there: Situation) -> dict[str, Any]:
        return {name: one.choice.value for name, one in named(within(there)[0])}

    search, now = Flips(situation), fitted(situation)
    for name in sorted(now)[::9]:
        for flip in search.of(name):
            sides = [fitted(CHANGED[flip.fact](situation, at)) for at in (
                flip.at, flip.at + (-1 if flip.upwards else 1))]  # fmt: skip
            assert [side.get(name) for side in sides] == [flip.value, now[name]]


def test_a_cut_of_steps_leaves_no_flip_of_what_rests_on_more() -> None:
    def labels(wall: str) -> list[int]:
        asked = experiment(constraints={"wall_time": wall}, data={"label_budget": 32})
        measured = facts(asked)
        search = Flips(Situation.first(asked, measured, pool(measured.data)[0]))
        found = search.of("pattern+lora: recipes/0/learning_rate")
        return [flip.at for flip in found if flip.fact == "labels"]

    assert labels("99 h")
    assert not labels("4 min")
