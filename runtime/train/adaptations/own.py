"""Adaptations that move parameters of the base itself: all of them or some, chosen by name."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.adaptations import Placed
from fewtune.runtime.train.model import Base

Moves = Callable[[str, nn.Parameter, Arm, int], bool]
"""(name, parameter, arm, blocks of the model) -> whether it moves."""
INDEX = re.compile(r"\.(\d+)\.")


def block(name: str) -> int | None:
    """Index of the block that a parameter belongs to; None: it belongs to none."""
    found = INDEX.search(name)
    return int(found[1]) if found else None


class Own:
    """Some of the base's own parameters move."""

    own = True

    def __init__(self, moves: Moves) -> None:
        """Remember which.

        Args:
            moves: says it of each parameter.
        """
        self.moves = moves

    def initial(self, base: Base, arm: Arm, generator: torch.Generator) -> dict[str, Tensor]:
        """The parameters as they are.

        Raises:
            ValueError: where the base has none of them.
        """
        count = base.model.config.num_hidden_layers
        found: dict[str, Tensor] = {name: p for name, p in _used(base.model, arm) if self.moves(name, p, arm, count)}
        if not found:
            raise ValueError(f"{type(base.model).__name__} has no parameters that {arm.adaptation} moves")
        return found

    def placed(self, base: Base, arm: Arm, tensors: Mapping[str, Tensor]) -> Placed:
        """A view whose parameters of these names are replaced."""
        model = base.view(tensors)
        return Placed(model, base.reader(model))

    def rates(self, base: Base, arm: Arm, names: tuple[str, ...]) -> dict[str, float]:
        """Rates that fall by a factor from block to block, from the last one down; embeddings are below all blocks."""
        if arm.layer_decay == 1.0:
            return {}
        last = base.model.config.num_hidden_layers - 1
        bottom = {name for name in names if "embed" in name}
        places = {name: -1 if name in bottom else block(name) for name in names}
        return {name: arm.layer_decay ** (last - at) for name, at in places.items() if at is not None}

    def merged(self, weights: Mapping[str, Tensor], moved: Mapping[str, Tensor], arm: Arm) -> dict[str, Tensor] | None:
        """They replace the base's."""
        return {**weights, **{name: value.to(weights[name].dtype) for name, value in moved.items() if name in weights}}

    def config(self, arm: Arm, linears: Sequence[str]) -> dict[str, Any] | None:
        """It is a whole model."""
        return None


def _used(model: Any, arm: Arm) -> Iterator[tuple[str, nn.Parameter]]:
    """All parameters that the arm's answer depends on: with a head, an untied output embedding is none of them."""
    output, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    last = () if output is None else output.parameters()  # an encoder has none
    idle = {id(parameter) for parameter in last if parameter is not embedding.weight}
    for name, parameter in model.named_parameters():
        if arm.formulation != "head" or id(parameter) not in idle:
            yield name, parameter
