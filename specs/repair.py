"""Fixes that were tried: each is applied to the document and judged by the typed models before it is offered."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fewtune.specs.authority import widens
from fewtune.specs.diagnostic import Diagnostic, Fix
from fewtune.specs.findings import Fault, faults_of, faulty_places
from fewtune.specs.patch import apply_patches
from fewtune.specs.repairs.conflicts import agreements
from fewtune.specs.repairs.fixing import at, first, has, remove, replace, split
from fewtune.specs.repairs.keys import nearest, renames
from fewtune.specs.repairs.missing import additions, method_of, task_of
from fewtune.specs.repairs.values import candidates
from fewtune.specs.tables import is_required

EFFORT = 3_000
"""Keys and values that all trials of one document may look at together: some 20 ms."""
LEAST = 20
"""What a trial of the smallest document counts."""
CHOICES = 3
"""Fixes of one fault that are offered."""
Tree = Mapping[str, Any]


class Workshop:
    """Tries fixes on one document, as long as that does not take too long."""

    def __init__(self, tree: dict[str, Any], faults: Sequence[Fault], effort: int = EFFORT) -> None:
        """Begin with a faulty document and its faults."""
        self.tree = tree
        self.places = {fault.place for fault in faults}
        self._cost = cost(tree)
        self.left = effort

    def offer(self, fault: Fault) -> Diagnostic:
        """The finding with the fixes that help, the one to apply without asking first."""
        self.left -= self._cost
        if self.left < 0:
            return fault.diagnostic
        chosen, later = list[Fix](), list[Fix]()
        for fix in _candidates(self.tree, fault):
            sure = fix.applicability != "choose"
            if (sure and chosen) or len(chosen) + len(later) >= CHOICES:
                continue
            verdict = self._try(fault, fix)
            if verdict == "helps":
                (chosen if sure else later).append(fix)
            elif verdict == "moves" and sure and not later:
                later.append(fix)
        moved = [fix for fix in later if fix.applicability != "choose"]
        fixes = chosen or moved[:1]
        fixes = fixes or [fix for fix in later if fix.applicability == "choose"]
        return _pointing(fault.diagnostic, tuple(fixes), self.tree)

    def _try(self, fault: Fault, fix: Fix) -> str:
        """helps: one fault fewer; moves: its value is at its place, and faulty there; else no."""
        self.left -= self._cost
        if self.left < 0:
            return "no"
        try:
            patched = apply_patches(self.tree, fix.patches)
        except KeyError:
            return "no"
        if widens(self.tree, patched):
            return "no"
        left = faulty_places(patched)
        new = left - self.places
        if not new and fault.place not in left:
            return "helps"
        target = next((patch.path for patch in fix.patches if patch.op == "move"), None)
        under = target is not None and all(place == target or place.startswith(f"{target}/") for place in new)
        if not new and self._is_taken(fault, fix, patched):
            return "moves"
        gone = fault.place not in left and fault.diagnostic.code == "E-unknown-key"
        return "moves" if gone and (under or _revealed(new)) else "no"

    def _is_taken(self, fault: Fault, fix: Fix, patched: dict[str, Any]) -> bool:
        """Whether a lone value became the table that has to stand there, which now lacks something beside it."""
        made = any(patch.op == "replace" and isinstance(patch.value, dict) for patch in fix.patches)
        if not made or isinstance(at(self.tree, fault.place), dict):
            return False
        return {one.diagnostic.code for one in faults_of(patched) if one.place == fault.place} == {"E-conflict"}


def _revealed(new: set[str]) -> bool:
    """Whether what is new was hidden before: contradictions within a table are looked for when its keys are right."""
    return all(place.count("/") <= 2 and not place.rpartition("/")[2].isdigit() for place in new)


def cost(tree: Any) -> int:
    """What a trial of a document counts."""
    return LEAST + _size(tree)


def _size(tree: Any) -> int:
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return 1 + sum(map(_size, items))


def _pointing(finding: Diagnostic, fixes: tuple[Fix, ...], tree: Tree) -> Diagnostic:
    """The finding with its fixes, and with what the first one writes as the nearest that there is."""
    update: dict[str, Any] = {"fixes": fixes}
    best = first(fixes)
    if finding.code == "E-unknown-key" and (target := _target(best, tree, finding.pointer)):
        near = split(target)[1] if split(target)[0] == split(finding.pointer)[0] else target
        belongs = f"; it belongs to {target}" if near == target else ""
        update |= {"nearest": near, "remedy": None, "message": finding.message + belongs}
    if best is not None and finding.code == "E-value":
        written = next((patch.value for patch in best.patches if patch.op == "replace"), None)
        update |= {"nearest": written} if isinstance(written, str) else {}
    return finding.model_copy(update=update)


def _target(fix: Fix | None, tree: Tree, place: str) -> str | None:
    """Where an unknown key goes, or would go if that place were free."""
    moved = (patch.path for patch in fix.patches if patch.op == "move") if fix else iter(())
    return next(moved, None) or nearest(tree, place)


def _candidates(tree: Tree, fault: Fault) -> Iterator[Fix]:
    place, finding = fault.place, fault.diagnostic
    match finding.code:
        case "E-unknown-key":
            yield from renames(tree, place)
        case "E-missing":
            yield from additions(tree, *split(place))
        case "E-conflict":
            yield from agreements(tree, place, finding.message)
        case "E-version":
            if str(at(tree, place)).strip() in ("1", "1.0", "v1", "None"):
                yield replace(tree, place, 1, "safe")
        case "E-value":
            yield from _values(tree, fault)


def _values(tree: Tree, fault: Fault) -> Iterator[Fix]:
    place = fault.place
    if not has(tree, place):
        return
    value = at(tree, place)
    if value is None and not is_required(place):
        yield remove(tree, place, "safe", "leave it out: the rules decide")
        return
    if value in ({}, [], ""):
        yield remove(tree, place, "likely", "leave it out: it is empty, and the rules decide")
    owner = split(place)[0]
    if isinstance(at(tree, owner), list) and at(tree, owner) == [value]:
        yield replace(tree, owner, value, "safe")
    for new, how in candidates(place, value, fault.allowed, fault.bounds or {}):
        if repr(new) != repr(value):
            yield replace(tree, place, new, how)
    if place == "/task/type":
        yield replace(tree, place, task_of(tree))
    if place == "/task" and not isinstance(value, dict):
        yield replace(tree, place, {"type": task_of(tree)})
    if place.startswith("/methods/arms/") and place.endswith("/method"):
        yield replace(tree, place, method_of(tree, at(tree, place.rpartition("/")[0])))
    if place and not is_required(place):
        yield remove(tree, place)
