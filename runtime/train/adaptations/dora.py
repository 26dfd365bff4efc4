"""DoRA (arXiv 2402.09353): the length of each output's weights moves apart from their direction, which LoRA moves.

With V = W + scale B A and m the learned lengths (d_out,): y = m / |V| (V x) + b, |V| the norms of V's rows, which count
as constants in the backward pass (section 4.3).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear as product

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.adaptations import PEFT
from fewtune.runtime.train.adaptations.lora import LowRank, geometry
from fewtune.runtime.train.adaptations.sites import sites
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.quantised import AnyLinear, dense

MAGNITUDE = "lora_magnitude_vector"


def row_norms(weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """Norms of the rows of W + scale B A, without forming the sum: (d_out,).

    |w + s A^T b|^2 = |w|^2 + 2 s b (A w) + s^2 b A A^T b for a row w of W and the same row b of B.
    """
    wide = torch.promote_types(weight.dtype, torch.float32)
    crossed = (product(weight, a) * b).sum(1, dtype=wide)
    updated = (product(b, a @ a.t()) * b).sum(1, dtype=wide)
    return (weight.to(wide).square().sum(1) + 2 * scale * crossed + scale**2 * updated).clamp_min(0).sqrt()


class DecomposedLinear(nn.Module):
    """A linear layer of the base with its update and lengths."""

    def __init__(self, linear: AnyLinear, a: Tensor, b: Tensor, magnitude: Tensor, scale: float) -> None:
        super().__init__()
        self.linear = linear
        self.a, self.b, self.magnitude, self.scale = a, b, magnitude, scale

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) -> (..., d_out)."""
        weight = dense(self.linear)
        with torch.no_grad():
            norms = row_norms(weight, self.a, self.b, self.scale).to(x.dtype)
        y = product(x, weight) + self.scale * product(product(x, self.a), self.b)
        y = y * (self.magnitude / norms)
        return y if self.linear.bias is None else y + self.linear.bias


class Decomposed(LowRank):
    """LoRA with a length for each output."""

    def initial(self, base: Base, arm: Arm, generator: torch.Generator) -> dict[str, Tensor]:
        """LoRA's beginning, and the lengths that the weights have."""
        values = super().initial(base, arm, generator)
        for path, linear in sites(base.model, geometry(arm).targets):
            wide = torch.promote_types(base.dtype, torch.float32)
            values[f"{PEFT}{path}.{MAGNITUDE}"] = dense(linear).detach().to(wide).norm(dim=1)
        return values

    def layer(self, arm: Arm, path: str, linear: AnyLinear, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The layer with its update and lengths."""
        a, b = (tensors[f"{PEFT}{path}.lora_{part}.weight"] for part in "AB")
        return DecomposedLinear(linear, a, b, tensors[f"{PEFT}{path}.{MAGNITUDE}"], geometry(arm).scale)

    def merged(self, weights: Mapping[str, Tensor], moved: Mapping[str, Tensor], arm: Arm) -> dict[str, Tensor] | None:
        """W + scale B A, each row at its learned length."""
        found = super().merged(weights, moved, arm) or {}
        for name, magnitude in moved.items():
            if name.endswith(MAGNITUDE):
                site = f"{name.removeprefix(PEFT).removesuffix(f'.{MAGNITUDE}')}.weight"
                found[site] = found[site] * (magnitude.to(found[site].dtype) / found[site].norm(dim=1))[:, None]
        return found

    def config(self, arm: Arm, linears: Sequence[str]) -> dict[str, Any] | None:
        """A LoraConfig with use_dora."""
        return {**(super().config(arm, linears) or {}), "use_dora": True}


KIND = Decomposed()
