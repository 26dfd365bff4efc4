"""What a plan still needs, for what is known."""

from situations import compiled

from fewtune.compiler.diff import Changes, KnownWork, diff
from fewtune.compiler.plan import Plan

FIXED = {"data": {"label_budget": 32}}
HELD_OUT = {"data": {"label_budget": 160}}


def fits(plan: Plan) -> frozenset[str]:
    """Every fitted state, refits included."""
    return frozenset(stage.fingerprint for stage in plan.stages if stage.kind in ("train", "refit"))


def scores(plan: Plan) -> frozenset[str]:
    """Every evaluation."""
    return frozenset(stage.fingerprint for stage in plan.stages if stage.kind == "evaluate")


def finished(plan: Plan, chosen: str | None = None) -> KnownWork:
    """What a whole run leaves."""
    return KnownWork(fitted=fits(plan), scored=scores(plan), chosen=chosen)


def kinds(plan: Plan, changes: Changes) -> set[str]:
    """Kinds of the stages that are missing."""
    return {plan.stage_index[stage].kind for stage in changes.stages}


def test_nothing_is_known() -> None:
    plan = compiled(FIXED).plan
    changes = diff(plan, KnownWork())
    assert set(changes.trials.values()) == {"create"}
    assert changes.trials.keys() == {trial.id for trial in plan.trials}
    wanted = [stage.id for stage in plan.stages if stage.kind in ("train", "evaluate", "refit")]
    wanted.remove("refit/zero-shot")  # there is nothing to fit
    assert list(changes.stages) == wanted, "in the plan's order"
    assert not changes.nothing


def test_everything_is_known() -> None:
    for tables in (FIXED, HELD_OUT):
        plan = compiled(tables).plan
        changes = diff(plan, finished(plan, chosen="pattern + LoRA r=8"))
        assert changes.nothing
        assert changes.stages == ()
        assert set(changes.trials.values()) == {"reuse"}


def test_a_descriptive_edit_needs_nothing() -> None:
    plan = compiled(FIXED).plan
    assert diff(compiled({**FIXED, "notes": "why", "name": "x"}).plan, finished(plan)).nothing


def test_a_new_split_is_evaluated_and_nothing_is_trained() -> None:
    before = compiled(FIXED).plan
    plan = compiled({"data": {"label_budget": 32, "ood": {"blogs": "b.csv"}}}, ood={"blogs": 30}).plan
    changes = diff(plan, finished(before))
    missing = [plan.stage_index[stage] for stage in changes.stages]
    assert {stage.split for stage in missing} == {"blogs"}
    assert kinds(plan, changes) == {"evaluate"}
    assert len(missing) == len(plan.trials)
    assert set(changes.trials.values()) == {"create"}


def test_a_new_split_needs_the_states_that_were_lost() -> None:
    """An evaluation needs its fitted state: where that is gone, it is trained again."""
    before = compiled(FIXED).plan
    plan = compiled({"data": {"label_budget": 32, "ood": {"blogs": "b.csv"}}}, ood={"blogs": 30}).plan
    lost = plan.stage_index["train/pattern-lora-r8/n32/d1/m0"].fingerprint
    changes = diff(plan, KnownWork(fitted=fits(before) - {lost}, scored=scores(before)))
    trained = [stage for stage in changes.stages if stage.startswith("train/")]
    assert trained == ["train/pattern-lora-r8/n32/d1/m0"]


def test_a_lost_state_that_nothing_needs_stays_lost() -> None:
    plan = compiled(FIXED).plan
    lost = plan.stage_index["train/pattern-lora-r8/n32/d1/m0"].fingerprint
    known = finished(plan).model_copy(update={"fitted": fits(plan) - {lost}})
    assert diff(plan, known).nothing


