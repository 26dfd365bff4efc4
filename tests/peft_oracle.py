"""A LoRA arm as plain peft has it: what fewtune's own training is compared with."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from tiny import LABELS
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BitsAndBytesConfig

from fewtune.compiler.arm import Arm
from fewtune.runtime.job import Corpus, RowRef
from fewtune.runtime.train.loop import Example
from fewtune.runtime.train.prompt import Encoder, Template, load_tokenizer


def examples(folder: Path, arm: Arm, corpus: Corpus, count: int = 20) -> list[Example]:
    encoder = Encoder(load_tokenizer(str(folder / "tokenizer.json")))
    rows = encoder.rows(Template(str(arm.pattern)), 64, corpus, RowRef(split="train", rows=tuple(range(count))))
    return [Example(tokens, corpus.splits["train"][row].label) for row, tokens in enumerate(rows)]


def peft_model(folder: Path, arm: Arm, dtype: torch.dtype) -> Any:
    assert arm.lora is not None
    head = arm.formulation == "head"
    kind = AutoModelForSequenceClassification if head else AutoModelForCausalLM
    more: dict[str, Any] = {"num_labels": len(LABELS), "pad_token_id": 0} if head else {}
    if arm.four_bit:
        more["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    model = kind.from_pretrained(folder, attn_implementation="sdpa", dtype=dtype, **more).eval()
    for module in model.modules():  # layers that are too narrow for it break when they are packed for inference
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    config = LoraConfig(
        r=arm.lora.rank,
        lora_alpha=arm.lora.alpha,
        use_rslora=arm.lora.rslora,
        lora_dropout=0.0,
        target_modules=list(arm.lora.targets),
        modules_to_save=["score"] if head else None,
    )
    return get_peft_model(model, config, autocast_adapter_dtype=False).eval()


def peft_names(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """State names as the parameters of a live peft model are called."""
    for name, value in tensors.items():
        if name.endswith("score.weight"):
            yield name.replace("score.weight", "score.modules_to_save.default.weight"), value
        else:
            yield name.replace(".weight", ".default.weight"), value
