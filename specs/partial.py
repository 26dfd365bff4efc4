"""A faulty document, mended or without what is faulty, so that the rest of it can be looked at.

What is found there is told in places of the document as it was written; what was left out, or was put in its place,
is no ground for another finding.
"""

import re
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from fewtune.specs.diagnostic import Diagnostic, Fix
from fewtune.specs.experiment import Experiment
from fewtune.specs.patch import apply_patches, lookup, parts_of, pointer_to
from fewtune.specs.repairs.fixing import NOTES, has, split
from fewtune.specs.repairs.missing import task_of
from fewtune.specs.tables import is_required


class Partial:
    """The scratch copy."""

    def __init__(self, tree: dict[str, Any]) -> None:
        """Begin with the document as it is."""
        self.tree: dict[str, Any] = deepcopy(tree)
        self.moved: dict[str, str] = {}
        """Place here -> place in the document."""
        self.replaced: set[str] = set()
        """Places of the document whose value is another one here."""
        self.dropped: set[str] = set()
        """Places of the document that are not here."""
        self.whole = True
        """Whether everything required is there."""

    def experiment(self) -> Experiment | None:
        """What it means; None where that cannot be told."""
        try:
            return Experiment.model_validate(self.tree)
        except ValidationError:
            return None

    def written(self, pointer: str) -> str:
        """The place in the document."""
        for here in sorted(self.moved, key=len, reverse=True):
            if pointer == here or pointer.startswith(f"{here}/"):
                return self.written(self.moved[here] + pointer[len(here) :])
        return pointer

    def mend(self, fix: Fix) -> bool:
        """Apply a fix; False where it no longer fits."""
        try:
            tree = apply_patches(self.tree, fix.patches)
        except KeyError:
            return False
        self.tree = tree
        kept = any(patch.path == NOTES for patch in fix.patches)  # set aside: it had no effect
        for patch in fix.patches:
            if patch.op == "move" and patch.from_ is not None:
                self.moved[patch.path] = self.written(patch.from_)
            elif patch.op in ("replace", "add") and not (patch.op == "add" and patch.value == {}):
                self.replaced.add(self.written(patch.path))
            elif patch.op == "remove" and not kept:
                self.dropped.add(self.written(patch.path))
        return True

    def drop(self, pointer: str) -> None:
        """Leave something out; where it is required, what holds it."""
        if pointer in ("/task", "/task/type") and isinstance(self.tree.get("task", {}), dict):
            self.tree["task"] = {**self.tree.get("task", {}), "type": task_of(self.tree)}
            self.replaced.add("/task/type")
            return
        if pointer == "/data/train":
            self.replaced.add(self.written(pointer))
            self.whole = False
            return
        while pointer and (not has(self.tree, pointer) or is_required(pointer)):
            self.dropped.add(self.written(pointer))
            pointer = pointer.rpartition("/")[0]
        if not pointer:
            self.whole = False
            return
        if pointer.startswith("/data/") and split(pointer)[1] in ("path", "hub", "rows"):
            pointer = pointer.rpartition("/")[0]  # without its place a source says nothing, with all rows another thing
            if is_required(pointer) and not self._drop_rows(pointer):
                self.whole = False
            if is_required(pointer):
                return
        self.dropped.add(self.written(pointer))
        owner = lookup(self.tree, pointer_to(*parts_of(pointer)[:-1]))
        key = split(pointer)[1]
        if isinstance(owner, list):
            del owner[int(key)]  # what follows it is dropped before it
        else:
            del owner[key]

    def _drop_rows(self, source: str) -> bool:
        """Use all rows of a source that has to be there."""
        table = lookup(self.tree, source)
        if "rows" not in table or not ("path" in table or "hub" in table):
            return False
        self.dropped.add(self.written(f"{source}/rows"))
        del table["rows"]
        return True

    def is_hearsay(self, finding: Diagnostic, *, holders: bool = True) -> bool:
        """Whether a finding is about what nobody wrote; or, with `holders`, about what a part of was left out of."""
        place = self.written(finding.pointer)
        changed = self.replaced | self.dropped
        if any(place == one or place.startswith(f"{one}/") for one in changed):
            return True
        below = [one for one in self.dropped if one.startswith(f"{place}/")]
        if below and (finding.got in ("[]", "{}") or _names(finding, below)):
            return True
        return holders and any(one.startswith(f"{place}/") for one in self.dropped)


def _names(finding: Diagnostic, places: Iterable[str]) -> bool:
    """Whether it is a contradiction that a key of one of these places is a part of."""
    keys = {split(place)[1] for place in places}
    return finding.code == "E-conflict" and any(re.search(rf"\b{re.escape(key)}\b", finding.message) for key in keys)
