"""What the compiler says of arms that tune an encoder: shapes, costs, pins, and where they do not belong."""

from pathlib import Path
from typing import Any

import pytest
from situations import compiled, faults
from tiny import tiny_encoder

from fewtune.compiler.encoder import EMBEDDED, ENCODER
from fewtune.compiler.estimate import distinct
from fewtune.runtime.lock import Lock
from fewtune.runtime.probe.model import encoder_facts
from fewtune.specs.diagnostic import SpecError
from fewtune.specs.experiment import Experiment
from fewtune.specs.load import load
from fewtune.specs.methods import METHODS, suits
from fewtune.specs.model import Model

SPEC = 'spec_version = 1\n[task]\ntype = "{task}"\n[data]\ntrain = "a.csv"\n[methods]\ninclude = ["setfit"]'
FOUR = ["setfit", "setfit+lora", "encoder+lora", "encoder+full"]


def included(*methods: str, **tables: Any) -> dict[str, Any]:
    return {"data": {"label_budget": 32}, "methods": {"include": list(methods)}, **tables}


def test_methods_are_products() -> None:
    assert [METHODS[name] for name in FOUR] == [  # type: ignore[index]
        ("setfit", "full"), ("setfit", "lora"), ("encoder-head", "lora"), ("encoder-head", "full"),
    ]  # fmt: skip


def test_the_embedded_encoders_shape_is_counted() -> None:
    """Embeddings, and in each of 6 blocks 12 h^2 weights, 13 h biases and gains: 30,522 + 512 + 2 rows of 384."""
    h = 384
    embeddings = (30_522 + 512 + 2) * h
    assert EMBEDDED.embedding_parameters == embeddings
    assert EMBEDDED.block_parameters == 6 * 12 * h * h == ENCODER.block_parameters
    assert EMBEDDED.parameters == embeddings + 2 * h + 6 * (12 * h * h + 13 * h)
    assert EMBEDDED.parameters == ENCODER.parameters - h * h - h  # the pooler


@pytest.mark.parametrize("architecture", ["bert", "roberta", "deberta-v2"])
def test_facts_of_a_folder(architecture: str, tmp_path: Path) -> None:
    """Against the network itself, without its pooler."""
    from transformers import AutoModel

    folder = tiny_encoder(tmp_path, architecture=architecture)
    found = encoder_facts(Model(encoder_path=str(folder)), folder, Lock())
    network = AutoModel.from_pretrained(folder)
    network.pooler = None
    assert found.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert (found.hidden, found.layers, found.heads, found.intermediate) == (32, 2, 4, 64)
    assert found.max_positions == (63 if architecture == "roberta" else 64)
    dense = [linear for linear in found.linears if linear.name == "dense"]
    assert {(one.d_in, one.d_out, one.count) for one in dense} == {(32, 32, 2), (32, 64, 2), (64, 32, 2)}


@pytest.mark.parametrize("method", FOUR)
def test_moving_parameters_are_the_encoders(method: str) -> None:
    made = compiled(included(method))
    arm = next(arm for arm in made.plan.arms if arm.method == method)
    cost = next(cost for cost in made.estimate.arms if cost.arm == arm.name)
    lora = 6 * 8 * (4 * (384 + 384) + 2 * (384 + 1536))
    head = 4 * 384 if "encoder" in method else 0
    assert cost.trainable_parameters == (lora if arm.lora else EMBEDDED.parameters) + head
    assert arm.precision == "fp32"
    assert 0 < cost.peak_memory_bytes.mid < 2e9
    assert cost.artefact_bytes > 4 * cost.trainable_parameters


def test_texts_in_several_pairs_cost_once() -> None:
    """32 draws of 8 texts show 7.89 of them; of 32, 20.4: so a step on few labels is shorter."""
    assert distinct(32, 8) == pytest.approx(7.89, abs=0.01)
    assert distinct(32, 32) == pytest.approx(20.4, abs=0.1)
    times = []
    for n in (8, 32):
        made = compiled(included("setfit", data={"label_budget": n}, evaluation={"data_seeds": 1}))
        arm = next(arm for arm in made.plan.arms if arm.method == "setfit")
        seconds = next(s for name, s in made.estimate.stage_seconds.items() if name.startswith("train/setfit"))
        times.append(seconds / arm.recipes[0].steps)
    assert times[0] < 0.7 * times[1]


