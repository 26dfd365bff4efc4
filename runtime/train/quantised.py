"""Linear layers held in four bits: nf4 with double quantisation, as QLoRA has them (arXiv 2305.14314).

Only the packed weight stays. Whoever needs the weight gets it dequantised for the moment, in the forward pass and once
more in the backward pass; on a CPU the layers of bitsandbytes do the same and are a little slower. Embeddings, output
layer and norms are not quantised.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from fewtune.runtime.train.memory import trim

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it names a package that we do not need

KIND = "nf4"
BLOCK = 64
"""Weights that share a scale."""


@dataclass(frozen=True)
class Packed:
    """A weight of shape (d_out, d_in) in four bits; nobody writes to it, so all views of a base share it."""

    data: Tensor
    """Two numbers in a byte."""
    state: Any
    """The scales, quantised themselves, as a QuantState of bitsandbytes."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Packed":
        return self

    def dense(self) -> Tensor:
        """The weight in the precision it was quantised from."""
        from bitsandbytes.functional import dequantize_4bit

        weight: Tensor = dequantize_4bit(self.data, self.state)
        return weight


def packed(weight: Tensor) -> Packed:
    """Quantise a weight where it is."""
    from bitsandbytes.functional import quantize_4bit

    return Packed(*quantize_4bit(weight, blocksize=BLOCK, quant_type=KIND, compress_statistics=True))


class _Frozen(torch.autograd.Function):
    """y = x W^T + b and dx = dy W; shapes x (..., d_in), W (d_out, d_in)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Packed, bias: Tensor | None) -> Tensor:
        ctx.weight = weight
        return nn.functional.linear(x, weight.dense(), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """No dense weight is kept between the passes."""
        return (gradients[0] @ ctx.weight.dense() if ctx.needs_input_grad[0] else None), None, None


class FourBitLinear(nn.Module):
    """A frozen linear layer with a packed weight."""

    bias: nn.Parameter | None

    def __init__(self, weight: Packed, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.packed = weight
        self.register_parameter("bias", bias)
        self.out_features, self.in_features = weight.state.shape

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) -> (..., d_out)."""
        y: Tensor = _Frozen.apply(x, self.packed, self.bias)  # type: ignore[no-untyped-call]
        return y


AnyLinear = nn.Linear | FourBitLinear


def dense(linear: AnyLinear) -> Tensor:
    """The weight of a frozen layer, (d_out, d_in); of a packed one a new tensor at each call."""
    return linear.packed.dense() if isinstance(linear, FourBitLinear) else linear.weight


def quantise(model: Any, paths: Iterable[str], device: torch.device, dtype: torch.dtype) -> None:
    """Hold linear layers in four bits, one after the other: no second copy of the model is ever there.

    Args:
        model: as it was read; its weights may still be pages of the file.
        paths: of the layers.
        device: where the packed weights stay.
        dtype: what weights are quantised from and dequantised to.
    """
    for path in paths:
        parent, _, name = path.rpartition(".")
        layer = model.get_submodule(path)
        weight = packed(layer.weight.detach().to(device, dtype))
        setattr(model.get_submodule(parent), name, FourBitLinear(weight, layer.bias))
        trim()  # else the C library keeps what quantising took, now and then that of every layer
