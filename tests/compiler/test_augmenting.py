"""Synthetic examples in a plan: twins, what names a synthetic data set, its gate, and what it leaves as it was."""

import json
from typing import Any

import pytest
from situations import compiled, document, experiment, facts

from fewtune.compiler.admission import Spent, admit, teacher_tokens
from fewtune.compiler.augmenting import FORMULATIONS
from fewtune.compiler.compilation import compile_plan
from fewtune.compiler.diff import KnownWork, diff
from fewtune.compiler.plan import Gate, Plan
from fewtune.compiler.price import Estimate
from fewtune.specs.diagnostic import PlanError, SpecError
from fewtune.specs.load import load
from fewtune.specs.methods import METHODS
from fewtune.specs.policy import NO_POLICY, Policy

Tables = dict[str, Any]
LOCAL = {"model": "smollm2-135m-instruct"}
URL = "http://localhost:11434/v1"


def tables(teacher: Tables | None = None, **more: Any) -> Tables:
    made = {"teacher": LOCAL if teacher is None else teacher, **more}
    return {"data": {"label_budget": [16, 32]}, "augmentation": made}


def plan(given: Tables, **parameters: Any) -> Plan:
    return compiled(given, **parameters).plan


def augments(given: Plan) -> dict[str, str]:
    return {stage.id: stage.fingerprint for stage in given.stages if stage.kind == "augment"}


PLAIN, BOTH = plan({"data": {"label_budget": [16, 32]}}), plan(tables(eda=True))


def test_every_arm_that_learns_has_a_twin_of_each_kind() -> None:
    twins = [arm for arm in BOTH.arms if arm.augmentation]
    assert {arm.augmentation.source for arm in twins if arm.augmentation} == {"teacher", "eda"}
    learning = {arm.name for arm in PLAIN.arms if arm.trained or arm.formulation in ("tfidf", "encoder")}
    for source, said in (("teacher", "augmented"), ("eda", "EDA")):
        own = [arm for arm in twins if arm.augmentation and arm.augmentation.source == source]
        assert {arm.name for arm in own} == {f"{name}, {said}" for name in learning}
    for arm in twins:
        assert arm.augmentation is not None
        twin = BOTH.arm(arm.augmentation.twin)
        assert arm.recipes == twin.recipes
        assert arm.role == "baseline"


def test_the_arms_without_are_what_they_were() -> None:
    names = {stage.id: stage.fingerprint for stage in BOTH.stages}
    assert all(names[stage.id] == stage.fingerprint for stage in PLAIN.stages)
    assert PLAIN.arms == tuple(arm for arm in BOTH.arms if not arm.augmentation)
    one, other = choice(PLAIN), choice(BOTH)
    assert one == other.model_copy(update={"because": one.because})


def choice(given: Plan) -> Gate:
    return next(gate for gate in given.gates if gate.stage == "select")


def test_validation_rows_choose_among_them_too_and_the_plain_twin_stands_before() -> None:
    """On the same terms: scored on the same rows, fitted again on all labels; nothing is written for that."""
    held = {"evaluation": {"validation": "held-out"}}
    without, made = plan({"data": {"label_budget": [16, 32]}, **held}), plan(tables(eda=True) | held)
    names = choice(made).arms
    assert names[: len(choice(without).arms)] == choice(without).arms
    twins = {arm.name: arm.augmentation for arm in made.arms if arm.augmentation}
    assert set(names[len(choice(without).arms) :]) == set(twins)
    assert all(names.index(own.twin) < names.index(name) for name, own in twins.items())
    looked_at = {made.stage_index[need].arm for need in made.stage_index["select"].needs}
    assert looked_at == set(names)
    refits = {stage.arm: stage for stage in made.stages if stage.kind == "refit"}
    for name, own in twins.items():
        assert refits[name].needs == ("select", f"augment/{own.source}/32/0")
        assert refits[name].fingerprint != refits[own.twin].fingerprint
    before = {stage.arm: stage.fingerprint for stage in without.stages if stage.kind == "refit"}
    assert before == {name: refits[name].fingerprint for name in before}
    assert augments(made).keys() == augments(BOTH).keys()


@pytest.mark.parametrize(
    ("validation", "because"), [(None, "each part would take examples of its own"), ("fixed-schedule", "measured only")]
)
def test_where_they_are_not_chosen_among_the_plan_says_why(validation: str | None, because: str) -> None:
    made = plan(tables(eda=True) | ({"evaluation": {"validation": validation}} if validation else {}))
    assert because in choice(made).because
    assert not set(choice(made).arms) & {arm.name for arm in made.arms if arm.augmentation}
    assert because not in choice(PLAIN).because


def test_each_sample_has_its_own_and_its_arms_wait_for_it() -> None:
    made = augments(BOTH)
    samples = [sample.id for sample in BOTH.samples if "part" not in sample.id]
    assert set(made) == {f"augment/{source}/{sample}" for source in ("teacher", "eda") for sample in samples}
    assert len(set(made.values())) == len(made)
    for stage in BOTH.stages:
        if stage.kind in ("train", "evaluate") and stage.sample in samples:
            arm = BOTH.arm(stage.arm or "")
            wanted = [f"augment/{arm.augmentation.source}/{stage.sample}"] if arm.augmentation else []
            assert [need for need in stage.needs if need.startswith("augment/")] == wanted


