"""A key with two values: which of them stays, where only one of them can stand there."""

from collections.abc import Callable, Mapping
from typing import Any

from fewtune.specs.findings import faults_of
from fewtune.specs.patch import apply_patches
from fewtune.specs.repairs.fixing import has, replace
from fewtune.specs.repairs.values import candidates

Tree = Mapping[str, Any]
Stands = Callable[[Tree, str], bool]
"""Whether what stands at a place may be found: a file in the spec's folder, a column in its data."""


def possible(tree: dict[str, Any], place: str, value: Any, stands: Stands) -> bool:
    """Whether a value can stand at a place, or be read as one that can."""
    if not has(tree, place):
        return True
    trial = apply_patches(tree, replace(tree, place, value).patches)
    fault = next((one for one in faults_of(trial) if f"{one.place}/".startswith(f"{place}/")), None)
    if fault is None:
        return stands(trial, place)
    if fault.diagnostic.code not in ("E-value", "E-version"):
        return True
    others = (other for other, _ in candidates(place, value, fault.allowed, {}))
    return any(_is_sound(apply_patches(tree, replace(tree, place, other).patches), place) for other in others)


def _is_sound(tree: Tree, place: str) -> bool:
    return not any(f"{one.place}/".startswith(f"{place}/") for one in faults_of(tree))
