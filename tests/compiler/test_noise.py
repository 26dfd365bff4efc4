"""Label noise: which labels are turned, what is named by it, and that it is a condition and no rival."""

from collections import Counter
from typing import Any

import pytest
from situations import compiled, experiment, facts, said

from fewtune.compiler.noise import turned_labels
from fewtune.compiler.plan import Compiled, Sample
from fewtune.specs.diagnostic import SpecError
from fewtune.specs.load import load

Tables = dict[str, Any]

NOISY: Tables = {"data": {"label_budget": 40, "label_noise": [0.0, 0.1, 0.3]}}
SHAPES: dict[str, tuple[Tables, Tables]] = {
    "fixed schedule": ({}, {}),
    "held out": ({"evaluation": {"validation": "held-out"}}, {}),
    "cross-validation": ({"data": {"test": None, "label_noise": [0.1, 0.3]}}, {"test_rows": 0, "n_rows": 60}),
    "halving": ({"evaluation": {"validation": "held-out", "halving": 2}}, {}),
    "one share": ({"data": {"label_budget": 40, "label_noise": 0.25}}, {}),
}


@pytest.fixture(params=SHAPES)
def pair(request: pytest.FixtureRequest) -> tuple[Compiled, Compiled]:
    """The plan with noise, and the same one without."""
    tables, parameters = SHAPES[request.param]
    noisy = {**NOISY, **tables}
    clean = {**noisy, "data": {name: value for name, value in noisy["data"].items() if name != "label_noise"}}
    return compiled(noisy, **parameters), compiled(clean, **parameters)


def samples(plan: Compiled) -> dict[str, Sample]:
    return {sample.id: sample for sample in plan.samples}


def test_all_labels_of_two_are_turned_at_one() -> None:
    given = facts(labels=2, n_rows=50).data
    turned = turned_labels(given, range(50), 1.0, data_seed=0)
    assert {flip.row: flip.label for flip in turned} == {row: 1 - label for row, label in enumerate(given.train.labels)}


@pytest.mark.parametrize("data_seed", range(5))
def test_what_is_wrong_at_a_smaller_share_is_wrong_at_a_larger_one(data_seed: int) -> None:
    given = facts(labels=5, n_rows=100).data
    few, many = ({flip.row: flip.label for flip in turned_labels(given, range(100), share, data_seed)}
                 for share in (0.1, 0.3))  # fmt: skip
    assert (len(few), len(many)) == (10, 30)
    assert few.items() <= many.items()
    assert all(given.train.labels[row] != label for row, label in many.items())


def test_wrong_labels_are_uniform_over_the_others() -> None:
    """400 rows over 3 other labels: 133 each, 9.4 the standard deviation."""
    given = facts(labels=4, n_rows=400).data
    away = Counter((flip.label - given.train.labels[flip.row]) % 4 for flip in turned_labels(given, range(400), 1.0, 7))
    assert away.keys() == {1, 2, 3}
    assert all(abs(count - 400 / 3) < 4 * 9.4 for count in away.values())


def test_data_seeds_turn_different_rows() -> None:
    given = facts(labels=2, n_rows=100).data
    rows = [frozenset(flip.row for flip in turned_labels(given, range(100), 0.2, seed)) for seed in range(5)]
    assert len(set(rows)) == 5


def test_noise_leaves_all_other_work_as_it_was(pair: tuple[Compiled, Compiled]) -> None:
    noisy, clean = pair
    was, now = ({stage.id: stage.fingerprint for stage in each.plan.stages} for each in pair[::-1])
    assert was.items() <= now.items()
    assert [trial for trial in noisy.plan.trials if not noisy.plan.arm(trial.arm).label_noise] == list(
        clean.plan.trials
    )
    assert samples(clean).items() <= samples(noisy).items()


def test_each_arm_that_sees_labels_has_one_for_each_share(pair: tuple[Compiled, Compiled]) -> None:
    noisy, clean = pair
    shares = noisy.plan.experiment.data.noise_shares
    assert all(arm.label_noise == 0 for arm in clean.plan.arms)
    for arm in clean.plan.arms:
        others = [one for one in noisy.plan.arms if one.label_noise and one.name.startswith(f"{arm.name}, ")]
        assert [one.label_noise for one in others] == (list(shares) if arm.seeded else [])
        assert all(one.recipes == arm.recipes for one in others)


