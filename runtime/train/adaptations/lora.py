"""LoRA (arXiv 2106.09685), and LoRA+ (arXiv 2402.12354), whose B learns faster than A."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fewtune.compiler.arm import Arm, Lora
from fewtune.runtime.train.adaptations import PEFT
from fewtune.runtime.train.adaptations.added import Added
from fewtune.runtime.train.adaptations.sites import sites
from fewtune.runtime.train.lora import LowRankLinear, initial
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.quantised import AnyLinear


def geometry(arm: Arm) -> Lora:
    """The arm's update; every arm of the LoRA family has one."""
    assert arm.lora is not None
    return arm.lora


class LowRank(Added):
    """y = W x + b + scale B A x."""

    def targets(self, arm: Arm, base: Base) -> Sequence[str]:
        """Those that the plan names."""
        return geometry(arm).targets

    def initial(self, base: Base, arm: Arm, generator: torch.Generator) -> dict[str, Tensor]:
        """A random and B zero, site by site."""
        values: dict[str, Tensor] = {}
        for path, linear in sites(base.model, geometry(arm).targets):
            a, b = initial(linear, geometry(arm).rank, generator)
            values |= {f"{PEFT}{path}.lora_A.weight": a, f"{PEFT}{path}.lora_B.weight": b}
        return values

    def layer(self, arm: Arm, path: str, linear: AnyLinear, tensors: Mapping[str, Tensor]) -> nn.Module:
        """The layer with its update."""
        a, b = (tensors[f"{PEFT}{path}.lora_{part}.weight"] for part in "AB")
        return LowRankLinear(linear, a, b, geometry(arm).scale)

    def rates(self, base: Base, arm: Arm, names: tuple[str, ...]) -> dict[str, float]:
        """B's factor."""
        ratio = geometry(arm).lr_ratio
        return {name: ratio for name in names if ratio != 1.0 and ".lora_B." in name}

    def merged(self, weights: Mapping[str, Tensor], moved: Mapping[str, Tensor], arm: Arm) -> dict[str, Tensor] | None:
        """W + scale B A."""
        found = dict(weights)
        for name, a in moved.items():
            if name.endswith(".lora_A.weight"):
                site = name.removeprefix(PEFT).removesuffix(".lora_A.weight")
                b = moved[name.replace("lora_A", "lora_B")]
                w = weights[f"{site}.weight"]
                found[f"{site}.weight"] = w + geometry(arm).scale * (b.to(w.dtype) @ a.to(w.dtype))
        return found

    def config(self, arm: Arm, linears: Sequence[str]) -> dict[str, Any] | None:
        """A LoraConfig."""
        lora = geometry(arm)
        return {
            "peft_type": "LORA", "r": lora.rank, "lora_alpha": lora.alpha, "lora_dropout": lora.dropout, "bias": "none",
            "target_modules": list(lora.targets), "use_rslora": lora.rslora, "use_dora": False,
            "fan_in_fan_out": False, "init_lora_weights": True,
        }  # fmt: skip


KIND = LowRank()
