"""What moves, one module for each adaptation, found by its name: how its tensors begin, and where they go in the base.

A module's KIND is all that the engine asks; names of tensors are peft's wherever peft has the adaptation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import torch
from torch import Tensor

from fewtune.compiler.plan import Arm
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

    def config(self, arm: Arm) -> dict[str, Any] | None:
        """What peft's adapter_config.json says beside the common keys; None: peft cannot read it."""


def kind(arm: Arm) -> Kind:
    """The adaptation of a trained arm."""
    found: Kind = import_module(f"{__name__}.{arm.adaptation.replace('-', '_')}").KIND
    return found
