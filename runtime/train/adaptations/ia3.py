"""IA3 (arXiv 2205.05638, section 3.3): learned factors for keys, values and the inputs of the MLP's last layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fewtune.compiler.arm import Arm
from fewtune.compiler.roles import names_of
from fewtune.runtime.train.adaptations import PEFT
from fewtune.runtime.train.adaptations.added import Added
from fewtune.runtime.train.adaptations.sites import called, linear_names, sites
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.quantised import AnyLinear


def _behind(path: str) -> bool:
    """Whether a layer's input is scaled, not its output."""
    return any(called(path, name) for name in names_of([path.rpartition(".")[2]], "mlp-out"))


class Scaled(nn.Module):
    """A linear layer of the base between two scales, one of which is learned."""

    def __init__(self, linear: AnyLinear, factor: Tensor, *, inputs: bool) -> None:
        super().__init__()
        self.linear, self.factor, self.inputs = linear, factor, inputs

    def forward(self, x: Tensor) -> Tensor:
        """(..., d_in) -> (..., d_out)."""
        y: Tensor = self.linear(x * self.factor.flatten()) if self.inputs else self.linear(x) * self.factor.flatten()
        return y


class Factors(Added):
    """One vector for each layer."""

    def targets(self, arm: Arm, base: Base) -> Sequence[str]:
        """Keys, values and the MLP's last layer."""
        return names_of(linear_names(base.model), "keys", "values", "mlp-out")

    def initial(self, base: Base, arm: Arm, generator: torch.Generator) -> dict[str, Tensor]:
        """Ones, in peft's shapes: (d_out, 1) for outputs, (1, d_in) for inputs."""
        return {
            f"{PEFT}{path}.ia3_l": torch.ones(1, layer.in_features)
            if _behind(path)
            else torch.ones(layer.out_features, 1)
            for path, layer in sites(base.model, self.targets(arm, base))
        }

    def layer(self, arm: Arm, path: str, linear: AnyLinear, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The layer with its factors."""
        return Scaled(linear, tensors[f"{PEFT}{path}.ia3_l"], inputs=_behind(path))

    def merged(self, weights: Mapping[str, Tensor], moved: Mapping[str, Tensor], arm: Arm) -> dict[str, Tensor] | None:
        """Scaled columns (or rows, with their biases)."""
        found = dict(weights)
        for name, factor in moved.items():
            if name.endswith(".ia3_l"):
                site = name.removeprefix(PEFT).removesuffix(".ia3_l")
                found[f"{site}.weight"] = weights[f"{site}.weight"] * factor.to(weights[f"{site}.weight"].dtype)
                if not _behind(site) and f"{site}.bias" in weights:
                    found[f"{site}.bias"] = weights[f"{site}.bias"] * factor.flatten().to(weights[f"{site}.bias"].dtype)
        return found

    def config(self, arm: Arm, linears: Sequence[str]) -> dict[str, Any] | None:
        """An IA3Config."""
        last = list(names_of(linears, "mlp-out"))
        return {
            "peft_type": "IA3", "target_modules": list(names_of(linears, "keys", "values", "mlp-out")),
            "feedforward_modules": last, "fan_in_fan_out": False, "init_ia3_weights": True,
        }  # fmt: skip


KIND = Factors()