def test_a_changed_arm_is_the_only_work() -> None:
    before = compiled(FIXED).plan
    plan = compiled(
        {**FIXED, "methods": {"pin": {"learning_rate": 3e-4}, "exclude": ["head+lora", "pattern+full"]}}
    ).plan
    changes = diff(plan, finished(before))
    assert {plan.stage_index[stage].arm for stage in changes.stages} == {"pattern + LoRA r=8"}
    touched = {trial for trial, action in changes.trials.items() if action == "create"}
    assert touched == {trial.id for trial in plan.trials if trial.arm == "pattern + LoRA r=8"}


def test_a_failed_state_is_tried_again() -> None:
    plan = compiled(FIXED).plan
    stage = plan.stage_index["train/pattern-lora-r8/n32/d1/m0"]
    own = {one.fingerprint for one in plan.stages if one.trial == stage.trial}
    known = KnownWork(
        fitted=fits(plan) - {stage.fingerprint}, scored=scores(plan) - own, failed=frozenset({stage.fingerprint})
    )
    changes = diff(plan, known)
    assert {trial for trial, action in changes.trials.items() if action == "retry"} == {stage.trial}
    assert {action for trial, action in changes.trials.items() if trial != stage.trial} == {"reuse"}
    assert stage.id in changes.stages


def test_a_failed_evaluation_is_tried_again_and_not_its_training() -> None:
    plan = compiled(FIXED).plan
    stage = plan.stage_index["evaluate/pattern-lora-r8/n32/d1/m0/test"]
    known = KnownWork(
        fitted=fits(plan), scored=scores(plan) - {stage.fingerprint}, failed=frozenset({stage.fingerprint})
    )
    changes = diff(plan, known)
    assert changes.stages == (stage.id,)
    assert [trial for trial, action in changes.trials.items() if action == "retry"] == [stage.trial]


def test_what_failed_and_then_worked_is_reused() -> None:
    plan = compiled(FIXED).plan
    known = finished(plan).model_copy(update={"failed": fits(plan)})
    assert set(diff(plan, known).trials.values()) == {"reuse"}


def test_a_failed_state_that_nothing_needs_is_no_retry() -> None:
    """Its scores are all there: nothing will be done, and the trial must not be announced as a retry."""
    plan = compiled(FIXED).plan
    lost = plan.stage_index["train/pattern-lora-r8/n32/d1/m0"].fingerprint
    known = KnownWork(fitted=fits(plan) - {lost}, scored=scores(plan), failed=frozenset({lost}))
    changes = diff(plan, known)
    assert changes.nothing
    assert set(changes.trials.values()) == {"reuse"}


def test_only_the_chosen_arm_is_refitted() -> None:
    plan = compiled(HELD_OUT).plan
    trained = frozenset(stage.fingerprint for stage in plan.stages if stage.kind == "train")
    known = KnownWork(fitted=trained, scored=scores(plan), chosen="head + LoRA r=8")
    assert diff(plan, known).stages == ("refit/head-lora-r8",)


def test_while_nothing_is_chosen_every_refit_may_be_needed() -> None:
    plan = compiled(HELD_OUT).plan
    trained = frozenset(stage.fingerprint for stage in plan.stages if stage.kind == "train")
    missing = diff(plan, KnownWork(fitted=trained, scored=scores(plan))).stages
    seeded = {stage.id for stage in plan.stages if stage.kind == "refit" and plan.arm(stage.arm or "").seeded}
    assert set(missing) == seeded


def test_a_chosen_arm_without_parameters_has_no_refit() -> None:
    plan = compiled(HELD_OUT).plan
    trained = frozenset(stage.fingerprint for stage in plan.stages if stage.kind == "train")
    assert diff(plan, KnownWork(fitted=trained, scored=scores(plan), chosen="zero-shot")).nothing


def test_a_refit_that_is_a_trial_is_done_with_it() -> None:
    plan = compiled(FIXED).plan
    trained = frozenset(stage.fingerprint for stage in plan.stages if stage.kind == "train")
    assert diff(plan, KnownWork(fitted=trained, scored=scores(plan), chosen="pattern + LoRA r=8")).nothing