def test_a_default_plan_has_none_and_says_why() -> None:
    plan = compiled({"data": {"label_budget": 32}}).plan
    assert not {arm.method for arm in plan.arms} & set(FOUR)
    assert [name for name in plan.left_out if name in FOUR] == ["setfit", "encoder+lora"]
    why = {one.value: one for one in plan.decisions if one.field.startswith("/left_out/")}
    assert why["setfit"].rule == "R-022"
    assert why["setfit"].flips_when == "methods.include names it"


def test_pairs_of_texts_have_a_head_and_no_setfit() -> None:
    assert suits("encoder+full", "pair-classification")
    plan = compiled(included("encoder+full", task={"type": "pair-classification"})).plan
    assert "encoder + full" in {arm.name for arm in plan.arms}
    for task in ("pair-classification", "summarisation", "preference"):
        with pytest.raises(SpecError) as caught:
            load(SPEC.format(task=task).encode())
        assert "E-conflict" in {one.code for one in caught.value.diagnostics}


def test_sweeps_make_an_arm_of_each_value() -> None:
    methods = {"arms": [{"method": "setfit", "pair_iterations": [5, 20]}, {"method": "encoder+lora", "rank": [4, 8]}]}
    plan = compiled({"methods": methods}).plan
    assert {"setfit, R=5", "setfit, R=20", "encoder + LoRA r=4", "encoder + LoRA r=8"} <= {
        arm.name for arm in plan.arms
    }
    fits = [
        stage.fingerprint for stage in plan.stages if stage.kind == "train" and (stage.arm or "").startswith("setfit")
    ]
    assert len(fits) == len(set(fits)) > 2


def test_common_targets_are_the_language_models() -> None:
    methods = {"include": ["encoder+lora"], "pin": {"targets": ["q_proj"]}}
    arms = {arm.method: arm for arm in compiled({"methods": methods}).plan.arms}
    assert arms["encoder+lora"].lora.targets == ("dense", "key", "query", "value")  # type: ignore[union-attr]
    assert arms["pattern+lora"].lora.targets == ("q_proj",)  # type: ignore[union-attr]
    own = {"arms": [{"method": "encoder+lora", "targets": ["query"]}]}
    (arm,) = [arm for arm in compiled({"methods": own}).plan.arms if arm.lora]
    assert arm.lora is not None
    assert arm.lora.targets == ("query",)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("E-no-effect", {"arms": [{"method": "pattern+lora", "pair_iterations": 5}]}, "/methods/arms/0/pair_iterations"),
    ("E-no-effect", {"arms": [{"method": "encoder+full", "pretraining_steps": 5}]},
     "/methods/arms/0/pretraining_steps"),
    ("E-no-effect", {"arms": [{"method": "setfit", "early_stopping": False}]}, "/methods/arms/0/early_stopping"),
    ("E-no-effect", {"arms": [{"method": "setfit", "objective": "supervised"}]}, "/methods/arms/0/objective"),
    ("E-conflict", {"arms": [{"method": "encoder+lora", "objective": "few-shot-distillation"}]},
     "/methods/arms/0/objective"),
    ("E-conflict", {"arms": [{"method": "encoder+lora", "dropout": 0.1}]}, "/methods/arms/0/dropout"),
    ("E-value", {"arms": [{"method": "encoder+lora", "targets": ["q_proj"]}]}, "/methods/arms/0/targets"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "methods", "pointer"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_would_be_ignored_is_refused(code: str, methods: dict[str, Any], pointer: str) -> None:
    found = faults({"data": {"label_budget": 160}, "methods": methods})
    assert (code, pointer) in [(one.code, one.pointer) for one in found]


def test_an_encoder_is_named_once() -> None:
    with pytest.raises(ValueError, match="either encoder or encoder_path"):
        Experiment.model_validate({
            "spec_version": 1, "task": {"type": "classification"}, "data": {"train": "a.csv"},
            "model": {"encoder": "roberta-base", "encoder_path": "x"},
        })  # fmt: skip
    assert Model(encoder="all-MiniLM-L6-v2").embeds_encoder
    assert not Model(encoder="roberta-base").embeds_encoder


def test_estimates_know_the_encoder() -> None:
    """A step of the encoder is far shorter than one of the language model on the same texts."""
    made = compiled(included("encoder+lora", "head+lora"))
    seconds = {cost.arm: cost.seconds.mid for cost in made.estimate.arms}
    assert seconds["encoder + LoRA r=8"] < 0.6 * seconds["head + LoRA r=8"]
