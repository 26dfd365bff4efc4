"""What an arm adds to the base, as data: which tensors move, where they go, and how the answer is read out.

An adaptation is a set of named tensors. Training starts from `initial` ones and moves them, predicting reads them from
a state; `tuned` puts either kind into a view of the base. What happens at one linear layer is hidden behind `Wrap`, so
that several trials' tensors can later share one layer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from fewtune.compiler.plan import Arm
from fewtune.runtime.train.lora import LowRankLinear
from fewtune.runtime.train.lora import initial as initial_pair
from fewtune.runtime.train.model import BLOCK, Base, output_rows
from fewtune.runtime.train.quantised import AnyLinear
from fewtune.runtime.train.reading import Prefix, Reader, Tokens
from fewtune.runtime.train.state import metadata
from fewtune.runtime.train.weights import Weights, alone

PEFT = "base_model.model."
"""What peft puts before every key."""
SCORE = "score.weight"
"""The head, as transformers' models for sequence classification call it."""
STANDARD_DEVIATION = 0.02
"""Of a new head, where the config names no initializer_range."""

Wrap = Callable[[str, AnyLinear], nn.Module]
"""(path of a linear layer, the layer) -> what stands in its place."""
Readout = Callable[[Tensor], Tensor]
"""Hidden states (rows, hidden) -> logits (rows, labels), in fp32 or wider."""


@dataclass(frozen=True)
class Tuned:
    """The base with an arm's additions: rows of tokens in, a logit for each label out."""

    reader: Reader
    readout: Readout
    shares_beginnings: bool

    def logits(self, rows: Sequence[Tokens], prefix: Prefix | None = None, last: Sequence[int] | None = None) -> Tensor:
        """A logit of each label (or token) at each row's last tokens, `last` of them, else one: (places, labels)."""
        return self.readout(self.reader.read(rows, prefix, last))


def sites(model: Any, targets: Sequence[str]) -> list[tuple[str, AnyLinear]]:
    """The linear layers of the blocks with these names, in the model's own order.

    Raises:
        ValueError: for a name that is no linear layer of a block.
    """
    linears = [
        (path, module) for path, module in model.named_modules() if isinstance(module, AnyLinear) and BLOCK.search(path)
    ]
    for target in targets:
        if not any(_called(path, target) for path, _ in linears):
            known = sorted({path.rpartition(".")[2] for path, _ in linears})
            raise ValueError(f"no linear layer is called {target!r}; the blocks have {', '.join(known) or 'none'}")
    return [(path, linear) for path, linear in linears if any(_called(path, target) for target in targets)]


def _called(path: str, target: str) -> bool:
    return f".{path}".endswith(f".{target}")


def wrap_sites(model: Any, targets: Sequence[str], wrap: Wrap) -> None:
    """Put something in the place of each site of a view."""
    for path, linear in sites(model, targets):
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, wrap(path, linear))


def _key(arm: Arm, name: str) -> str:
    """A tensor's name in the state."""
    return f"{PEFT}{name}" if arm.lora is not None else name


def initial(base: Base, arm: Arm, labels: int, seed: int) -> dict[str, Tensor]:
    """The tensors that training starts from: a new head first, then the sites in order, all from one generator."""
    generator = torch.Generator().manual_seed(seed)
    values: dict[str, Tensor] = {}
    if arm.formulation == "head":
        width = base.model.get_output_embeddings().weight.shape[1]
        deviation = getattr(base.model.config, "initializer_range", STANDARD_DEVIATION)
        values[_key(arm, SCORE)] = torch.empty(labels, width).normal_(0.0, deviation, generator=generator)
    if arm.lora is not None:
        for path, linear in sites(base.model, arm.lora.targets):
            a, b = initial_pair(linear, arm.lora.rank, generator)
            values |= {f"{PEFT}{path}.lora_A.weight": a, f"{PEFT}{path}.lora_B.weight": b}
    elif arm.adaptation == "full":
        values |= dict(_movable(base.model, arm))
    return values


def _movable(model: Any, arm: Arm) -> Iterator[tuple[str, Tensor]]:
    """All parameters that the arm's answer depends on: with a head, an untied output embedding is none of them."""
    output, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    idle = {id(parameter) for parameter in output.parameters() if parameter is not embedding.weight}
    for name, parameter in model.named_parameters():
        if arm.formulation != "head" or id(parameter) not in idle:
            yield name, parameter


def score_key(arm: Arm) -> str:
    """The name of an arm's head in its state."""
    return _key(arm, SCORE)


def moving(base: Base, arm: Arm, labels: int, seed: int) -> Weights:
    """The arm's parameters, ready to be trained; a head computes in fp32."""
    return alone(initial(base, arm, labels, seed), base.dtype, base.device, exact={score_key(arm)})


def tuned(base: Base, arm: Arm, tokens: Sequence[int], tensors: Mapping[str, Tensor]) -> Tuned:
    """Put tensors into a view of the base.

    Args:
        base: the resident model.
        arm: says where the tensors belong.
        tokens: token of each label, for arms without a head.
        tensors: what `moving` made or `restored` read; empty for an arm that moves nothing.
    """
    model = base.model
    if arm.adaptation == "full":
        model = base.view(tensors)
    elif arm.lora is not None:
        model, lora = base.view({}), arm.lora

        def low_rank(path: str, linear: AnyLinear) -> nn.Module:
            a, b = (tensors[f"{PEFT}{path}.lora_{part}.weight"] for part in "AB")
            return LowRankLinear(linear, a, b, lora.scale)

        wrap_sites(model, lora.targets, low_rank)
    if arm.formulation == "head":
        readout = head_readout(tensors[score_key(arm)])
    else:
        readout = word_readout(model, arm, tokens, base.device)
    return Tuned(base.reader(model), readout, base.shares_beginnings)


def head_readout(head: Tensor) -> Readout:
    """Hidden state times a new head."""
    return lambda hidden: nn.functional.linear(hidden.to(_wide(hidden)), head.to(_wide(hidden)))


def word_readout(model: Any, arm: Arm, tokens: Sequence[int], device: torch.device) -> Readout:
    """What the model itself says next: a logit of each label's token, or of every token where a text is written."""
    return label_readout(model, tokens, device) if arm.generation is None else token_readout(model)


def label_readout(model: Any, tokens: Sequence[int], device: torch.device) -> Readout:
    """Hidden state times the label tokens' rows of the output embedding; never all logits."""
    ids = torch.tensor(tokens, device=device)

    def logits(hidden: Tensor) -> Tensor:
        weight, bias = output_rows(model, ids)
        wide = _wide(hidden)
        return nn.functional.linear(hidden.to(wide), weight.to(wide), None if bias is None else bias.to(wide))

    return logits


def token_readout(model: Any) -> Readout:
    """Hidden state times the whole output embedding, in the model's own precision: a logit of each token."""
    output = model.get_output_embeddings()
    return lambda hidden: output(hidden).to(_wide(hidden))


def _wide(hidden: Tensor) -> torch.dtype:
    return torch.promote_types(hidden.dtype, torch.float32)


def saved(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """A state: the tensors and what they are."""
    content: bytes = save({name: value.contiguous() for name, value in tensors.items()}, metadata=metadata(facts))
    return content


def restored(base: Base, arm: Arm, state: bytes) -> dict[str, nn.Parameter]:
    """The tensors of a state, in the precision in which they were evaluated."""
    score = score_key(arm)
    tensors: dict[str, Tensor] = load(state)
    return {
        name: nn.Parameter(value.to(base.device, None if name == score else base.dtype), requires_grad=False)
        for name, value in tensors.items()
    }
