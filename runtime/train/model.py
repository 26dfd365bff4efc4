"""The resident base model: loaded once for each precision and quantisation, checked, frozen, shared by every trial.

What the engine builds on is verified on the loaded model, not assumed from its name: that no tensor is missing (a head
may stay unloaded, transformers#43159), that its logits are hidden state times output embedding, that rows may lie end
to end, and that a shared beginning may be read once. A model that fails one of the last two is read the plain way.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

from fewtune.compiler.arm import Precision
from fewtune.runtime.tensors import tensors_of
from fewtune.runtime.train.attention import CAUSAL
from fewtune.runtime.train.attention import NAME as END_TO_END
from fewtune.runtime.train.norm import accelerate
from fewtune.runtime.train.quantised import quantise
from fewtune.runtime.train.reading import Prefix, Reader

DTYPES: dict[Precision, torch.dtype] = {"bf16": torch.bfloat16, "fp32": torch.float32}
FILED = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}
"""Names of these in safetensors files."""
BLOCK = re.compile(r"\.\d+\.")
BUFFERS = re.compile(r"(rotary_emb\.inv_freq|masked_bias|attn\.bias|attention\.bias)$")
"""Tensors that old checkpoints carry and no model needs."""
BY_MASK = ("qwen2_moe", "phimoe")
"""Architectures whose window is in transformers' mask only, which an attention of ours never sees."""
PROBES = ((3, 5, 7, 5), (2, 6), (4, 3, 9))
"""Rows of token ids of different lengths."""
CLOSE = {torch.bfloat16: 0.03, torch.float16: 0.01}
"""Largest relative difference between two ways to read a row; an ignored position bias gives 0.1, rounding 0.01."""
CLOSE_WIDE = 1e-3
"""The same for wider numbers."""
SAME = 0.01
"""Largest relative difference between the model's logits and ours; both round the same product."""


@dataclass(frozen=True)
class Base:
    """A frozen causal language model on its device."""

    model: Any
    """The transformers model; nobody writes to its tensors."""
    dtype: torch.dtype
    device: torch.device
    positions: int
    """Longest sequence that the model can take."""
    end_to_end: bool
    """Rows may lie end to end."""
    shares_beginnings: bool
    """A beginning that rows share may be read once."""

    @property
    def width(self) -> int:
        """Numbers of what a head reads."""
        return int(self.model.get_output_embeddings().weight.shape[1])

    def view(self, moved: Mapping[str, Tensor]) -> Any:
        """A second tree of modules over the same tensors; parameters named in `moved` are replaced.

        Nothing is copied but the modules themselves, so an arm may change its own tree as it likes, and there is
        nothing to undo afterwards.
        """
        memo: dict[int, Any] = {id(tensor): tensor for tensor in chain(self.model.parameters(), self.model.buffers())}
        memo |= {id(parameter): moved[name] for name, parameter in self.model.named_parameters() if name in moved}
        return copy.deepcopy(self.model, memo)

    def reader(self, model: Any, beginning: Callable[[Reader], Prefix] | None = None) -> Reader:
        """A reader of the base or of a view of it; `beginning` makes virtual tokens."""
        return Reader(model.base_model, end_to_end=self.end_to_end, device=self.device, beginning=beginning)