def test_only_training_labels_are_turned(pair: tuple[Compiled, Compiled]) -> None:
    noisy, _ = pair
    known, right = samples(noisy), facts().data.train.labels
    plan = noisy.plan
    fits = [stage for stage in plan.stages if stage.kind == "train" and plan.arm(stage.arm or "").label_noise]
    assert fits
    for stage in fits:
        sample, share = known[stage.sample or ""], plan.arm(stage.arm or "").label_noise
        own = known[(stage.sample or "").rsplit("/", 1)[0]]
        assert (sample.train, sample.validation, sample.scored) == (own.train, own.validation, own.scored)
        assert {flip.row for flip in sample.flipped} <= set(sample.train)
        assert len(sample.flipped) == round(share * len(sample.train)) > 0
        assert all(flip.label != right[flip.row] for flip in sample.flipped)
        assert own.flipped == ()
        assert sample.content != own.content


def test_fits_with_noise_have_names_of_their_own(pair: tuple[Compiled, Compiled]) -> None:
    plan = pair[0].plan
    fits = [(stage.sample, stage.fingerprint) for stage in plan.stages if stage.kind == "train"]
    assert len({name for _, name in fits}) == len(fits)


def test_noise_is_no_rival(pair: tuple[Compiled, Compiled]) -> None:
    """Never chosen, never dropped, never trained on all labels."""
    plan = pair[0].plan
    noisy = {arm.name for arm in plan.arms if arm.label_noise}
    assert all(arm.role == "baseline" for arm in plan.arms if arm.label_noise)
    assert not noisy & {name for gate in plan.gates for name in gate.arms}
    assert not noisy & {stage.arm for stage in plan.stages if stage.kind == "refit"}
    assert all(trial.gate is None for trial in plan.trials if trial.arm in noisy)


def test_noise_is_recorded_and_priced() -> None:
    noisy, clean = compiled(NOISY), compiled({"data": {"label_budget": 40}})
    (decision,) = [one for one in noisy.plan.decisions if one.decided_by == "label_noise"]
    assert (decision.value, decision.pinned) == ([0.0, 0.1, 0.3], True)
    assert decision.field == "/experiment/data/label_noise"
    assert noisy.estimate.seconds.mid > 2 * clean.estimate.seconds.mid
    assert noisy.plan.hash != clean.plan.hash


@pytest.mark.parametrize(
    ("budget", "shares", "code"),
    [
        (4, 0.1, "E-no-effect"),
        ([4, 40], [0.1, 0.5], "E-no-effect"),
        (8, [0.25, 0.3], "E-no-effect"),
        (8, [0.25, 0.4], None),
        (8, [0.0, 1.0], None),
    ],
)
def test_a_share_that_turns_no_more_labels_is_refused(budget: Any, shares: Any, code: str | None) -> None:
    asked = experiment(data={"label_budget": budget, "label_noise": shares})
    assert ("E-no-effect" in said(asked, facts(asked))) is (code is not None)


@pytest.mark.parametrize(("beyond", "warned"), [(0.0, False), (0.02, True)])
def test_more_wrong_labels_than_chance_has_are_named(beyond: float, warned: bool) -> None:
    chance = 1 - 1 / len(facts().data.labels)
    asked = experiment(data={"label_budget": 60, "label_noise": [0.3, chance + beyond]})
    assert ("W-label-noise" in said(asked, facts(asked))) is warned


HEAD = 'spec_version = 1\n[task]\ntype = "{}"\n[data]\ntrain = "a.csv"\nlabel_noise = {}\n'


@pytest.mark.parametrize(
    ("task", "noise", "code"),
    [
        ("classification", "1.5", "E-value"),
        ("classification", "[0.1, -0.1]", "E-value"),
        ("classification", "[0.3, 0.1]", "E-conflict"),
        ("classification", "[0.1, 0.1]", "E-conflict"),
        ("classification", "[]", "E-value"),
        ("classification", '"10 %"', "E-value"),
        ("summarisation", "0.1", "E-conflict"),
    ],
)
def test_noise_that_cannot_be_is_refused_where_it_stands(task: str, noise: str, code: str) -> None:
    with pytest.raises(SpecError) as error:
        load(HEAD.format(task, noise).encode(), format="toml")
    (found,) = error.value.diagnostics
    assert (found.code, found.line) == (code, 6)
    assert found.pointer.startswith("/data/label_noise")