def test_a_teacher_has_a_gate_unless_the_spec_opens_it() -> None:
    gates = {gate.stage: gate for gate in BOTH.gates if gate.kind == "writer-leads"}
    assert set(gates) == {name for name in augments(BOTH) if "/teacher/" in name}
    for trial in BOTH.trials:
        arm = BOTH.arm(trial.arm)
        taught = arm.augmentation is not None and arm.augmentation.source == "teacher"
        assert (trial.gate in gates) is taught
    opened = plan(tables(gate=False))
    assert not [gate for gate in opened.gates if gate.kind == "writer-leads"]
    assert {trial.gate for trial in opened.trials} == {None}


@pytest.mark.parametrize(
    ("more", "same"),
    [
        ({"teacher": {"model": "writer", "base_url": URL}}, False),
        ({"quality_threshold": 0.9}, False), ({"diversity_weight": 0.5}, False), ({"keep": 5}, False),
        ({"task_description": "Which department?"}, False), ({"domain_constraints": ["no names"]}, False),
        ({"attributes": {"tone": ["angry"]}}, False), ({"label_plan": "proportional"}, False),
        ({"max_tokens": 10_000}, False), ({"target": 7}, False), ({"factor": 3}, False),
        ({"eda_copies": 3}, True), ({"eda_alpha": 0.3}, True), ({"eda": True}, True),
    ],
)  # fmt: skip
def test_what_names_a_synthetic_data_set(more: Tables, same: bool) -> None:
    usual = augments(plan(tables()))
    other = augments(plan(tables(**{"teacher": None, **more} if "teacher" not in more else more)))
    assert (usual == {name: print_ for name, print_ in other.items() if "/teacher/" in name}) is same


def test_speed_and_keys_name_nothing_and_a_recording_does() -> None:
    def with_teacher(recording: str = "", **teacher: Any) -> dict[str, str]:
        asked = experiment(**tables({"model": "writer", "base_url": URL, **teacher}))
        measured = facts(asked).model_copy(update={"recording": recording})
        return augments(compile_plan(asked, measured).plan)

    usual = with_teacher()
    assert with_teacher(concurrency=9, per_minute=5.0, key_variable="KEY", base_url="http://elsewhere/v1") == usual
    assert not set(with_teacher(recording="abc").values()) & set(usual.values())
    assert not set(with_teacher(recording="abc").values()) & set(with_teacher(recording="abd").values())


def test_what_is_tested_names_the_synthetic_data() -> None:
    usual, other = augments(plan(tables())), augments(plan(tables(), test_rows=100))
    assert not set(usual.values()) & set(other.values())


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"augmentation": {}}, None, ""),
        ({"augmentation": {"eda": False}}, "E-conflict", "/augmentation"),
        ({"augmentation": {"teacher": {"model": "gpt"}}}, "E-conflict", "/augmentation/teacher"),
        ({"augmentation": {"teacher": {**LOCAL, "key_variable": "KEY"}}}, "E-conflict", "/augmentation/teacher"),
        ({"augmentation": {"teacher": LOCAL, "target": 3, "factor": 2}}, "E-conflict", "/augmentation"),
        ({"augmentation": {"teacher": LOCAL, "max_cost": 1.0}}, "E-conflict", "/augmentation"),
        ({"augmentation": {"eda": True}, "evaluation": {"halving": 2}}, "E-conflict", "/augmentation"),
        ({"augmentation": {"eda": True}, "data": {"label_noise": 0.1}}, "E-conflict", "/augmentation"),
        ({"augmentation": {"eda": True}, "task": {"type": "summarisation"}}, "E-conflict", "/augmentation"),
        ({"augmentation": {"teacher": {**LOCAL, "key": "sk-1"}}}, "E-unknown-key", "/augmentation/teacher/key"),
    ],
)
def test_what_cannot_be_asked_for(given: Tables, code: str | None, pointer: str) -> None:
    text = json.dumps(document(**given)).encode()
    if code is None:
        load(text, format="json")
        return
    with pytest.raises(SpecError) as error:
        load(text, format="json")
    assert (code, pointer) in [(one.code, one.pointer) for one in error.value.diagnostics]


@pytest.mark.parametrize(
    ("policy", "tier"),
    [
        (NO_POLICY, "allowed"),
        (Policy(policy_version=1), "refused"),
        (Policy(policy_version=1, teachers=("http://localhost:*",)), "allowed"),
        (Policy(policy_version=1, teachers=("https://elsewhere/*",)), "refused"),
        (Policy.model_validate({"policy_version": 1, "teachers": ["*"], "each": {"teacher_tokens": 100}}), "approval"),
        (Policy.model_validate({"policy_version": 1, "teachers": ["*"], "each": {"teacher_tokens": 10**8}}), "allowed"),
    ],
)
def test_the_operator_says_where_examples_may_go(policy: Policy, tier: str) -> None:
    made = compiled(tables({"model": "writer", "base_url": URL, "key_variable": "KEY"}, max_tokens=5000))
    assert admit(made, policy, "terminal", Spent(), {}).tier == tier


