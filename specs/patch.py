"""JSON pointers (RFC 6901) and the five patch operations (RFC 6902) that fixes are made of."""

from copy import deepcopy
from typing import Any

from fewtune.specs.diagnostic import Patch


def escape(part: str | int) -> str:
    """One part of a pointer.

    >>> escape("a/b~c")
    'a~1b~0c'
    """
    return str(part).replace("~", "~0").replace("/", "~1")


def pointer_to(*parts: str | int) -> str:
    """The pointer of these keys and indices.

    >>> pointer_to("data", "ood", 0)
    '/data/ood/0'
    """
    return "".join(f"/{escape(part)}" for part in parts)


def parts_of(pointer: str) -> list[str]:
    """The keys and indices of a pointer.

    >>> parts_of("/data/a~1b")
    ['data', 'a/b']
    """
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def lookup(tree: Any, pointer: str) -> Any:
    """The value at a pointer.

    Raises:
        KeyError: nothing is there.
    """
    for part in parts_of(pointer):
        tree = _step(tree, part)
    return tree


def _step(tree: Any, part: str) -> Any:
    if isinstance(tree, dict):
        return tree[part]
    if isinstance(tree, list) and part.isdigit() and int(part) < len(tree):
        return tree[int(part)]
    raise KeyError(part)


def apply_patches(tree: dict[str, Any], patches: tuple[Patch, ...]) -> dict[str, Any]:
    """A copy of the tree with the patches applied in their order.

    Raises:
        KeyError: an operation names what is not there, or a test fails.
    """
    result = deepcopy(tree)
    for patch in patches:
        _apply(result, patch)
    return result


def _apply(tree: dict[str, Any], patch: Patch) -> None:
    if patch.op == "test":
        if lookup(tree, patch.path) != patch.value:
            raise KeyError(patch.path)
        return
    value = deepcopy(patch.value)
    if patch.op == "move":
        value = lookup(tree, patch.from_ or "")
        _remove(tree, patch.from_ or "")
    if patch.op in ("remove", "replace"):
        _remove(tree, patch.path)
    if patch.op != "remove":
        _add(tree, patch.path, value)


def _owner(tree: Any, pointer: str) -> tuple[Any, str]:
    *parents, last = parts_of(pointer)
    for part in parents:
        tree = _step(tree, part)
    return tree, last


def _remove(tree: Any, pointer: str) -> None:
    owner, last = _owner(tree, pointer)
    _step(owner, last)
    del owner[last if isinstance(owner, dict) else int(last)]


def _add(tree: Any, pointer: str, value: Any) -> None:
    owner, last = _owner(tree, pointer)
    if isinstance(owner, dict):
        owner[last] = value
    elif isinstance(owner, list) and (last == "-" or (last.isdigit() and int(last) <= len(owner))):
        owner.insert(len(owner) if last == "-" else int(last), value)
    else:
        raise KeyError(pointer)
