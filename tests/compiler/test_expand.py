"""The graph of a plan: trials, stages, gates, the last training, and names that are told apart."""

from graphlib import TopologicalSorter
from typing import Any

import pytest
from situations import codes, compiled

from fewtune.compiler.plan import Compiled
from fewtune.specs.diagnostic import PlanError

Tables = dict[str, Any]


def test_stages_form_a_graph_without_circles(shaped: Compiled) -> None:
    stages = shaped.plan.stages
    ids = [stage.id for stage in stages]
    assert len(ids) == len(set(ids))
    assert all(need in ids for stage in stages for need in stage.needs)
    order = TopologicalSorter({stage.id: stage.needs for stage in stages}).static_order()
    assert len(tuple(order)) == len(ids)


def test_each_trial_is_scored_on_each_split_of_the_report(shaped: Compiled) -> None:
    plan = shaped.plan
    splits = {name for name in plan.facts.rows if name not in ("train", "validation", "unlabelled")}
    for trial in plan.trials:
        scored = [stage.split for stage in plan.stages if stage.trial == trial.id and stage.kind == "evaluate"]
        wanted = dict.fromkeys(splits, 1)
        if plan.folds:
            wanted["cv"] = 1 if trial.n == 0 else plan.folds
        assert {split: scored.count(split) for split in {*scored} - {"validation"}} == wanted


def test_names_and_ids_are_unique(shaped: Compiled) -> None:
    plan = shaped.plan
    for names in (
        [arm.name for arm in plan.arms],
        [trial.id for trial in plan.trials],
        [sample.id for sample in plan.samples],
        [gate.stage for gate in plan.gates],
    ):
        assert len(names) == len(set(names))
    assert {trial.arm for trial in plan.trials} == {arm.name for arm in plan.arms}


def test_each_arm_has_each_data_size_and_seed(shaped: Compiled) -> None:
    plan = shaped.plan
    for arm in plan.arms:
        trials = {(trial.n, trial.data_seed, trial.model_seed) for trial in plan.trials if trial.arm == arm.name}
        seeds = range(plan.model_seeds) if arm.trained else (None,)
        wanted = {(level.n, data, model) for level in plan.levels for data in range(plan.data_seeds) for model in seeds}
        assert trials == (wanted if arm.seeded else {(0, None, None)})


def test_samples_are_those_of_the_plan(shaped: Compiled) -> None:
    own = {sample.id: sample for sample in shaped.samples}
    for ref in shaped.plan.samples:
        sample = own[ref.id]
        assert (ref.train, ref.validation) == (len(sample.train), len(sample.validation))
        assert ref.content == sample.content
    assert own.keys() - {ref.id for ref in shaped.plan.samples} == {"refit"}


def test_samples_have_the_size_that_their_level_says(shaped: Compiled) -> None:
    """Steps and batches follow from the level; the samples must be of its size."""
    levels = {level.n: level for level in shaped.plan.levels}
    for sample in shaped.plan.samples:
        level = levels[sample.n]
        if shaped.plan.choosing and sample.fold is not None:
            assert level.train - 4 <= sample.train + sample.validation <= level.train
        else:
            assert (sample.train, sample.validation) == (level.train, level.validation)


def test_so_many_of_each_label_in_each_fold() -> None:
    """Ten rows of a label in five folds leave eight of them outside of each."""
    facts = {"test_rows": 0, "labels": 2, "counts": [10, 50]}
    budgets: list[Tables] = [{"data": {"test": None, "label_budget": {"per_class": each}}} for each in (8, 9)]
    plan = compiled(budgets[0], **facts).plan
    assert {sample.train for sample in plan.samples} == {plan.levels[0].train} == {16}
    assert "E-too-few-rows" in codes(budgets[1], **facts)


def test_points_of_a_learning_curve_differ() -> None:
    """Folds of 60 rows train on 48: a point of 48 and one of all rows would be the same work."""
    budgets: list[Tables] = [{"data": {"test": None, "label_budget": sizes}} for sizes in ([24, 60], [48, 60], [50])]
    plan = compiled(budgets[0], test_rows=0, n_rows=60).plan
    fits = [stage.fingerprint for stage in plan.stages if stage.kind == "train" and stage.arm == "pattern + LoRA r=8"]
    assert len(fits) == len(set(fits))
    for refused in budgets[1:]:
        assert "E-too-few-rows" in codes(refused, test_rows=0, n_rows=60)


