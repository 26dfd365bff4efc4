"""Values that contradict each other: what can be kept of all, else which one goes, for the user to say."""

from collections.abc import Callable, Mapping
from typing import Any

from fewtune.specs.diagnostic import Fix
from fewtune.specs.repairs.fixing import at, has, move, remove, replace, set_aside

Tree = Mapping[str, Any]


def agreements(tree: Tree, place: str, message: str) -> list[Fix]:
    """Ways out of a contradiction."""
    for words, make in WAYS.items():
        if words in message:
            return [fix for fix in make(tree, place) if fix is not None]
    return []


def _one_of(*names: str) -> Callable[[Tree, str], list[Fix | None]]:
    """Only one may stay, and nobody but the user knows which."""

    def make(tree: Tree, place: str) -> list[Fix | None]:
        return [remove(tree, f"{place}/{name}") for name in names if has(tree, f"{place}/{name}")]

    return make


def _aside(*names: str) -> Callable[[Tree, str], list[Fix | None]]:
    """What has no effect beside the others."""

    def make(tree: Tree, place: str) -> list[Fix | None]:
        found = [f"{place}/{name}" for name in names if has(tree, f"{place}/{name}")]
        return [fix for pointer in found[:1] for fix in (set_aside(tree, pointer), remove(tree, pointer))]

    return make


def _rows(tree: Tree, place: str) -> list[Fix | None]:
    pointer = f"{place}/rows"
    first, _, last = str(at(tree, pointer)).partition("-")
    return [replace(tree, pointer, f"{last}-{first}")] if first.isdigit() and last.isdigit() and int(last) else []


def _sorted(tree: Tree, place: str) -> list[Fix | None]:
    pointer = f"{place}/per_class" if isinstance(at(tree, place), dict) else place
    value = at(tree, pointer)
    numeric = isinstance(value, list) and all(isinstance(item, (int, float)) for item in value)
    return [replace(tree, pointer, sorted(set(value)))] if numeric and value else []


def _once(tree: Tree, place: str) -> list[Fix | None]:
    value = at(tree, place)
    return [replace(tree, place, list(dict.fromkeys(value)), "safe", "say each once")] if _plain(value) else []


def _plain(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, (str, int, float)) for item in value)


TAKEN = ("train", "validation", "test", "unlabelled", "replay")


def _taken_name(tree: Tree, place: str) -> list[Fix | None]:
    fixes, names = list[Fix | None](), at(tree, place)
    for name in [name for name in names if name in (*TAKEN, "pool", "all", "cv", "refit")][:1]:
        if name in TAKEN:
            fixes.append(move(tree, f"{place}/{name}", f"/data/{name}"))
        fixes.append(move(tree, f"{place}/{name}", f"{place}/{name}_ood"))
    return fixes


def _names(tree: Tree, place: str) -> list[Fix | None]:
    arms, seen = at(tree, f"{place}/arms"), set[str]()
    for index, arm in enumerate(arms if isinstance(arms, list) else ()):
        name = arm.get("name")
        if name in seen:
            return [replace(tree, f"{place}/arms/{index}/name", f"{name} {index + 1}")]
        seen.add(name)
    return []


def _nobody(tree: Tree, place: str) -> list[Fix | None]:
    """Changed copies need no teacher; or nothing is to be made."""
    return [replace(tree, f"{place}/eda", value=True, how="choose"), remove(tree, place)]


def _excluded(tree: Tree, place: str) -> list[Fix | None]:
    """A method that is asked for and excluded."""
    arms = {arm.get("method") for arm in at(tree, f"{place}/arms") or ()}
    fixes, included = list[Fix | None](), at(tree, f"{place}/include") or []
    for index, name in enumerate(at(tree, f"{place}/exclude") or ()):
        if name in included or name in arms:
            fixes.append(remove(tree, f"{place}/exclude/{index}", title=f"do not exclude {name}"))
        if name in included:
            fixes.append(remove(tree, f"{place}/include/{included.index(name)}", title=f"do not include {name}"))
    return fixes


WAYS: Mapping[str, Callable[[Tree, str], list[Fix | None]]] = {
    "expected either path or hub": _one_of("path", "hub"),
    "belong to hub, not to path": _aside("config", "split", "revision"),
    "rows count from 1": _rows,
    "expected distinct": _sorted,
    "is given twice": _once,
    "is taken; choose another": _taken_name,
    "either name or path": _one_of("name", "path"),
    "either encoder or encoder_path": _one_of("encoder", "encoder_path"),
    "a revision belongs to a hub name": _aside("revision"),
    "expected steps or epochs": _one_of("steps", "epochs"),
    "either target or factor": _one_of("target", "factor"),
    "a key belongs to an endpoint": _aside("key_variable"),
    "without a teacher and without eda": _nobody,
    "both included and excluded": _excluded,
    "which is excluded": _excluded,
    "two arms have the same name": _names,
}
"""Words of the contradiction -> the ways out."""
