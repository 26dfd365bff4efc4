"""Bottleneck adapters: a narrow network with a shortcut behind a sublayer, before the block adds its input.

Houlsby (arXiv 1902.00751, section 2.1): behind attention and MLP, GELU; Pfeiffer (arXiv 2005.00247): behind the MLP
only, ReLU. Both begin close to the identity: weights normal with deviation 0.01, biases zero.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, relu

from fewtune.compiler.arm import AdapterShape, Arm
from fewtune.compiler.roles import BEHIND, names_of
from fewtune.runtime.train.adaptations import PEFT
from fewtune.runtime.train.adaptations.added import Added
from fewtune.runtime.train.adaptations.sites import linear_names, sites
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.quantised import AnyLinear
from fewtune.specs.methods import Placement

DEVIATION = 0.01
ACTIVATIONS: dict[Placement, Callable[[Tensor], Tensor]] = {"houlsby": gelu, "pfeiffer": relu}
PARTS = ("down.weight", "down.bias", "up.weight", "up.bias")


def geometry(arm: Arm) -> AdapterShape:
    """The arm's adapters."""
    assert arm.adapter is not None
    return arm.adapter


class Bottleneck(nn.Module):
    """A linear layer of the base with an adapter behind it: h + U f(D h + d) + u."""

    def __init__(self, layer: AnyLinear, tensors: Sequence[Tensor], placement: Placement) -> None:
        super().__init__()
        self.layer = layer
        self.down, self.down_bias, self.up, self.up_bias = tensors
        self.activation = ACTIVATIONS[placement]

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) -> (..., hidden)."""
        h: Tensor = self.layer(x)
        return h + linear(self.activation(linear(h, self.down, self.down_bias)), self.up, self.up_bias)


class Adapter(Added):
    """Adapters in every block."""

    def targets(self, arm: Arm, base: Base) -> Sequence[str]:
        """The sublayers' last layers: of the MLP, and of attention where they stand there, too."""
        return names_of(linear_names(base.model), *BEHIND[geometry(arm).placement])

    def initial(self, base: Base, arm: Arm, generator: torch.Generator) -> dict[str, Tensor]:
        """Close to the identity."""
        values: dict[str, Tensor] = {}
        for path, layer in sites(base.model, self.targets(arm, base)):
            width, hidden = geometry(arm).width, layer.out_features
            shapes = ((width, hidden), (width,), (hidden, width), (hidden,))
            for part, shape in zip(PARTS, shapes, strict=True):
                value = torch.zeros(shape)
                random = part.endswith("weight")
                values[f"{PEFT}{path}.adapter.{part}"] = (
                    value.normal_(0.0, DEVIATION, generator=generator) if random else value
                )
        return values

    def layer(self, arm: Arm, path: str, linear: AnyLinear, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The layer with an adapter behind it."""
        return Bottleneck(linear, [tensors[f"{PEFT}{path}.adapter.{part}"] for part in PARTS], geometry(arm).placement)

    def merged(self, weights: Mapping[str, Tensor], moved: Mapping[str, Tensor], arm: Arm) -> dict[str, Tensor] | None:
        """They bend what passes through them: no weight does the same."""
        return None

    def config(self, arm: Arm, linears: Sequence[str]) -> dict[str, Any] | None:
        """Peft has none."""
        return None


KIND = Adapter()
