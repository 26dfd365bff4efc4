"""One tool: its name and arguments as a client sees them, and the client's method behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from fewtune.api.client import Client
from fewtune.api.envelope import Envelope
from fewtune.specs.diagnostic import Diagnostic, Fix, Patch

Arguments = Mapping[str, Any]
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,), "array": (list,),
    "object": (dict,),
}  # fmt: skip
"""JSON Schema's types -> Python's."""


@dataclass(frozen=True)
class Tool:
    """A tool. `call` raises FewtuneError for what it refuses."""

    name: str
    description: str
    call: Callable[[Client, Arguments], Envelope]
    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Argument -> its JSON Schema; one without a type takes an object or a text."""
    required: tuple[str, ...] = ()
    writes: bool = False
    """Whether it changes anything; such a tool is not there unless the operator enables it."""
    destructive: bool = False

    @property
    def schema(self) -> dict[str, Any]:
        """The input schema."""
        return {
            "type": "object", "properties": dict(self.properties), "required": list(self.required),
            "additionalProperties": False,
        }  # fmt: skip

    def faults(self, arguments: Arguments) -> tuple[Diagnostic, ...]:
        """What is wrong with a call, all at once: nothing unknown is dropped in silence."""
        unknown = [self._unknown(name) for name in arguments if name not in self.properties]
        missing = [
            Diagnostic(code="E-usage", message=f"{self.name} needs {name}", pointer="", expected=name)
            for name in self.required
            if arguments.get(name) is None
        ]
        wrong = [
            fault for name, value in arguments.items() if name in self.properties for fault in self._wrong(name, value)
        ]
        return (*unknown, *missing, *wrong)

    def _unknown(self, name: str) -> Diagnostic:
        shown = name[:60]
        near = get_close_matches(name, [*self.properties], n=1)
        fixes = (
            (Fix(title=f"rename it to {near[0]}", applicability="likely",
                 patches=(Patch(op="move", from_=f"/{name}", path=f"/{near[0]}"),)),)
            if near and "/" not in name and "~" not in name else ()
        )  # fmt: skip
        return Diagnostic(
            code="E-usage", message=f"{self.name} has no argument {shown!r}", pointer="", got=shown,
            nearest=near[0] if near else None, expected=", ".join(self.properties) or "no argument", fixes=fixes,
        )  # fmt: skip

    def _wrong(self, name: str, value: Any) -> list[Diagnostic]:
        schema = self.properties[name]
        if value is None:
            return []
        kind = schema.get("type")
        kinds = KINDS[kind] if kind else (str, dict)
        fits = isinstance(value, kinds) and not (isinstance(value, bool) and bool not in kinds)
        allowed, low, high = schema.get("enum"), schema.get("minimum"), schema.get("maximum")
        if fits and (allowed is None or value in allowed) and _between(value, low, high):
            return []
        expected = " or ".join(map(str, allowed)) if allowed else kind or "an object or a text"
        expected += f" from {low} to {high}" if low is not None else ""
        return [
            Diagnostic(code="E-usage", message=f"{name}: expected {expected}", pointer=f"/{name}", expected=expected,
                       got=repr(value)[:60])
        ]  # fmt: skip


def _between(value: Any, low: float | None, high: float | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    return (low is None or value >= low) and (high is None or value <= high)
