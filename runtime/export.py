"""The chosen model as plain files: a peft adapter, or a whole transformers model; no fewtune is needed to use them.

Weights are merged in fp32 from the base's stored weights: W + scale B A, then rounded if asked. An adapter that was
trained on a base in four bits belongs to the rounded weights, so it is merged into these, dequantised.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from fewtune.compiler.arm import Arm
from fewtune.compiler.identity import FOUR_BITS
from fewtune.runtime.chosen import Chosen
from fewtune.runtime.encoder_export import export_encoder
from fewtune.runtime.probe.model import linears_of
from fewtune.runtime.tensors import tensors_of
from fewtune.runtime.train.prediction import GIVEN
from fewtune.specs.diagnostic import Diagnostic, RunError

COPIED = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json",
          "generation_config.json")  # fmt: skip
HEADS = {
    "llama": "LlamaForSequenceClassification", "mistral": "MistralForSequenceClassification",
    "qwen2": "Qwen2ForSequenceClassification", "qwen3": "Qwen3ForSequenceClassification",
    "opt": "OPTForSequenceClassification", "gpt_neox": "GPTNeoXForSequenceClassification",
}  # fmt: skip
"""Architecture -> transformers' class with a classification head."""

QUANTISED = (
    'quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", '
    "bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32)"
)
"""How transformers loads a base in four bits."""
EXACT = "\nfor layer in model.modules(): layer.support_avx512bf16_for_cpu = False"
"""Keeps bitsandbytes from rounding the scales once more, which it does for inference on some processors."""
SCRIPT = '''"""{what} for JSON lines on standard input: python predict.py [BASE] < rows.jsonl"""
import json, re, sys
from pathlib import Path
import torch
from transformers import AutoTokenizer, {auto}
{imports}
here = Path(__file__).resolve().parent
card = json.loads((here / "fewtune.json").read_text(encoding="utf-8"))
{base}
tokenizer = AutoTokenizer.from_pretrained(base)
{load}
for line in sys.stdin:
    row = json.loads(line)
    def encode():
        known = {{"labels": ", ".join(card["options"]), **{{field: row[field] for field in card["fields"]}}}}
        names = "|".join(map(re.escape, known))
        text = re.sub("[{{](" + names + ")[}}]", lambda found: known[found[1]], card["pattern"])
        return tokenizer(text, return_tensors="pt")
    while (excess := encode().input_ids.shape[1] - card["max_tokens"]) > 0:
        longest = max(card["fields"], key=lambda field: len(row[field]))
        row[longest] = row[longest][: -max(1, excess)]
    rows = encode()
{answer}'''
"""What uses the exported model, in some 30 lines."""
LABEL = """    with torch.inference_mode():
        logits = model(**rows).logits
    scores = {scores}.float().softmax(-1).tolist()
    best = max(range(len(scores)), key=scores.__getitem__)
    print(json.dumps({{"label": card["labels"][best], "probability": round(scores[best], 6)}}))
"""
SET = """    with torch.inference_mode():
        shares = model(**rows).logits[0].float().sigmoid().tolist()
    given = [label for label, share in zip(card["labels"], shares) if share >= card["given_from"]]
    print(json.dumps({"labels": given, "probabilities": [round(share, 6) for share in shares]}))
"""
TAGS = """    with torch.inference_mode():
        best = model(**rows).logits[0].argmax(-1).tolist()
    text, at, tags = row["text"], 0, []
    offsets = tokenizer(text, return_offsets_mapping=True)["offset_mapping"]
    for word in text.split():
        at = text.index(word, at) + len(word)
        last = [place for place, (start, end) in enumerate(offsets) if start < at <= end]
        tags.append(card["labels"][best[last[-1]]] if last else "O")
    tags += ["O"] * (len(json.loads(line)["text"].split()) - len(tags))
    print(json.dumps({"tags": tags}))
"""
TEXT = """    how = card["generation"]
    with torch.inference_mode():
        ids = model.generate(
            input_ids=rows.input_ids, attention_mask=rows.attention_mask, do_sample=False,
            max_new_tokens=how["max_new_tokens"], eos_token_id=how["end_tokens"], pad_token_id=how["end_tokens"][0])
    text = tokenizer.decode(ids[0, rows.input_ids.shape[1] :], skip_special_tokens=True).strip()
    print(json.dumps({"text": text.split("\\n")[0].strip() if how["stop_at_newline"] else text}))
"""
"""How the script ends."""


