"""Fixes as guarded patches: each tests what it replaces, so that it fails on a document that has changed since."""

from collections.abc import Sequence
from typing import Any, Literal

from fewtune.specs.diagnostic import Fix, Patch
from fewtune.specs.patch import lookup, parts_of, pointer_to

Applicability = Literal["safe", "likely", "choose"]


def split(pointer: str) -> tuple[str, str]:
    """The table around a place, and its last key as it is written."""
    parent, _, _ = pointer.rpartition("/")
    return parent, parts_of(pointer)[-1]


def has(tree: Any, pointer: str) -> bool:
    """Whether something stands there."""
    try:
        lookup(tree, pointer)
    except KeyError:
        return False
    return True


def at(tree: Any, pointer: str) -> Any:
    """What stands there; None where nothing does."""
    return lookup(tree, pointer) if has(tree, pointer) else None


def guard(tree: Any, pointer: str) -> Patch:
    """The test that the document still says what it said."""
    return Patch(op="test", path=pointer, value=lookup(tree, pointer))


def replace(tree: Any, pointer: str, value: Any, how: Applicability = "likely", title: str = "") -> Fix:
    """Another value in the place of one."""
    patches = (guard(tree, pointer), Patch(op="replace", path=pointer, value=value))
    return Fix(title=title or f"write {_shown(value)}", applicability=how, patches=patches)


def move(tree: Any, source: str, target: str, how: Applicability = "likely", value: Any = None) -> Fix | None:
    """The value at another place, or another value there; None where that place is taken, or cannot be."""
    if has(tree, target) or target.startswith(f"{source}/"):
        return None
    opened = _opened(tree, target)
    if opened is None:
        return None
    patches = [guard(tree, source), *opened, Patch(op="move", path=target, from_=source)]
    if value is not None:
        patches.append(Patch(op="replace", path=target, value=value))
    name = split(target)[1] if split(source)[0] == split(target)[0] else target
    return Fix(title=f"write {name}", applicability=how, patches=tuple(patches))


def _opened(tree: Any, target: str) -> list[Patch] | None:
    """The tables that have to be made before something can stand there."""
    patches, parts = list[Patch](), parts_of(target)[:-1]
    for depth in range(1, len(parts) + 1):
        pointer = pointer_to(*parts[:depth])
        if not has(tree, pointer):
            patches.append(Patch(op="add", path=pointer, value={}))
        elif not isinstance(lookup(tree, pointer), (dict, list)):
            return None
    return patches


def add(pointer: str, value: Any, how: Applicability, title: str = "") -> Fix:
    """A value where none stands."""
    return Fix(title=title or f"add {split(pointer)[1]} = {_shown(value)}", applicability=how,
               patches=(Patch(op="add", path=pointer, value=value),))  # fmt: skip


def remove(tree: Any, pointer: str, how: Applicability = "choose", title: str = "") -> Fix:
    """Nothing in the place of something: what the user wrote is only taken away by the user."""
    return Fix(title=title or f"remove {split(pointer)[1]}", applicability=how,
               patches=(guard(tree, pointer), Patch(op="remove", path=pointer)))  # fmt: skip


NOTES = "/notes"
MOST_NOTES = 10_000


def set_aside(tree: Any, pointer: str) -> Fix | None:
    """A setting without effect, kept in the notes, which touch no result; None where it cannot be told there."""
    notes, name = at(tree, NOTES), ".".join(parts_of(pointer))
    said = f"without effect here, set aside: {name} = {lookup(tree, pointer)!r}"
    text = f"{notes}\n{said}" if isinstance(notes, str) and notes else said
    if (notes is not None and not isinstance(notes, str)) or len(text) > MOST_NOTES or len(said) > 500:
        return None
    patches = (guard(tree, pointer), Patch(op="remove", path=pointer), Patch(op="add", path=NOTES, value=text))
    return Fix(title=f"set {split(pointer)[1]} aside, in the notes", applicability="likely", patches=patches)


def noted(fix: Fix, tree: Any) -> Fix:
    """The fix with what it sets aside written below the notes of this document, whatever stood in another's."""
    if not any(patch.path == NOTES and patch.op == "add" for patch in fix.patches):
        return fix
    notes = at(tree, NOTES)

    def below(patch: Patch) -> Patch:
        if patch.path != NOTES or not isinstance(patch.value, str):
            return patch
        said = patch.value.rpartition("\n")[2]  # one line for each setting
        text = f"{notes}\n{said}" if isinstance(notes, str) and notes else said
        return patch.model_copy(update={"value": text})

    return fix.model_copy(update={"patches": tuple(map(below, fix.patches))})


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def first(fixes: Sequence[Fix]) -> Fix | None:
    """The fix that may be applied without asking, if there is one."""
    return next((fix for fix in fixes if fix.applicability != "choose"), None)
