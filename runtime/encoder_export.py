"""A tuned encoder as plain files, in the layout of sentence-transformers; transformers alone can use them, too.

The head, or setfit's logistic regression, is a last dense layer whose outputs are the labels' logits.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from fewtune.runtime.chosen import Chosen

COPIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt")
DENSE = "3_Dense"
MODULES = (
    ("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"), (DENSE, "Dense"),
)  # fmt: skip
"""Folder and class of each step; a head reads means that are not of unit length."""
SCRIPT = '''"""Labels for JSON lines on standard input: python predict.py < rows.jsonl"""
import json, sys
from pathlib import Path
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModel
here = Path(__file__).resolve().parent
card = json.loads((here / "fewtune.json").read_text(encoding="utf-8"))
tokenizer = Tokenizer.from_file(str(here / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(card["max_tokens"], strategy="longest_first")
model = AutoModel.from_pretrained(here, dtype=torch.float32).eval()
head = load_file(here / "3_Dense" / "model.safetensors")
for line in sys.stdin:
    row = json.loads(line)
    found = tokenizer.encode(*(row[field] for field in card["fields"]))
    more = {"token_type_ids": torch.tensor([found.type_ids])} if card["tells_texts_apart"] else {}
    with torch.inference_mode():
        vector = model(input_ids=torch.tensor([found.ids]), **more).last_hidden_state.mean(1)
    if card["unit_length"]:
        vector = torch.nn.functional.normalize(vector, dim=-1)
    logits = vector.double() @ head["linear.weight"].double().T + head["linear.bias"].double()
    scores = logits[0].softmax(-1).tolist()
    best = max(range(len(scores)), key=scores.__getitem__)
    print(json.dumps({"label": card["labels"][best], "probability": round(scores[best], 6)}))
'''
"""What uses the exported model."""


def export_encoder(model: Chosen, folder: Path, precision: str) -> list[str]:
    """Write the whole model into a folder that is there and empty.

    Args:
        model: an arm that tuned an encoder.
        folder: where to write.
        precision: of the encoder's weights, fp32 or bf16; the last layer stays as it was fitted.

    Returns:
        The names of the files.
    """
    import torch
    from safetensors.torch import load, save_file

    from fewtune.runtime.train.adaptation import score_key
    from fewtune.runtime.train.adaptations import kind
    from fewtune.runtime.train.encoder import load as load_encoder

    source, arm, tensors = model.encoder_folder, model.arm, load(model.state or b"")
    base = load_encoder(source, "cpu", separator=0)
    weights = dict(base.model.named_parameters())
    if arm.headed:
        dense = tensors.pop(score_key(arm))
        last = {"linear.weight": dense, "linear.bias": torch.zeros(len(dense), dtype=dense.dtype)}
    else:
        last = {"linear.weight": tensors.pop("coefficients"), "linear.bias": tensors.pop("intercept")}
    merged = kind(arm).merged({name: value.detach() for name, value in weights.items()}, tensors, arm) or {}
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    whole = {name: value.detach().to(dtype).contiguous() for name, value in merged.items()}
    save_file(whole, folder / "model.safetensors", metadata={"format": "pt"})
    copied = [name for name in COPIED if (source / name).exists()]
    for name in copied:
        shutil.copyfile(source / name, folder / name)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    contents = _layout(model, base.width) | {
        "config.json": config | {"architectures": [type(base.model).__name__], "dtype": str(dtype).split(".")[1]},
        "fewtune.json": _card(model, tells=base.separator is not None),
    }  # fmt: skip
    for name, content in contents.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    exact = {name: value.float().contiguous() for name, value in last.items()}
    save_file(exact, folder / DENSE / "model.safetensors", metadata={"format": "pt"})
    (folder / "predict.py").write_text(SCRIPT, encoding="utf-8")
    return ["model.safetensors", f"{DENSE}/model.safetensors", "predict.py", *copied, *contents]


def _layout(model: Chosen, width: int) -> dict[str, Any]:
    """File -> content of what sentence-transformers reads beside the weights."""
    steps = [step for step in MODULES if step[1] != "Normalize" or not model.arm.headed]
    return {
        "modules.json": [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{name}"}
            for at, (path, name) in enumerate(steps)
        ],
        "sentence_bert_config.json": {"max_seq_length": model.arm.max_tokens, "do_lower_case": False},
        "1_Pooling/config.json": {"word_embedding_dimension": width, "pooling_mode_mean_tokens": True},
        f"{DENSE}/config.json": {
            "in_features": width, "out_features": len(model.plan.labels), "bias": True,
            "activation_function": "torch.nn.modules.linear.Identity",
        },
    }  # fmt: skip


def _card(model: Chosen, *, tells: bool) -> dict[str, Any]:
    """What a program needs to ask the model the way it was trained."""
    plan, arm = model.plan, model.arm
    return {
        "base": plan.experiment.model.encoder_place,
        "base_weights_hash": plan.facts.encoder_hash or None,
        "fields": list(plan.facts.fields),
        "labels": list(plan.labels),
        "max_tokens": arm.max_tokens,
        "unit_length": not arm.headed,
        "tells_texts_apart": tells,
        "trained_in": arm.precision,
        "plan_hash": plan.hash,
        "state": model.fingerprint,
    }
