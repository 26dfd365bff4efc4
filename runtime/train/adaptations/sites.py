"""Where an addition goes: the linear layers of the blocks."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from fewtune.runtime.train.model import BLOCK
from fewtune.runtime.train.quantised import AnyLinear

Wrap = Callable[[str, AnyLinear], nn.Module]
"""(path of a linear layer, the layer) -> what stands in its place."""


def sites(model: Any, targets: Sequence[str]) -> list[tuple[str, AnyLinear]]:
    """The linear layers of the blocks with these names, in the model's own order.

    Raises:
        ValueError: for a name that is no linear layer of a block.
    """
    linears = _linears(model)
    for target in targets:
        if not any(called(path, target) for path, _ in linears):
            known = ", ".join(linear_names(model))
            raise ValueError(f"no linear layer is called {target!r}; the blocks have {known or 'none'}")
    return [(path, linear) for path, linear in linears if any(called(path, target) for target in targets)]


def _linears(model: Any) -> list[tuple[str, AnyLinear]]:
    return [
        (path, module) for path, module in model.named_modules() if isinstance(module, AnyLinear) and BLOCK.search(path)
    ]


def linear_names(model: Any) -> list[str]:
    """The names of the blocks' linear layers, sorted."""
    return sorted({path.rpartition(".")[2] for path, _ in _linears(model)})


def called(path: str, target: str) -> bool:
    """Whether a path ends in this name."""
    return f".{path}".endswith(f".{target}")


def wrap_sites(model: Any, targets: Sequence[str], wrap: Wrap) -> None:
    """Put something in the place of each site of a view."""
    for path, linear in sites(model, targets):
        parent, _, name = path.rpartition(".")
        setattr(model.get_submodule(parent), name, wrap(path, linear))
