"""Additions to linear layers: what stands in a layer's place is made of the layer and a few new tensors."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.adaptations import Placed
from fewtune.runtime.train.adaptations.sites import wrap_sites
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.quantised import AnyLinear


class Added(ABC):
    """An adaptation by additions; subclasses say which."""

    own = False

    @abstractmethod
    def targets(self, arm: Arm, base: Base) -> Sequence[str]:
        """Names of the linear layers that get one."""

    @abstractmethod
    def layer(self, arm: Arm, path: str, linear: AnyLinear, tensors: Mapping[str, Tensor]) -> nn.Module:
        """What stands in a linear layer's place."""

    def placed(self, base: Base, arm: Arm, tensors: Mapping[str, Tensor]) -> Placed:
        """A view of the base with the additions."""
        model = base.view({})
        wrap_sites(model, self.targets(arm, base), lambda path, linear: self.layer(arm, path, linear, tensors))
        return Placed(model, base.reader(model))

    def rates(self, base: Base, arm: Arm, names: tuple[str, ...]) -> dict[str, float]:
        """One rate for all."""
        return {}
