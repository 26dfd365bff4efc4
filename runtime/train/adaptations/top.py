"""The last blocks and the norm behind them; everything below, embeddings included, stays as it is."""

from torch import nn

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.adaptations.own import Own, block


def moves(name: str, parameter: nn.Parameter, arm: Arm, blocks: int) -> bool:
    """Whether it belongs to one of the last blocks, or is a norm's behind them."""
    at = block(name)
    return parameter.ndim == 1 if at is None else at >= blocks - arm.top_layers


KIND = Own(moves)
