"""fewtune for programs: `Client` has the verbs as methods, `Builder` makes a spec in steps."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fewtune.api.builder import Builder
    from fewtune.api.client import Client

__all__ = ["Builder", "Client"]


def __getattr__(name: str) -> Any:
    """Import them when they are asked for: the command line starts without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"fewtune.api.{name.lower()}"), name)
