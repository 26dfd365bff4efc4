"""Every stage is named by exactly what can change its result."""

from typing import Any

import pytest
from situations import compiled, experiment, facts, relabelled, with_split

from fewtune.compiler.compilation import compile_plan
from fewtune.compiler.facts import Facts
from fewtune.compiler.plan import Compiled, Plan, Stage

Tables = dict[str, Any]

BASE: Tables = {"data": {"label_budget": 160}}
PLAIN_LORA = "06f1cee3efbc7c4af1f1a9ab"
"""The first fit of a LoRA arm: made before there were other scalings than alpha / r, and 4-bit bases."""
WORDS = {"billing": "bill", "delivery": "post", "refund": "back", "account": "user"}


def by_kind(plan: Plan, kind: str) -> dict[str, str]:
    """Stage id -> fingerprint."""
    return {stage.id: stage.fingerprint for stage in plan.stages if stage.kind == kind}


def moved(was: Plan, now: Plan) -> set[str]:
    """Ids of stages with another fingerprint, or that only one plan has."""
    one, other = ({stage.id: stage.fingerprint for stage in plan.stages} for plan in (was, now))
    return {stage for stage in one.keys() | other.keys() if one.get(stage) != other.get(stage)}


@pytest.mark.parametrize("budget", [32, 160])
def test_a_new_out_of_domain_split_only_evaluates(budget: int) -> None:
    was = compiled({"data": {"label_budget": budget}}).plan
    tables = {"data": {"label_budget": budget, "ood": {"blogs": "b.csv"}}}
    now = compiled(tables, ood={"blogs": 50}).plan
    new = moved(was, now)
    assert new == {stage.id for stage in now.stages if stage.split == "blogs"}
    assert len(new) == len(now.trials)
    assert [trial.fingerprint for trial in was.trials] == [trial.fingerprint for trial in now.trials]


def test_the_learning_rate_of_an_arm_moves_its_trials_only() -> None:
    arms: list[Tables] = [{"method": "pattern+lora", "name": "one"}, {"method": "head+lora", "name": "two"}]
    was = compiled({"data": {"label_budget": 32}, "methods": {"arms": arms}}).plan
    arms[0]["learning_rate"] = 3e-4
    now = compiled({"data": {"label_budget": 32}, "methods": {"arms": arms}}).plan
    changed = moved(was, now)
    assert {now.stage_index[stage].arm for stage in changed - {"select"}} == {"one"}
    assert {now.stage_index[stage].kind for stage in changed} == {"train", "evaluate", "refit", "select"}
    trials = zip(was.trials, now.trials, strict=True)
    assert {now.arm for was, now in trials if was.fingerprint != now.fingerprint} == {"one"}


def test_a_changed_label_moves_what_holds_the_row() -> None:
    """And nothing else, where it moves no quota."""
    asked = experiment(data={"label_budget": 24})
    before = facts(n_rows=240, labels=3)
    was = compile_plan(asked, before)
    row = was.samples[0].train[0]
    now = compile_plan(asked, relabelled(before, row, (before.data.train.labels[row] + 1) % 3))
    rows = {made.plan.hash: {sample.id: sample for sample in made.samples} for made in (was, now)}
    holding = {
        sample.id for made in rows.values() for sample in made.values() if row in sample.train + sample.validation
    }
    assert "24/0" in holding
    assert "24/1" not in holding
    for stage in moved(was.plan, now.plan):
        assert now.plan.stage_index[stage].sample in holding | {None}
        assert now.plan.stage_index[stage].arm != "zero-shot" or "validation" in stage
    assert {now.plan.stage_index[stage].sample for stage in moved(was.plan, now.plan)} >= {"24/0", "refit"}


def test_a_changed_label_of_a_test_row_moves_evaluations_of_that_split() -> None:
    tables = {"data": {"label_budget": 32, "ood": {"blogs": "b.csv"}}}
    asked = experiment(**tables)
    before = facts(ood={"blogs": 40})
    labels = (1, *before.data.splits["blogs"].labels[1:])
    was, now = compile_plan(asked, before).plan, compile_plan(asked, with_split(before, "blogs", labels=labels)).plan
    assert moved(was, now) == {stage.id for stage in now.stages if stage.split == "blogs"}


