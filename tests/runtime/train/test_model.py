"""The resident base: checked when it is loaded, never written to."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import LABELS, tiny_tokenizer, tiny_word_tokens
from transformers import AutoConfig, AutoModelForCausalLM

from fewtune.compiler.arm import Lora
from fewtune.runtime.job import Corpus, Job, ModelRef, RowRef
from fewtune.runtime.train.engine import Engine
from fewtune.runtime.train.model import Base, load
from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer
from fewtune.runtime.train.tuner import Tuner


def other_model(folder: Path, architecture: str, **shape: Any) -> Path:
    """A tiny model of any architecture with the usual tokenizer."""
    size = tiny_tokenizer(folder)
    usual: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    usual |= {"intermediate_size": 64, "initializer_range": 0.15}
    config = AutoConfig.for_model(
        architecture, vocab_size=size, bos_token_id=0, eos_token_id=0, pad_token_id=0, **usual | shape
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def changed(folder: Path, target: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> Path:
    """A copy of a model with other tensors."""
    shutil.copytree(folder, target)
    tensors = load_file(target / "model.safetensors")
    change(tensors)
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_a_missing_tensor_is_refused(models: Any, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    broken = changed(models(), tmp_path / "m", lambda tensors: tensors.__delitem__(name))
    with pytest.raises(ValueError, match=f"missing {name}"):
        load(str(broken), "fp32", "cpu")


@pytest.mark.parametrize("architecture", ["qwen2", "gpt_neox"])
def test_a_head_that_stayed_unloaded_is_refused(architecture: str, models: Any, tmp_path: Path) -> None:
    def behead(tensors: dict[str, torch.Tensor]) -> None:
        tensors.pop(next(name for name in tensors if name in ("lm_head.weight", "embed_out.weight")))

    with pytest.raises(ValueError, match="missing"):
        load(str(changed(models(architecture), tmp_path / "m", behead)), "fp32", "cpu")


def test_a_leftover_in_a_block_is_refused_and_an_old_buffer_is_not(models: Any, tmp_path: Path) -> None:
    extra = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    assert load(str(changed(models(), tmp_path / "a", lambda tensors: tensors.update(extra))), "fp32", "cpu")
    extra = {"model.layers.0.self_attn.q_norm.weight": torch.ones(8)}
    with pytest.raises(ValueError, match="strange"):
        load(str(changed(models(), tmp_path / "b", lambda tensors: tensors.update(extra))), "fp32", "cpu")


def test_a_wrong_shape_is_refused(models: Any, tmp_path: Path) -> None:
    extra = {"model.layers.0.self_attn.q_proj.weight": torch.ones(8, 32)}
    broken = changed(models(), tmp_path / "m", lambda tensors: tensors.update(extra))
    with pytest.raises((ValueError, RuntimeError), match="mismatch"):
        load(str(broken), "fp32", "cpu")


def test_scaled_logits_are_refused(tmp_path: Path) -> None:
    folder = other_model(tmp_path, "granite", logits_scaling=8.0, num_key_value_heads=2)
    with pytest.raises(ValueError, match="changes its logits"):
        load(str(folder), "fp32", "cpu")


OTHERS = {
    "bloom": ({}, ("query_key_value", "dense_h_to_4h")),
    "falcon": ({"num_kv_heads": 4, "alibi": True}, ("query_key_value", "dense_4h_to_h")),
    "gptj": ({"rotary_dim": 4, "n_inner": 64}, ("q_proj", "fc_in")),
    "phi": ({"num_key_value_heads": 2}, ("q_proj", "fc1")),
    "gemma": ({"num_key_value_heads": 2, "head_dim": 8}, ("q_proj", "up_proj")),
    "mistral": ({"num_key_value_heads": 2, "sliding_window": 8}, ("q_proj", "up_proj")),
}


@pytest.mark.parametrize("architecture", list(OTHERS))
def test_other_architectures_just_work(
    architecture: str, job: Callable[..., Job], corpus: Corpus, tmp_path: Path
) -> None:
    shape, targets = OTHERS[architecture]
    folder = other_model(tmp_path, architecture, **shape)
    engine = Engine(ModelRef(path=str(folder), weights_hash=""), corpus)
    answer = engine.run(
        job("pattern", pattern="the new report says that on monday after long talks with people {text}")
    )
    assert answer.failure is None, answer.message
    tokens = list(tiny_word_tokens(folder).values())
    encoder = Encoder(load_tokenizer(str(folder / "tokenizer.json")))
    template = Template("the new report says that on monday after long talks with people {text}")
    rows = encoder.rows(template, 64, corpus, RowRef(split="test", rows=tuple(range(40))))
    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        expected = [plain(torch.tensor([row])).logits[0, -1, tokens].softmax(-1).tolist() for row in rows]
    np.testing.assert_allclose(answer.outcomes[1].probabilities, expected, atol=1e-5)  # type: ignore[union-attr]
    trained = engine.run(
        job("pattern", "lora", lora=Lora(rank=2, alpha=4, targets=targets), steps=30, learning_rate=0.02)
    )
    assert trained.failure is None, trained.message
    losses = trained.outcomes[0].losses  # type: ignore[union-attr]
    assert losses[-1][1] < losses[0][1]


def test_a_view_shares_every_tensor_and_keeps_ties(bases: Callable[..., Base]) -> None:
    base = bases()
    view = base.view({})
    assert view is not base.model
    mine, theirs = dict(view.named_parameters()), dict(base.model.named_parameters())
    assert all(mine[name] is parameter for name, parameter in theirs.items())
    moved = {name: torch.nn.Parameter(parameter.detach().clone()) for name, parameter in theirs.items()}
    other = base.view(moved)
    assert other.get_output_embeddings().weight is other.get_input_embeddings().weight
    assert all(dict(other.named_parameters())[name] is parameter for name, parameter in moved.items())


def test_one_base_for_each_kind_stays(models: Any, corpus: Corpus, job: Callable[..., Job]) -> None:
    engine = Engine(ModelRef(path=str(models()), weights_hash=""), corpus)
    for precision in ("fp32", "bf16", "fp32"):
        for adaptation in ("none", "qlora"):
            assert engine.run(job("pattern", adaptation, precision=precision, steps=1)).failure is None
    tuner = engine._methods["model"]
    assert isinstance(tuner, Tuner)
    assert {name: base.dtype for name, base in tuner._bases.items()} == {
        (name, four_bit): dtype
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))
        for four_bit in (False, True)
    }
    assert corpus.labels == LABELS
