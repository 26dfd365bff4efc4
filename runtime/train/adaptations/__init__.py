"""What moves, one module for each adaptation, found by its name: how its tensors begin, and where they go in the base.

A module's KIND is all that the engine asks; names of tensors are peft's wherever peft has the adaptation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.reading import Reader

PEFT = "base_model.model."
"""What peft puts before every key."""


@dataclass(frozen=True)
class Placed:
    """A view of the base with an arm's tensors in it."""

    model: Any
    reader: Reader


class Kind(Protocol):
    """One adaptation."""

    @property
    def own(self) -> bool:
        """Whether the base's own parameters move: then the state has the model's names and numbers."""

    def initial(self, base: Base, arm: Arm, generator: torch.Generator) -> dict[str, Tensor]:
        """The tensors that training starts from, on the CPU or the base's device."""

    def placed(self, base: Base, arm: Arm, tensors: Mapping[str, Tensor]) -> Placed:
        """A view of the base with these tensors."""

    def rates(self, base: Base, arm: Arm, names: tuple[str, ...]) -> dict[str, float]:
        """Factor of the learning rate for each tensor where it is not one."""

    def config(self, arm: Arm, linears: Sequence[str]) -> dict[str, Any] | None:
        """What peft's adapter_config.json says beside the common keys; None: peft cannot read it.

        Args:
            arm: says the geometry.
            linears: names of the blocks' linear layers.
        """

    def merged(self, weights: Mapping[str, Tensor], moved: Mapping[str, Tensor], arm: Arm) -> dict[str, Tensor] | None:
        """The base's weights with what moved in them, a head aside; None: there is no such weight.

        Args:
            weights: of the base, in fp32, by the model's names.
            moved: of the state.
            arm: says the geometry.
        """


def kind(arm: Arm) -> Kind:
    """The adaptation of a trained arm."""
    found: Kind = import_module(f"{__name__}.{arm.adaptation.replace('-', '_')}").KIND
    return found
