"""Low-rank updates: y = W x + b + scale B A x beside a frozen linear layer, which stays as it is.

One autograd function a site instead of five: it keeps only x and A x, adds the update into the output in place with the
scale folded into the product, and adds both parts of the input's gradient in one buffer. The first block's input needs
no gradient, so none is computed for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from fewtune.runtime.train.dropout import Mask
from fewtune.runtime.train.quantised import AnyLinear, dense


class _LowRank(torch.autograd.Function):
    """Shapes: x (..., d_in), the frozen layer's weight (d_out, d_in), a (r, d_in), b (d_out, r)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: AnyLinear, a: Tensor, b: Tensor, scale: float) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        y = nn.functional.linear(x, dense(linear), linear.bias)  # no view of anything: models may write to it
        shrunk = rows @ a.t()
        y.view(-1, y.shape[-1]).addmm_(shrunk, b.t(), alpha=scale)
        ctx.save_for_backward(rows, shrunk, a, b)
        ctx.linear, ctx.scale, ctx.shape = linear, scale, x.shape
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With g = dy and h = scale g B: dx = g W + h A, dA = h^T x, dB = scale g^T (A x)."""
        rows, shrunk, a, b = ctx.saved_tensors
        g = gradients[0].reshape(-1, b.shape[0])
        h = (g @ b).mul_(ctx.scale)
        dx = (g @ dense(ctx.linear)).addmm_(h, a).view(ctx.shape) if ctx.needs_input_grad[0] else None
        db = (shrunk.t() @ g).t()  # a quarter faster than g^T (A x), whose second factor is so narrow
        return dx, None, h.t() @ rows, db.mul_(ctx.scale), None


class LowRankLinear(nn.Module):
    """A linear layer of the base with its update."""

    def __init__(self, linear: AnyLinear, a: Tensor, b: Tensor, scale: float) -> None:
        super().__init__()
        self.linear = linear
        self.a, self.b, self.scale = a, b, scale

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) -> (..., d_out)."""
        y: Tensor = _LowRank.apply(x, self.linear, self.a, self.b, self.scale)  # type: ignore[no-untyped-call]
        return y