def export(model: Chosen, folder: Path, *, merged: bool, precision: str) -> list[str]:
    """Write the model's files into a new folder.

    Args:
        model: what was fitted.
        folder: must not exist, or be empty.
        merged: a whole model; otherwise an adapter (LoRA arms only).
        precision: of merged weights, fp32 or bf16.

    Returns:
        The names of the files.

    Raises:
        RunError: E-no-effect where no weights moved or full weights are asked for as an adapter, E-file-missing for a
            folder that is not empty.
    """
    if not model.arm.trained or not model.state:
        message = f"{model.arm.name} moved no weights: there is nothing to export"
        remedy = "`fewtune predict` uses it as it is; `--arm` names a trained one"
        raise RunError(Diagnostic(code="E-no-effect", message=message, remedy=remedy))
    _check_form(model, merged)
    if folder.exists() and any(folder.iterdir()):
        message = f"{folder} is not empty"
        raise RunError(Diagnostic(code="E-usage", message=message, remedy="name a new folder"), exit_status=2)
    folder.mkdir(parents=True, exist_ok=True)
    if model.arm.encoded:
        return export_encoder(model, folder, precision)
    files = _merged(model, folder, precision) if merged else _adapter(model, folder)
    _write_json(folder / "fewtune.json", _card(model))
    (folder / "predict.py").write_text(_script(model, merged), encoding="utf-8")
    return [*files, "fewtune.json", "predict.py"]


def _check_form(model: Chosen, merged: bool) -> None:
    """Refuse what has no such form.

    Raises:
        RunError: E-no-effect.
    """
    from fewtune.runtime.train.adaptations import kind

    arm = model.arm
    if arm.pattern_use == "ensemble":
        message = f"{arm.name} answers by the mean of {len(arm.patterns)} patterns, and a script asks one"
        raise RunError(Diagnostic(code="E-no-effect", message=message, remedy="use `fewtune predict`"))
    if arm.encoded and not merged:
        message = f"{arm.name}: an encoder goes with its pooling and its last layer, as a whole"
        raise RunError(Diagnostic(code="E-no-effect", message=message, remedy="export --merged"))
    unread = kind(arm).config(arm, ()) is None or bool(arm.virtual_tokens and arm.formulation == "head")
    if kind(arm).own and not merged:
        message = f"{arm.name} moved the base's own weights: there is no adapter"
        raise RunError(Diagnostic(code="E-no-effect", message=message, remedy="export --merged"))
    if merged and kind(arm).merged({}, {}, arm) is None:
        message = f"what {arm.name} adds is no weight of the base: it cannot be merged"
        remedy = "use `fewtune predict`" if unread else "export without --merged"
        raise RunError(Diagnostic(code="E-no-effect", message=message, remedy=remedy))
    if not merged and unread:
        message = f"no library reads what {arm.name} adds"
        raise RunError(Diagnostic(code="E-no-effect", message=message, remedy="use `fewtune predict`"))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _card(model: Chosen) -> dict[str, Any]:
    """What a program needs to ask the model the way it was trained."""
    plan, arm, said = model.plan, model.arm, model.wording
    verbalizer = said.verbalizer if arm.formulation == "pattern" else None
    return {
        "base": str(model.model_folder) if plan.facts.model.startswith("smollm2") else plan.facts.model,
        "base_name": plan.facts.model,
        "base_weights_hash": plan.facts.model_hash,
        "fields": list(plan.facts.fields),
        "labels": list(plan.labels),
        "pattern": said.pattern,
        "words": verbalizer.words if verbalizer else None,
        "options": [said.verbalizer.words[label] for label in plan.labels] if said.verbalizer else list(plan.labels),
        "tokens": [verbalizer.tokens[label] for label in plan.labels] if verbalizer else None,
        "max_tokens": _positions(model) if arm.marks == "tags" else arm.max_tokens,
        **({"given_from": GIVEN} if arm.marks == "set" else {}),
        **({"generation": arm.generation.model_dump(mode="json")} if arm.generation else {}),
        "trained_in": arm.precision,
        "base_quantisation": FOUR_BITS if arm.four_bit else None,
        "plan_hash": plan.hash,
        "state": model.fingerprint,
    }


def _positions(model: Chosen) -> int:
    """Tokens that the base can read beside virtual ones: of a text with tags every word is read."""
    config = json.loads((model.model_folder / "config.json").read_text(encoding="utf-8"))
    return int(config.get("max_position_embeddings") or 1 << 30) - model.arm.virtual_tokens


def _script(model: Chosen, merged: bool) -> str:
    head, marks = model.arm.formulation == "head", model.arm.marks
    auto = "AutoModelForSequenceClassification" if head else "AutoModelForCausalLM"
    auto = "AutoModelForTokenClassification" if marks == "tags" else auto
    held = f", {QUANTISED}" if model.arm.four_bit else ""
    labels = ', num_labels=len(card["labels"])' if head else ""
    made = f"{auto}.from_pretrained(base, dtype=torch.float32{labels}{held})"
    if merged:
        base, imports, load = "base = here", "", f"model = {auto}.from_pretrained(base, dtype=torch.float32).eval()"
    else:
        base = 'base = sys.argv[1] if len(sys.argv) > 1 else card["base"]'
        imports = "from peft import PeftModel" + ("\nfrom transformers import BitsAndBytesConfig" if held else "")
        load = f"model = PeftModel.from_pretrained({made}, here).eval()" + (EXACT if held else "")
    scores = "logits[0]" if head else 'logits[0, -1, card["tokens"]]'
    writes = model.arm.generation is not None
    what, answer = ("Texts", TEXT) if writes else ("Labels", LABEL.format(scores=scores))
    what, answer = (what, answer) if marks is None else ("Labels", SET) if marks == "set" else ("Tags", TAGS)
    lines = SCRIPT.format(what=what, auto=auto, imports=imports, base=base, load=load, answer=answer).splitlines()
    return "\n".join(line for line in lines if line) + "\n"