def test_every_stage_of_an_arm_has_a_time(shaped: Compiled) -> None:
    timed = {stage.id for stage in shaped.plan.stages if stage.arm is not None}
    assert shaped.estimate.stage_seconds.keys() == timed
    assert min(shaped.estimate.stage_seconds.values()) >= 0


def test_validation_chooses_before_a_report_is_scored() -> None:
    plan = compiled({"data": {"label_budget": 160, "ood": {"blogs": "b.csv"}}}, ood={"blogs": 30}).plan
    select = plan.stage_index["select"]
    assert select.needs
    assert {plan.stage_index[need].split for need in select.needs} == {"validation"}
    for stage in plan.stages:
        if stage.kind == "evaluate":
            assert ("select" in stage.needs) is (stage.split != "validation")
    gate = plan.gates[0]
    assert (gate.stage, gate.kind, gate.metric, gate.n) == ("select", "best-validation", plan.metric, 160)


def test_the_rules_order_chooses_where_nothing_validates() -> None:
    plan = compiled({"data": {"label_budget": 32}, "evaluation": {"validation": "fixed-schedule"}}).plan
    assert plan.stage_index["select"].needs == ()
    assert (plan.gates[0].kind, plan.gates[0].arms[0]) == ("rules-order", "pattern + LoRA r=8")
    assert not any("select" in stage.needs for stage in plan.stages if stage.kind == "evaluate")


def test_parts_of_the_samples_choose_where_all_labels_train() -> None:
    """Each label is scored once a sample, by what never saw it; the test split waits for the choice."""
    made = compiled({"data": {"label_budget": [8, 32]}})
    plan, samples = made.plan, {sample.id: sample for sample in made.samples}
    gate = plan.gates[0]
    assert (gate.kind, gate.arms[0]) == ("best-validation", "pattern + LoRA r=8")
    assert "head + LoRA r=8" not in gate.arms, "the rules rank the trained arms"
    assert {"zero-shot", "TF-IDF + logistic regression", "sentence encoder + logistic regression"} <= set(gate.arms)
    for arm in gate.arms:
        scored = [plan.stage_index[need] for need in plan.stage_index["select"].needs]
        parts = [samples[stage.sample or ""] for stage in scored if stage.arm == arm]
        assert len(parts) == 3 * 4
        for seed in range(3):
            whole, own = samples[f"32/{seed}"], [part for part in parts if part.data_seed == seed]
            assert sorted(row for part in own for row in part.validation) == sorted(whole.train)
            assert all(set(part.train) <= set(whole.train) - set(part.validation) for part in own)
    for stage in plan.stages:
        if stage.kind == "evaluate":
            assert ("select" in stage.needs) is (stage.split != "validation")


def test_a_trial_is_named_alike_however_it_is_chosen() -> None:
    tables: Tables = {"data": {"label_budget": 32}}
    kinds = ("fixed-schedule", "cross-validation")
    plans = [compiled({**tables, "evaluation": {"validation": kind}}).plan for kind in kinds]
    names = [{trial.id: trial.fingerprint for trial in plan.trials} for plan in (*plans, compiled(tables).plan)]
    assert names[0] == names[1] == names[2]
    trained = {arm.name for arm in plans[1].arms if arm.role == "candidate"}
    assert len(trained) == 3
    assert trained <= set(plans[1].gates[0].arms)


def test_only_the_largest_data_size_chooses() -> None:
    plan = compiled({"data": {"label_budget": [16, 160]}, "evaluation": {"validation": "held-out"}}).plan
    for need in plan.stage_index["select"].needs:
        stage = plan.stage_index[need]
        assert stage.sample is not None
        assert stage.sample.startswith("160/")


def test_each_candidate_has_a_refit_behind_a_gate(shaped: Compiled) -> None:
    plan = shaped.plan
    refits = {stage.arm: stage for stage in plan.stages if stage.kind == "refit"}
    choice = next(gate for gate in plan.gates if gate.stage == "select")
    assert tuple(refits) == choice.arms
    for name, stage in refits.items():
        gate = next(gate for gate in plan.gates if gate.stage == stage.id)
        assert (gate.kind, gate.arms) == ("is-chosen", (name,))
        assert stage.needs == ("select",)


