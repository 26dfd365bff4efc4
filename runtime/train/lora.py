"""Low-rank updates: y = W x + b + (alpha / r) B A x beside a frozen linear layer, which stays as it is.

One autograd function a site instead of five: it keeps only x and A x, adds the update into the output in place with the
scale folded into the product, and adds both parts of the input's gradient in one buffer. The first block's input needs
no gradient, so none is computed for it.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn


class _LowRank(torch.autograd.Function):
    """Shapes: x (..., d_in), weight (d_out, d_in), a (r, d_in), b (d_out, r)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        y = nn.functional.linear(x, weight, bias)  # no view of anything: models may write to it
        shrunk = rows @ a.t()
        y.view(-1, y.shape[-1]).addmm_(shrunk, b.t(), alpha=scale)
        ctx.save_for_backward(rows, shrunk, weight, a, b)
        ctx.scale, ctx.shape = scale, x.shape
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With g = dy and h = scale g B: dx = g W + h A, dA = h^T x, dB = scale g^T (A x)."""
        rows, shrunk, weight, a, b = ctx.saved_tensors
        g = gradients[0].reshape(-1, weight.shape[0])
        h = (g @ b).mul_(ctx.scale)
        dx = (g @ weight).addmm_(h, a).view(ctx.shape) if ctx.needs_input_grad[0] else None
        db = (shrunk.t() @ g).t()  # a quarter faster than g^T (A x), whose second factor is so narrow
        return dx, None, None, h.t() @ rows, db.mul_(ctx.scale), None


class LowRankLinear(nn.Module):
    """A linear layer of the base with its update."""

    def __init__(self, linear: nn.Linear, a: Tensor, b: Tensor, scale: float) -> None:
        super().__init__()
        self.linear = linear
        self.a, self.b, self.scale = a, b, scale

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) -> (..., d_out)."""
        y: Tensor = _LowRank.apply(  # type: ignore[no-untyped-call]
            x, self.linear.weight, self.linear.bias, self.a, self.b, self.scale
        )
        return y


def initial(linear: nn.Linear, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A and B as peft starts them: A uniform within 1 / sqrt(d_in) (Kaiming with a = sqrt 5), B zero; on the CPU."""
    a = torch.empty(rank, linear.in_features)
    nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
    return a, torch.zeros(linear.out_features, rank)