def _tensors(model: Chosen) -> dict[str, Any]:
    from safetensors.torch import load

    tensors: dict[str, Any] = load(model.state)
    return tensors


def _with_bias(model: Chosen, tensors: dict[str, Any]) -> dict[str, Any]:
    """The tensors with a bias of zero for a head of tags: transformers' head for tokens has one, ours has none."""
    import torch

    from fewtune.runtime.train.adaptation import BIAS, SCORE

    found = {name.removesuffix(SCORE) + BIAS: torch.zeros(len(tensor)) for name, tensor in tensors.items()
             if name.endswith(SCORE)}  # fmt: skip
    return tensors | found if model.arm.marks == "tags" else tensors


def _adapter(model: Chosen, folder: Path) -> list[str]:
    """Peft's two files."""
    from safetensors.torch import save_file

    from fewtune.runtime.train.adaptations import kind

    head = model.arm.formulation == "head"
    linears = sorted({linear.name for linear in linears_of(tensors_of(model.model_folder))})
    task = "TOKEN_CLS" if model.arm.marks == "tags" else "SEQ_CLS" if head else "CAUSAL_LM"
    config = {
        "task_type": task, "inference_mode": True,
        "base_model_name_or_path": _card(model)["base"], **(kind(model.arm).config(model.arm, linears) or {}),
    }  # fmt: skip
    if head:
        config["modules_to_save"] = ["score"]
    _write_json(folder / "adapter_config.json", config)
    tensors = _with_bias(model, _tensors(model))
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return ["adapter_config.json", "adapter_model.safetensors"]


def _merged(model: Chosen, folder: Path, precision: str) -> list[str]:
    """A whole model in the Hugging Face layout."""
    import torch
    from safetensors.torch import save_file

    from fewtune.runtime.train.adaptation import BIAS, SCORE
    from fewtune.runtime.train.adaptations import PEFT, kind

    source, moved = model.model_folder, _with_bias(model, _tensors(model))
    base = {name: tensor.float() for name, tensor in _base_tensors(source).items()}
    if model.arm.four_bit:
        base |= _in_four_bits(base, model.arm)
    weights = kind(model.arm).merged(base, moved, model.arm) or {}
    weights |= {
        name.removeprefix(PEFT): tensor.float() for name, tensor in moved.items() if name.endswith((SCORE, BIAS))
    }
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    if model.arm.formulation == "head":
        config |= _head_config(model, config)
        weights.pop("lm_head.weight", None)
    elif config.get("tie_word_embeddings", True):
        weights.pop("lm_head.weight", None)
    save_file(
        {name: tensor.to(dtype).contiguous() for name, tensor in weights.items()},
        folder / "model.safetensors", metadata={"format": "pt"},
    )  # fmt: skip
    _write_json(folder / "config.json", config | {"dtype": "float32" if precision == "fp32" else "bfloat16"})
    copied = [name for name in COPIED if (source / name).exists()]
    for name in copied:
        shutil.copyfile(source / name, folder / name)
    return ["config.json", "model.safetensors", *copied]


def _in_four_bits(base: dict[str, Any], arm: Arm) -> dict[str, Any]:
    """The blocks' linear layers as they were in training: rounded to nf4 from the base's precision, dequantised."""
    from fewtune.runtime.train.model import BLOCK, DTYPES
    from fewtune.runtime.train.quantised import packed

    names = [name for name, tensor in base.items() if tensor.ndim == 2 and BLOCK.search(name)]
    return {name: packed(base[name].to(DTYPES[arm.precision])).dense().float() for name in names}


def _base_tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    tensors: dict[str, Any] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= load_file(file)
    return tensors


def _head_config(model: Chosen, config: dict[str, Any]) -> dict[str, Any]:
    names = dict(enumerate(model.plan.labels))
    kind, tags = HEADS.get(str(config.get("model_type"))), model.arm.marks == "tags"
    if tags and kind is not None:
        kind = None if kind.startswith("OPT") else kind.replace("Sequence", "Token")
    if kind is None:
        message = f"transformers' class with a head for {config.get('model_type')} is not known here"
        raise RunError(Diagnostic(code="E-model", message=message, remedy="export the adapter without --merged"))
    return {
        "architectures": [kind], "num_labels": len(names), "id2label": {str(i): name for i, name in names.items()},
        "label2id": {name: i for i, name in names.items()}, "pad_token_id": config.get("pad_token_id") or 0,
        **({"problem_type": "multi_label_classification"} if model.arm.marks == "set" else {}),
    }  # fmt: skip