@dataclass
class Route:
    """Which tokens belong to which slot; set anew for every reading, read by every packed layer."""

    scales: list[float]
    """Factor of each slot's update."""
    bounds: tuple[tuple[int, int], ...] = ()
    """First token of each slot, and the one after its last; slots follow one another."""
    each: int = 0
    """Tokens of each slot where all have as many, else 0."""
    masks: tuple[Mask | None, ...] = ()
    """Dropout of each slot's rows; none where nothing drops out."""
    factors: Tensor | None = None
    """The scales as (slots, 1, 1), in fp32 or wider where the model's precision does not hold them exactly."""

    def lay(self, tokens: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        """Place the slots, with so many tokens each, one after the other."""
        ends = tuple(accumulate(tokens))
        self.bounds = tuple(zip((0, *ends), ends, strict=False))
        self.each = tokens[0] if len(set(tokens)) == 1 else 0
        exact = torch.tensor(self.scales, dtype=dtype).tolist() == self.scales
        kept = dtype if exact else torch.promote_types(dtype, torch.float32)
        self.factors = torch.tensor(self.scales, dtype=kept, device=device)[:, None, None]


def _scaled(low: Tensor, factors: Tensor | None) -> Tensor:
    """(k, n, r) times its slot's scale, in place; the product is taken in the wider precision of both."""
    assert factors is not None
    return low.mul_(factors)


class _EvenSlots(torch.autograd.Function):
    """Slots of equal length, in batched products.

    Shapes: x (..., d_in), the frozen layer's weight (d_out, d_in), a (k, r, d_in), b (k, d_out, r).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: AnyLinear, a: Tensor, b: Tensor, route: Route) -> Tensor:
        slots, used = len(a), len(a) * route.each
        rows = x.reshape(-1, x.shape[-1])[:used].view(slots, route.each, -1)
        y = nn.functional.linear(x, dense(linear), linear.bias)
        low = _scaled(torch.bmm(rows, a.transpose(1, 2)), route.factors)
        y.view(-1, y.shape[-1])[:used].view(slots, route.each, -1).baddbmm_(low, b.transpose(1, 2))
        ctx.save_for_backward(rows, low, a, b)
        ctx.linear, ctx.factors, ctx.shape = linear, route.factors, x.shape
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With g = dy and h = scale g B in each slot: dx = g W + h A, dA = h^T x, dB = g^T (scale A x)."""
        rows, low, a, b = ctx.saved_tensors
        flat = gradients[0].reshape(-1, b.shape[1])
        used, slots = low.shape[0] * low.shape[1], len(a)
        g = flat[:used].view(slots, low.shape[1], -1)
        h = _scaled(torch.bmm(g, b), ctx.factors)
        dx = None
        if ctx.needs_input_grad[0]:
            dx = flat @ dense(ctx.linear)
            dx[:used].view(slots, low.shape[1], -1).baddbmm_(h, a)
            dx = dx.view(ctx.shape)
        return dx, None, torch.bmm(h.transpose(1, 2), rows), torch.bmm(g.transpose(1, 2), low), None


class _RaggedSlots(torch.autograd.Function):
    """Slots one after the other, which costs nothing while each has some tens of tokens; shapes as above.

    Inputs of A may drop out: with x' = m x in a slot with a mask m, y = W x + scale B A x'.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, linear: AnyLinear, a: Tensor, b: Tensor, route: Route, site: int) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        y = nn.functional.linear(x, dense(linear), linear.bias)
        flat = y.view(-1, y.shape[-1])
        shrunk, masks = rows.new_zeros(len(rows), a.shape[1]), route.masks or (None,) * len(a)
        for slot, (start, end) in enumerate(route.bounds):
            inputs, _ = _dropped(rows[start:end], masks[slot], site)
            torch.mm(inputs, a[slot].t(), out=shrunk[start:end])
            flat[start:end].addmm_(shrunk[start:end], b[slot].t(), alpha=route.scales[slot])
        ctx.save_for_backward(rows, shrunk, a, b)
        ctx.linear, ctx.site, ctx.shape = linear, site, x.shape
        ctx.bounds, ctx.scales, ctx.masks = route.bounds, tuple(route.scales), masks
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With g = dy and h = scale g B in each slot: dx = g W + m (h A), dA = h^T x', dB = scale g^T (A x')."""
        rows, shrunk, a, b = ctx.saved_tensors
        g = gradients[0].reshape(-1, b.shape[1])
        dx = g @ dense(ctx.linear) if ctx.needs_input_grad[0] else None
        da, db = torch.zeros_like(a), torch.zeros_like(b)
        for slot, (start, end) in enumerate(ctx.bounds):
            inputs, factor = _dropped(rows[start:end], ctx.masks[slot], ctx.site)
            h = (g[start:end] @ b[slot]).mul_(ctx.scales[slot])
            if dx is not None and factor is not None:
                dx[start:end].addcmul_(h @ a[slot], factor)
            elif dx is not None:
                dx[start:end].addmm_(h, a[slot])
            torch.mm(h.t(), inputs, out=da[slot])
            db[slot] = (shrunk[start:end].t() @ g[start:end]).t().mul_(ctx.scales[slot])
        return None if dx is None else dx.view(ctx.shape), None, da, db, None, None


def _dropped(rows: Tensor, mask: Mask | None, site: int) -> tuple[Tensor, Tensor | None]:
    """(a slot's inputs as A sees them, the factor that made them so)."""
    if mask is None or not len(rows):
        return rows, None
    factor = mask.factor(site, rows)
    return rows * factor, factor


class PackedLinear(nn.Module):
    """A linear layer of the base with an update for each slot.

    No product mixes two slots' rows, so what is not finite in one of them stays there.
    """

    def __init__(self, linear: AnyLinear, a: Tensor, b: Tensor, route: Route, site: int = 0) -> None:
        super().__init__()
        self.linear = linear
        self.a, self.b, self.route, self.site = a, b, route, site

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) -> (..., d_out)."""
        given, route = (x, self.linear, self.a, self.b, self.route), self.route
        if route.each and not route.masks:
            y: Tensor = _EvenSlots.apply(*given)  # type: ignore[no-untyped-call]
        else:
            y = _RaggedSlots.apply(*given, self.site)  # type: ignore[no-untyped-call]
        return y


def initial(linear: AnyLinear, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A and B as peft starts them: A uniform within 1 / sqrt(d_in) (Kaiming with a = sqrt 5), B zero; on the CPU."""
    a = torch.empty(rank, linear.in_features)
    nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
    return a, torch.zeros(linear.out_features, rank)