def test_a_ceiling_is_the_runs_and_each_sample_has_its_share() -> None:
    teacher = {"model": "writer", "base_url": URL, "prompt_price": 1.0}
    made = plan(tables(teacher, max_tokens=90_000, max_cost=6.0))
    levels = next(arm.augmentation.levels for arm in made.arms if arm.augmentation)
    assert [level.target for level in levels] == [160, 320]
    tokens, money = [level.max_tokens for level in levels], [level.max_cost for level in levels]
    assert sum(share * made.data_seeds for share in tokens if share) == pytest.approx(90_000, abs=2 * made.data_seeds)
    assert sum(share * made.data_seeds for share in tokens if share) <= 90_000
    assert sum(share * made.data_seeds for share in money if share) == pytest.approx(6.0)
    assert tokens[1] == pytest.approx(2 * (tokens[0] or 0), abs=1)
    assert teacher_tokens(made) == 90_000
    said = [one for one in made.decisions if one.field.endswith("/augmentation/levels/0/max_tokens")]
    assert {one.value for one in said} == {tokens[0]}


def test_arms_that_learn_nothing_from_it_are_warned_of() -> None:
    wanted = {"exclude": [name for name, (posed, moved) in METHODS.items() if moved != "none" or posed in FORMULATIONS]}
    for teacher in (LOCAL, None):
        asked = {"augmentation": {"teacher": teacher} if teacher else {"eda": True}}
        made = plan({"methods": wanted, **asked})
        assert not augments(made)
        assert [one.pointer for one in made.warnings if one.code == "W-not-augmented"] == ["/augmentation"]
    assert not [one for one in BOTH.warnings if one.code == "W-not-augmented"]


def estimated(teacher: Tables | None, **more: Any) -> Estimate:
    return compiled(tables(teacher, **more)).estimate


def test_writing_takes_time_and_tokens_that_the_estimate_has() -> None:
    plain, here = compiled({"data": {"label_budget": [16, 32]}}).estimate, estimated(LOCAL)
    endpoint = {"model": "writer", "base_url": URL}
    replay, slow = estimated({**endpoint, "recording": "c.jsonl"}), estimated({**endpoint, "per_minute": 1.0})
    assert plain.teacher_tokens is replay.teacher_tokens is None
    for one in (here, slow):
        assert one.teacher_tokens is not None
        assert 0 < one.teacher_tokens.low < one.teacher_tokens.mid < one.teacher_tokens.high
        making = sum(seconds for stage, seconds in one.stage_seconds.items() if stage.startswith("augment/"))
        assert one.seconds.mid - replay.seconds.mid == pytest.approx(
            making - sum(s for stage, s in replay.stage_seconds.items() if stage.startswith("augment/")), abs=0.1
        )
    calls = 3 * 2 * (160 // 5 + 320 // 5) / 2  # three seeds at least, balanced labels, five examples a call
    assert slow.seconds.mid > 60 * calls
    fast, faster = (estimated({**endpoint, "concurrency": count}).seconds.mid for count in (1, 8))
    assert faster < fast < slow.seconds.mid
    bounded = estimated({**endpoint, "per_minute": 1.0}, max_tokens=20_000)
    assert bounded.teacher_tokens is not None
    assert bounded.teacher_tokens.high <= 20_000
    assert bounded.seconds.mid < slow.seconds.mid


def test_what_is_missing_has_its_synthetic_data() -> None:
    made = augments(BOTH)
    assert set(made) <= set(diff(BOTH, KnownWork()).stages)
    known = KnownWork(augmented=frozenset(made.values()))
    assert not set(made) & set(diff(BOTH, known).stages)
    trained = frozenset(stage.fingerprint for stage in BOTH.stages if stage.kind in ("train", "refit"))
    scored = frozenset(stage.fingerprint for stage in BOTH.stages if stage.kind == "evaluate")
    assert diff(BOTH, KnownWork(fitted=trained, scored=scored, chosen=BOTH.arms[0].name)).nothing


def test_limits_see_what_writing_takes() -> None:
    slow = tables({"model": "writer", "base_url": URL, "per_minute": 1.0})
    assert compiled(tables({"model": "writer", "base_url": URL}) | {"constraints": {"wall_time": "3 h"}})
    with pytest.raises(PlanError, match="E-budget"):
        compiled(slow | {"constraints": {"wall_time": "10 min"}})
    policy = Policy.model_validate({"policy_version": 1, "teachers": ["*"], "each": {"wall_time": "3 h"}})
    over = admit(compiled(slow), policy, "terminal", Spent(), {}).over
    assert "each.wall_time" in {one.limit for one in over}
