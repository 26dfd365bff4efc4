"""Adopted evidence in plans: what it moves, and what it leaves."""

import pytest
from situations import CPU, compiled, facts, win

from fewtune.compiler.adopted import Adopted, Pace
from fewtune.compiler.compilation import compile_plan
from fewtune.compiler.facts import Facts
from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import MethodName

ENCODER = "sentence encoder + logistic regression"
AHEAD = {"n": 48, "arm": ENCODER, "method": "encoder", "behind": "pattern + LoRA r=8"}
HEAD = {"n": 48, "arm": "head + LoRA r=8", "method": "head+lora", "behind": "pattern + LoRA r=8"}


@pytest.mark.parametrize("validation", ["fixed-schedule", "cross-validation", "held-out", None])
@pytest.mark.parametrize("given", [AHEAD, HEAD])
def test_what_was_ahead_stands_first_and_no_trial_changes(given: dict[str, object], validation: str | None) -> None:
    evaluation = {"validation": validation} if validation else {}
    tables = {"data": {"label_budget": 48}, "evaluation": evaluation}
    plain, weighed = compiled(tables).plan, compiled(tables, wins=[given]).plan
    assert plain.gates[0].arms[0] == "pattern + LoRA r=8"
    assert weighed.gates[0].arms[0] == given["arm"]
    assert plain.trials == weighed.trials
    assert plain.hash != weighed.hash
    decision = next(one for one in weighed.decisions if one.field == "/preferred")
    assert (decision.value, decision.rule, decision.strength) == (given["method"], "local", "local")
    assert weighed.facts.adopted
    assert not plain.facts.adopted


def test_a_limit_leaves_the_preferred_arm() -> None:
    tables = {"data": {"label_budget": 48}, "constraints": {"wall_time": "4 min"}}
    kept = {arm.method for arm in compiled(tables, wins=[HEAD]).plan.arms if arm.trained}
    assert kept == {"head+lora"}
    assert {arm.method for arm in compiled(tables).plan.arms if arm.trained} == {"pattern+lora"}


def test_evidence_that_is_silent_changes_the_hash_and_nothing_else() -> None:
    """Its id stands in the plan: one can tell what was weighed."""
    tables = {"data": {"label_budget": 48}}
    plain, silent = compiled(tables).plan, compiled(tables, wins=[{**AHEAD, "n": 400}]).plan
    assert plain.hash != silent.hash
    assert (plain.arms, plain.trials, plain.gates) == (silent.arms, silent.trials, silent.gates)


@pytest.mark.parametrize("without", [None, "pattern+full"])
def test_a_pace_moves_estimates_only(without: MethodName | None) -> None:
    """Those of a method that it was not measured with are scaled, no more."""
    given, asked = facts(), Experiment.model_validate(compiled().plan.experiment.model_dump())
    was = compile_plan(asked, given)
    timed = tuple({arm.method for arm in was.plan.arms} - {without})
    slow = CPU.model_copy(update={"pace": Pace(device=CPU.name, ratio=2.0, runs=3, methods=timed)})
    now = compile_plan(asked, Facts(data=given.data, model=given.model, device=slow))
    assert now.plan.hash == was.plan.hash
    assert now.estimate.seconds.basis == ("scaled" if without else "measured")
    bases = {arm.method: cost.seconds.basis for arm, cost in zip(now.plan.arms, now.estimate.arms, strict=True)}
    assert {method for method, basis in bases.items() if basis == "scaled"} == {without} - {None}
    assert 1.5 * was.estimate.seconds.mid < now.estimate.seconds.mid < 2.5 * was.estimate.seconds.mid


def test_the_id_is_of_all_that_was_adopted() -> None:
    one, pace = win(AHEAD), Pace(device="cpu avx2", ratio=1.5, runs=1)
    kinds = [Adopted(), Adopted(wins=(one,)), Adopted(wins=(win(HEAD),)), Adopted(paces=(pace,))]
    assert len({kind.id for kind in kinds}) == len(kinds)
    assert Adopted().id == ""


def test_a_newer_word_of_an_experiment_replaces_the_older_one() -> None:
    old, other = win(AHEAD), win(HEAD).model_copy(update={"experiment": "another"})
    pace, faster = Pace(device="cpu avx2", ratio=1.5, runs=1), Pace(device="cpu avx2", ratio=0.9, runs=4)
    joined = Adopted(wins=(old, other), paces=(pace,)).joined(Adopted(wins=(win(HEAD),), paces=(faster,)))
    assert joined == Adopted(wins=(other, win(HEAD)), paces=(faster,))
