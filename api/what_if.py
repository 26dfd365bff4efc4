"""plan --what-if: the same spec with some values changed, and what that changes in the plan."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fewtune.api.session import Planned
from fewtune.api.shows.console import clock, console, heading, safe, size, table
from fewtune.api.shows.plan import said
from fewtune.compiler.decision import Decision
from fewtune.compiler.flips import named_decisions
from fewtune.compiler.plan import Plan
from fewtune.specs.diagnostic import Diagnostic, Patch, SpecError
from fewtune.specs.load import Loaded, load
from fewtune.specs.patch import apply_patches

PATCHES = TypeAdapter(tuple[Patch, ...])


@dataclass(frozen=True)
class Changed:
    """A value of the plan that is another one then."""

    what: str
    """The decision, behind its arm where it is one's."""
    now: Any
    then: Any
    because: str
    """Why it is what it is then."""


@dataclass(frozen=True)
class WhatIf:
    """Two plans compared."""

    asked: tuple[str, ...]
    now: Planned
    then: Planned
    values: tuple[Changed, ...]
    gone: tuple[str, ...]
    """Arms that are not there then."""
    new: tuple[str, ...]
    """Arms that are there only then."""

    def data(self) -> dict[str, Any]:
        """For --json."""
        return {
            "what_if": list(self.asked),
            "values": [vars(value) for value in self.values],
            "arms": {"gone": list(self.gone), "new": list(self.new)},
            **{name: {"now": now, "then": then} for name, (now, then) in self._totals().items()},
        }

    def _totals(self) -> dict[str, tuple[Any, Any]]:
        one, other = self.now.compiled.estimate, self.then.compiled.estimate
        return {
            "plan_hash": (self.now.plan.hash, self.then.plan.hash),
            "trials": (len(self.now.plan.trials), len(self.then.plan.trials)),
            "seconds": (one.seconds.mid, other.seconds.mid),
            "peak_memory_bytes": (one.peak_memory_bytes.mid, other.peak_memory_bytes.mid),
        }

    def show(self) -> None:
        """Print it."""
        out = console()
        out.print(f"what if {'; '.join(map(safe, self.asked))}")
        if self.values:
            heading(out, "Decisions")
            rows = [(one.what, said(one.now), said(one.then), one.because) for one in self.values]
            table(out, ("what", "now", "then", "because"), rows)
        heading(out, "Arms")
        for sign, names in (("-", self.gone), ("+", self.new)):
            for name in names:
                out.print(safe(f"{sign} {name}"))
        if not self.gone and not self.new:
            out.print("the same")
        heading(out, "Cost")
        units: dict[str, Any] = {"trials": str, "seconds": clock, "peak_memory_bytes": size}
        for name, unit in units.items():
            now, then = self._totals()[name]
            label = {"seconds": "time", "peak_memory_bytes": "memory"}.get(name, name)
            out.print(f"{label:<8}{unit(now)} -> {unit(then)}" if now != then else f"{label:<8}{unit(now)}, the same")


def with_changes(loaded: Loaded, asked: Sequence[str]) -> Loaded:
    """A spec with some of its values changed; what is found wrong with it is placed in the text as it is.

    Args:
        loaded: the spec.
        asked: "data.label_budget=200" (a value as TOML writes it; a bare word is a string), "constraints.latency="
            (takes the key away), or a JSON list of RFC 6902 operations.

    Raises:
        SpecError: E-usage for what is no change; else every fault of the changed spec.
    """
    tree = loaded.document.tree
    for text in asked:
        tree = _patched(tree, text) if text.lstrip().startswith(("[", "{")) else _assigned(tree, text)
    try:
        changed = load(json.dumps(tree).encode(), format="json", stem=loaded.stem)
    except SpecError as error:  # its lines are of a text that nobody wrote
        found = [one.model_copy(update={"line": None, "column": None}) for one in error.diagnostics]
        raise SpecError(loaded.located(found)) from error
    return replace(changed, document=loaded.document)


def _patched(tree: dict[str, Any], text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        return apply_patches(tree, PATCHES.validate_python(found if isinstance(found, list) else [found]))
    except (ValueError, ValidationError, KeyError) as error:
        raise _unusable(text, "RFC 6902 operations on the spec, as JSON") from error


def _assigned(tree: dict[str, Any], text: str) -> dict[str, Any]:
    key, equals, value = (part.strip() for part in text.partition("="))
    parts = key.split(".")
    if not equals or not all(parts):
        raise _unusable(text, "KEY=VALUE, such as data.label_budget=200")
    changed: dict[str, Any] = json.loads(json.dumps(tree))
    place = changed
    for part in parts[:-1]:
        place = place.setdefault(part, {})
        if not isinstance(place, dict):
            raise _unusable(text, f"a key of the spec; {part} is none that holds others")
    if value:
        place[parts[-1]] = _value(value)
    else:
        place.pop(parts[-1], None)
    return changed


def _value(text: str) -> Any:
    """A value as TOML writes it; what is none is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _unusable(text: str, wanted: str) -> SpecError:
    message = f"what-if {text}: expected {wanted}"
    return SpecError(Diagnostic(code="E-usage", message=message), exit_status=2)


def compared(now: Planned, then: Planned, asked: Sequence[str]) -> WhatIf:
    """What is another value, another arm, another cost."""
    one, other = _decisions(now.plan), _decisions(then.plan)
    values = tuple(
        Changed(what, one[what].value if what in one else None, decision.value, decision.because)
        for what, decision in other.items()
        if _same_arm(what, one) and (what not in one or one[what].value != decision.value)
    )
    before, after = ([arm.name for arm in planned.plan.arms] for planned in (now, then))
    gone, new = (tuple(name for name in a if name not in b) for a, b in ((before, after), (after, before)))
    return WhatIf(asked=tuple(asked), now=now, then=then, values=values, gone=gone, new=new)


def _same_arm(what: str, others: dict[str, Decision]) -> bool:
    """Whether the other plan has this decision's arm, or it is no arm's."""
    arm, colon, _ = what.rpartition(": ")
    return not colon or any(other.startswith(f"{arm}: ") for other in others)


def _decisions(plan: Plan) -> dict[str, Decision]:
    """Decisions by name; methods that are no arm have none."""
    return {name: decision for name, decision in named_decisions(plan) if not decision.field.startswith("/left_out/")}