def output_rows(model: Any, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
    """(rows of the output embedding for these tokens, their biases if there are any): (tokens, hidden), (tokens,)."""
    output = model.get_output_embeddings()
    return output.weight[tokens], None if output.bias is None else output.bias[tokens]


def load(path: str, precision: Precision, device: str, *, four_bit: bool = False) -> Base:
    """Load a local model folder.

    Args:
        path: config.json and *.safetensors.
        precision: of the arithmetic.
        device: where it stays.
        four_bit: the linear layers of the blocks are held quantised (nf4).

    Raises:
        ValueError: for a model whose weights are incomplete or whose logits come about in another way.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False)
    place = torch.device(device)
    model, report = AutoModelForCausalLM.from_pretrained(
        path,
        config=config,
        dtype=_stored(path) if four_bit else DTYPES[precision],  # then the weights stay pages of the file
        attn_implementation="sdpa" if place.type == "cuda" else "eager",
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    check_loaded(model, report)
    if four_bit:
        linears = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
        quantise(model, filter(BLOCK.search, linears), place, DTYPES[precision])
        for left in model.parameters():
            left.data = left.data.to(DTYPES[precision])  # no buffer: positions keep their own precision
    return prepared(model.to(place))


def _stored(path: str) -> torch.dtype:
    """The precision of most weights in the model's files."""
    sizes: dict[str, int] = defaultdict(int)
    for tensor in tensors_of(Path(path)).values():
        sizes[tensor.dtype] += tensor.end - tensor.start
    return FILED.get(max(sizes, key=lambda name: sizes[name]), torch.float32)


def prepared(model: Any) -> Base:
    """Freeze a loaded model and find out how it may be read."""
    model.requires_grad_(False)
    model.eval()
    parameter = next(model.parameters())
    with torch.inference_mode():
        check_readout(model, parameter.device)
        accelerate(model)
        end_to_end = parameter.device.type == "cpu"
        end_to_end = takes_attention(model, END_TO_END if end_to_end else CAUSAL, end_to_end=end_to_end) and end_to_end
        shares = shares_beginnings(model, end_to_end)
    return Base(
        model=model,
        dtype=parameter.dtype,
        device=parameter.device,
        positions=int(getattr(model.config, "max_position_embeddings", None) or 1 << 30),
        end_to_end=end_to_end,
        shares_beginnings=shares,
    )


def check_loaded(model: Any, report: Mapping[str, Any]) -> None:
    """Refuse a model that is not complete, or whose embeddings are not tied as its config says.

    Raises:
        ValueError: saying what is wrong.
    """
    check_complete(model, report)
    if model.config.tie_word_embeddings:
        output, embedding = model.get_output_embeddings(), model.get_input_embeddings()
        if output.weight is not embedding.weight:
            raise ValueError(
                f"{type(model).__name__}: the output embedding is not tied to the input's, as its config says"
            )


def check_complete(model: Any, report: Mapping[str, Any]) -> None:
    """Refuse a network with tensors that are missing, of the wrong shape, or left over from its blocks.

    Raises:
        ValueError: naming the first of them.
    """
    strange = [key for key in report["unexpected_keys"] if BLOCK.search(key) and not BUFFERS.search(key)]
    for what, keys in (
        ("missing", report["missing_keys"]),
        ("mismatched", report["mismatched_keys"]),
        ("strange", strange),
    ):
        if keys:
            raise ValueError(
                f"the model's weights do not fit {type(model).__name__}: {what} {sorted(map(str, keys))[0]}"
            )


def check_readout(model: Any, device: torch.device) -> None:
    """Refuse a model whose logits are not its hidden states times its output embedding (capped or scaled ones).

    Raises:
        ValueError: if they are not.
    """
    ids = torch.tensor([PROBES[0]], device=device)
    some = torch.arange(min(64, model.config.vocab_size), device=device)
    logits = model(input_ids=ids, use_cache=False).logits[0, -1, some]
    hidden = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
    if _difference(nn.functional.linear(hidden, *output_rows(model, some)), logits) > SAME:
        raise ValueError(
            f"{type(model).__name__} changes its logits after the output embedding; fewtune does not know how"
        )


def _close(x: Tensor, reference: Tensor) -> bool:
    return _difference(x, reference) < CLOSE.get(x.dtype, CLOSE_WIDE)


def _difference(x: Tensor, reference: Tensor) -> float:
    """Relative to the reference's norm."""
    return float((x - reference).float().norm() / reference.float().norm().clamp_min(1e-12))


def _plain(model: Any) -> Tensor:
    """The probes' hidden states, each row read alone: (rows, hidden)."""
    device = next(model.parameters()).device
    reader = Reader(model.base_model, end_to_end=False, device=device)
    return torch.cat([reader.read([row]) for row in PROBES])


def takes_attention(model: Any, name: str, *, end_to_end: bool) -> bool:
    """Whether rows read by an attention of ours give the hidden states they give alone; if so, the model keeps it."""
    usual, reference = model.config._attn_implementation, _plain(model)
    if getattr(model.config, "attention_chunk_size", None) or model.config.model_type in BY_MASK:
        return False
    try:
        model.set_attn_implementation(name)
        reader = Reader(model.base_model, end_to_end=end_to_end, device=next(model.parameters()).device)
        if model.config._attn_implementation == name and _close(reader.read(PROBES), reference):
            return True
    except (TypeError, ValueError, AttributeError):  # no such keyword, or an attention of its own kind
        pass
    model.set_attn_implementation(usual)
    return False


def shares_beginnings(model: Any, end_to_end: bool) -> bool:
    """Whether a row whose beginning was read before gives the hidden state it gives as a whole."""
    reader = Reader(model.base_model, end_to_end=end_to_end, device=next(model.parameters()).device)
    first = PROBES[0][:2]
    rows = [PROBES[0], (*first, 9)]
    try:
        parts = reader.read([row[2:] for row in rows], reader.prefix(first))
        return _close(parts, reader.read(rows))
    except (TypeError, ValueError, AttributeError, IndexError):  # no cache of keys and values
        return False