def test_the_verbalizer_moves_only_arms_that_have_words() -> None:
    own = experiment(data={"label_budget": 32}, task={"verbalizer": WORDS})
    was, now = (compile_plan(asked, facts(own)).plan for asked in (experiment(data={"label_budget": 32}), own))
    changed = {now.arm(stage.arm).formulation for stage in now.stages if stage.id in moved(was, now) and stage.arm}
    assert changed == {"pattern", "in-context"}


def test_the_order_of_the_labels_moves_every_arm() -> None:
    """Predictions are places in the list of labels, and a pattern may list them."""
    before = facts(labels=("post", "bill"))
    turned = before
    for name, rows in before.data.splits.items():
        turned = with_split(turned, name, labels=tuple(1 - label for label in rows.labels))
    data = turned.data.model_copy(update={"labels": ("bill", "post")})
    turned = Facts(data=data, model=turned.model, device=turned.device)
    was, now = (compile_plan(experiment(data={"label_budget": 32}), given).plan for given in (before, turned))
    results = [{s.fingerprint for s in plan.stages if s.kind not in ("sample", "select")} for plan in (was, now)]
    assert results[0].isdisjoint(results[1])


def test_micro_batches_are_in_no_fingerprint() -> None:
    """Less memory makes smaller micro-batches, and no new work."""
    roomy = compiled({"data": {"label_budget": 32}}, tokens=200).plan
    tight = compiled({"data": {"label_budget": 32}, "constraints": {"gpu_memory": "4 GB"}}, tokens=200).plan
    assert roomy.arms != tight.arms
    assert {stage.id: stage.fingerprint for stage in tight.stages}.items() <= {
        stage.id: stage.fingerprint for stage in roomy.stages
    }.items()


@pytest.mark.parametrize("device", ["h100", "cpu"])
def test_the_device_is_in_no_fingerprint(device: str) -> None:
    """What it decides is: the precision."""
    one = compiled({"model": {"precision": "bf16"}}, device=device).plan
    other = compiled({"model": {"precision": "bf16"}}, device="cpu").plan
    assert moved(one, other) == set()
    assert moved(one, compiled({"model": {"precision": "fp32"}}, device="cpu").plan)


def test_reasons_are_in_no_fingerprint() -> None:
    """A pin to what the rules say is another decision and the same work."""
    was, now = (compiled({"data": {"label_budget": 32}, "methods": pins}).plan for pins in (
        {}, {"pin": {"rank": 8, "batch_size": 8, "steps": 60}}))  # fmt: skip
    assert was.hash != now.hash
    assert moved(was, now) == set()


def test_the_scaling_of_an_update_moves_fits_and_its_default_none() -> None:
    """As long as it is alpha / r, fits are named as before there was another."""
    pins: list[Tables] = [{}, {"rslora": False}, {"rslora": True, "alpha": 16}]
    plans = [compiled({"data": {"label_budget": 32}, "methods": {"pin": pin}}).plan for pin in pins]
    assert moved(plans[0], plans[1]) == set()
    fits = [next(stage.fingerprint for stage in plan.stages if stage.kind == "train" and stage.arm
                 and plan.arm(stage.arm).lora) for plan in plans]  # fmt: skip
    assert fits[0] == fits[1] == PLAIN_LORA != fits[2]


def test_the_metric_moves_the_choice_only() -> None:
    was, now = (compiled(BASE | {"evaluation": {"metric": metric}}).plan for metric in ("accuracy", "mcc"))
    assert moved(was, now) == {"select"}


def test_different_work_has_different_fingerprints(shaped: Compiled) -> None:
    """But for the refit, which may be a trial, no two stages of an arm do the same."""
    stages = [stage for stage in shaped.plan.stages if stage.kind in ("train", "evaluate") and stage.arm]

    def key(stage: Stage) -> tuple[str | None, str]:
        return stage.arm, stage.fingerprint

    assert len({key(stage) for stage in stages}) == len(stages)