def test_the_refit_under_a_fixed_schedule_is_the_first_trial() -> None:
    """It needs no second training: both are named alike."""
    plan = compiled({"data": {"label_budget": [16, 32]}}).plan
    for stage in plan.stages:
        if stage.kind == "refit" and stage.arm != "zero-shot":
            trial = next(one for one in plan.trials if one.arm == stage.arm and (one.n, one.data_seed) == (32, 0))
            assert plan.stage_index[f"train/{trial.id}"].fingerprint == stage.fingerprint


def test_the_refit_of_held_out_rows_is_a_training_of_its_own() -> None:
    made = compiled({"data": {"label_budget": 160}})
    refit = next(sample for sample in made.samples if sample.id == "refit")
    first = next(sample for sample in made.samples if sample.id == "160/0")
    assert set(refit.train) == {*first.train, *first.validation}
    assert len(refit.train) == 160
    fits = {stage.fingerprint for stage in made.plan.stages if stage.kind == "train"}
    assert not fits & {stage.fingerprint for stage in made.plan.stages if stage.kind == "refit"}


def test_the_refit_after_cross_validation_has_every_row() -> None:
    made = compiled({"data": {"test": None}}, test_rows=0, n_rows=60)
    refit = next(sample for sample in made.samples if sample.id == "refit")
    assert sorted(refit.train) == list(range(60))


@pytest.mark.parametrize("budget", [24, [12, 24], {"per_class": 6}])
def test_the_refit_after_cross_validation_keeps_to_the_budget(budget: Any) -> None:
    made = compiled({"data": {"test": None, "label_budget": budget}}, test_rows=0, n_rows=60, labels=4)
    refit = next(sample for sample in made.samples if sample.id == "refit")
    assert len(refit.train) == len(set(refit.train)) == 24
    assert refit.validation == ()


NAMED_ALIKE = {
    "a number that is taken": [
        {"method": "head+lora", "name": name, "rank": rank} for rank, name in enumerate(("x 2", "x", "X!", "x-2"), 1)
    ],
    "blank and hyphen": [{"method": "head+lora", "name": "a b"}, {"method": "pattern+lora", "name": "a-b"}],
    "letters that no id has": [{"method": "head+lora", "name": "ä"}, {"method": "pattern+lora", "name": "ö"}],
}


@pytest.mark.parametrize("arms", NAMED_ALIKE.values(), ids=NAMED_ALIKE)
def test_arms_with_similar_names_have_their_own_ids(arms: list[Tables]) -> None:
    stages = compiled({"methods": {"arms": arms}}).plan.stages
    assert len({stage.id for stage in stages}) == len(stages)


def test_numbered_names_are_unique() -> None:
    arms: list[Tables] = [{"method": "head+lora", "name": "a", "rank": [4, 8]}]
    arms += [{"method": "head+lora", "name": name} for name in ("a, r=4", "a, r=4 #2")]
    names = [arm.name for arm in compiled({"methods": {"arms": arms}}).plan.arms]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("method", ["zero-shot", "tfidf", "in-context"])
def test_an_arm_that_is_written_out_is_there_once(method: str) -> None:
    """Given arms, the rules add only baselines: in-context arms are written out, and no baseline comes twice."""
    plan = compiled({"methods": {"arms": [{"method": method}, {"method": "head+lora"}]}}).plan
    assert [arm.method for arm in plan.arms].count(method) == 1


def test_a_name_says_each_thing_once() -> None:
    plan = compiled({"methods": {"arms": [{"method": "in-context", "demonstrations": [4]}]}}).plan
    assert "in-context k=4" in {arm.name for arm in plan.arms}


def test_arms_without_names_are_numbered() -> None:
    plan = compiled({"methods": {"arms": [{"method": "head+lora"}] * 3}}).plan
    names = [arm.name for arm in plan.arms if arm.trained]
    assert names == ["head + LoRA r=8", "head + LoRA r=8 #2", "head + LoRA r=8 #3"]


def test_an_out_of_domain_split_may_not_take_the_name_of_the_folds() -> None:
    try:
        plan = compiled({"data": {"test": None, "ood": {"cv": "x.csv"}}}, test_rows=0, n_rows=60, ood={"cv": 30}).plan
    except (PlanError, ValueError):
        return
    assert len(plan.stage_index) == len(plan.stages)
