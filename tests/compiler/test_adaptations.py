"""What the compiler says of adaptations is what the engine does."""

from typing import Any

import pytest
from adaptation_cases import CASES, NAMES, Case
from situations import SMALL, compiled
from tiny import tiny_model

from fewtune.compiler.adaptations import TRAITS
from fewtune.compiler.facts import ModelFacts
from fewtune.compiler.roles import names_of
from fewtune.runtime.probe.model import shape_of
from fewtune.specs.diagnostic import PlanError


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFacts]:
    """Architecture -> the facts of a tiny model."""
    told = {"place": "tiny", "source": "path", "tokenizer_hash": "t", "word_tokens": {}, "pattern_tokens": {}}
    folders = {name: tiny_model(tmp_path_factory.mktemp(name), architecture=name) for name in ("llama", "opt")}
    return {name: ModelFacts.model_validate(told | shape_of(folder)) for name, folder in folders.items()}


class Stub:
    """What a count of parameters looks at."""

    def __init__(self, model: ModelFacts, arm: dict[str, Any]) -> None:
        self.facts = type("Known", (), {"model": model})
        geometry = {**arm.get("lora", {}), **arm.get("adapter", {}), **arm}
        self.__dict__ |= {"layer_decay": 1.0, "placement": "houlsby", **geometry}


def test_each_adaptation_has_its_row() -> None:
    assert sorted(TRAITS) == sorted(NAMES)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_moving_parameters_are_counted_right(case: Case, shapes: dict[str, ModelFacts]) -> None:
    model = shapes[case.architecture]
    assert TRAITS[case.name].moving(Stub(model, case.arm)) == (case.count or model.parameters)  # type: ignore[index,arg-type]


def test_a_model_without_biases_or_known_sublayers_is_told() -> None:
    strange = SMALL.model_copy(update={"linears": (SMALL.linears[0].model_copy(update={"name": "mixer"}),)})
    assert "no biases" in TRAITS["bitfit"].lacks(SMALL)
    assert "not known where the sublayers" in TRAITS["adapter"].lacks(strange)
    assert not TRAITS["adapter"].lacks(SMALL)
    assert names_of(["mixer"], "mlp-out") == ()


NAMED = {
    "pattern+dora": "pattern + DoRA r=8",
    "pattern+adapter": "pattern + adapters m=64",
    "head+prefix": "head + prefix l=20",
    "pattern+prompt": "pattern + soft prompt l=20",
    "head+norm": "head + norms",
    "head+top": "head + top 5 blocks",
}


@pytest.mark.parametrize("method", NAMED)
def test_an_arm_is_named_as_a_reader_would(method: str) -> None:
    plan = compiled({"methods": {"include": [method]}}).plan
    assert NAMED[method] in {arm.name for arm in plan.arms}


def test_sweeps_make_an_arm_of_each_value() -> None:
    pins = {"width": [8, 64], "virtual_tokens": [5, 20], "top_layers": [1, 2], "rank": [4, 128]}
    methods = [{"method": f"pattern+{name}"} for name in ("adapter", "prefix", "top", "dora")]
    plan = compiled({"methods": {"arms": methods, "pin": pins}}).plan
    names = {arm.name for arm in plan.arms if arm.trained}
    assert names == {
        "pattern + adapters m=8", "pattern + adapters m=64", "pattern + prefix l=5", "pattern + prefix l=20",
        "pattern + top 1 block", "pattern + top 2 blocks", "pattern + DoRA r=4", "pattern + DoRA r=128 rslora",
    }  # fmt: skip


def test_every_adaptation_is_named_once_where_it_is_left_out() -> None:
    plan = compiled({}).plan
    absent = [
        name.partition("+")[2] for name in plan.left_out if TRAITS.get(name.partition("+")[2], TRAITS["lora"]).unasked
    ]  # type: ignore[call-overload]
    assert sorted(absent) == sorted(name for name, trait in TRAITS.items() if trait.unasked)


NO_MASKS = [{"method": "pattern+dora"}, {"method": "pattern+lora", "lr_ratio": 4.0},
            {"method": "pattern+lora", "objective": "few-shot-distillation"}]  # fmt: skip


@pytest.mark.parametrize("arm", NO_MASKS, ids=lambda arm: "-".join(map(str, arm.values())))
def test_dropout_that_would_be_ignored_is_refused(arm: dict[str, Any]) -> None:
    with pytest.raises(PlanError) as caught:
        compiled({"methods": {"arms": [arm | {"dropout": 0.1}]}})
    assert [(one.code, one.pointer) for one in caught.value.diagnostics] == [("E-conflict", "/methods/arms/0/dropout")]
    compiled({"methods": {"arms": [arm, {"method": "pattern+lora", "name": "plain", "dropout": 0.1}]}})
