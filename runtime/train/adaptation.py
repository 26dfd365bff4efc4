"""What an arm adds to the base, as data: which tensors move, where they go, and how the answer is read out.

An adaptation is a set of named tensors. Training starts from `initial` ones and moves them, predicting reads them from
a state; `tuned` puts either kind into a view of the base. Which tensors these are, and where they belong, is the
business of the adaptation's own module in `adaptations`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.adaptations import PEFT, Placed, kind
from fewtune.runtime.train.model import Base, output_rows
from fewtune.runtime.train.reading import Prefix, Reader, Tokens
from fewtune.runtime.train.state import metadata
from fewtune.runtime.train.weights import Weights, alone

SCORE = "score.weight"
"""The head, as transformers' models for sequence classification call it."""
BIAS = "score.bias"
"""What their models for tokens have beside it."""
STANDARD_DEVIATION = 0.02
"""Of a new head, where the config names no initializer_range."""

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


def speaking(base: Base, arm: Arm, tensors: Mapping[str, Tensor]) -> Tuned:
    """What an arm's tensors make of the base, read out as the next token: what continued pre-training trains."""
    placed = kind(arm).placed(base, arm, tensors)
    return Tuned(placed.reader, token_readout(placed.model), base.shares_beginnings)


def untouched(base: Base) -> Tuned:
    """The base as it is, read out as the next token."""
    return Tuned(base.reader(base.model), token_readout(base.model), base.shares_beginnings)


def score_key(arm: Arm) -> str:
    """The name of an arm's head in its state."""
    return SCORE if kind(arm).own else f"{PEFT}{SCORE}"


def initial(base: Base, arm: Arm, labels: int, seed: int) -> dict[str, Tensor]:
    """The tensors that training starts from: a new head first, then the adaptation's, all from one generator."""
    generator = torch.Generator().manual_seed(seed)
    values: dict[str, Tensor] = {}
    if arm.headed:
        deviation = getattr(base.model.config, "initializer_range", STANDARD_DEVIATION)
        values[score_key(arm)] = torch.empty(labels, base.width).normal_(0.0, deviation, generator=generator)
    return values | kind(arm).initial(base, arm, generator)


def moving(base: Base, arm: Arm, labels: int, seed: int, start: Mapping[str, Tensor] | None = None) -> Weights:
    """The arm's parameters, ready to be trained; a head computes in fp32.

    Args:
        base: the resident model.
        arm: what moves.
        labels: how many; 0: no head.
        seed: of new parameters.
        start: what some of them begin with instead.
    """
    values = initial(base, arm, labels, seed) | dict(start or {})
    rates = kind(arm).rates(base, arm, tuple(values))
    return alone(values, base.dtype, base.device, exact={score_key(arm)}, rates=rates)


def tuned(base: Base, arm: Arm, tokens: Sequence[int], tensors: Mapping[str, Tensor]) -> Tuned:
    """Put tensors into a view of the base.

    Args:
        base: the resident model.
        arm: says where the tensors belong.
        tokens: token of each label, for arms without a head.
        tensors: what `moving` made or `restored` read; empty for an arm that moves nothing.
    """
    placed = kind(arm).placed(base, arm, tensors) if arm.trained else Placed(base.model, base.reader(base.model))
    if arm.headed:
        readout = head_readout(tensors[score_key(arm)])
    elif arm.encoded:
        readout = embedding_readout
    else:
        readout = word_readout(placed.model, arm, tokens, base.device)
    return Tuned(placed.reader, readout, base.shares_beginnings)


def head_readout(head: Tensor) -> Readout:
    """Hidden state times a new head."""
    return lambda hidden: nn.functional.linear(hidden.to(_wide(hidden)), head.to(_wide(hidden)))


def embedding_readout(hidden: Tensor) -> Tensor:
    """The representation itself, for what compares texts."""
    return hidden


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
    return placed_on(base, arm, load(state))


def placed_on(base: Base, arm: Arm, tensors: Mapping[str, Tensor]) -> dict[str, nn.Parameter]:
    """Tensors of a state where the base is, in its precision; a head in its own."""
    score = score_key(arm)
    return {
        name: nn.Parameter(value.to(base.device, None if name == score else base.dtype), requires_grad=False)
        for name, value in tensors.items()
    }
