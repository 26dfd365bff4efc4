"""A spec that is built in steps: start from an example, set by pointer, look at the report after each step."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

from fewtune.api.checking import Checked
from fewtune.api.client import Client
from fewtune.api.given import SpecInput, given, inside
from fewtune.specs.diagnostic import Diagnostic, SpecError
from fewtune.specs.parse import Document, parse
from fewtune.specs.patch import parts_of


def examples() -> tuple[str, ...]:
    """The names of the example specs."""
    found = files("fewtune.api.examples").iterdir()
    return tuple(sorted(one.name.removesuffix(".toml") for one in found if one.name.endswith(".toml")))


@dataclass(frozen=True)
class Builder:
    """A spec's values; each step gives a new builder, so that any of them can be gone back to.

    >>> spec = Builder.example("quickstart").set("/data/label_budget", 24).remove("/constraints")
    >>> spec.values["data"]["label_budget"], "constraints" in spec.values
    (24, False)
    """

    values: Mapping[str, Any]
    """The spec as it would be written in JSON."""
    client: Client = field(default_factory=Client)
    """Where its paths belong."""

    @classmethod
    def example(cls, name: str, client: Client | None = None) -> "Builder":
        """Start from an example spec; its data are not copied.

        Raises:
            SpecError: E-not-found.
        """
        if name not in examples():
            message, remedy = f"there is no example {name!r}", f"there are {', '.join(examples())}"
            raise SpecError(Diagnostic(code="E-not-found", message=message, remedy=remedy), exit_status=7)
        content = files("fewtune.api.examples").joinpath(f"{name}.toml").read_bytes()
        return cls(_values(content), client or Client())

    @classmethod
    def of(cls, spec: SpecInput, client: Client | None = None) -> "Builder":
        """Start from a spec: a path, a text or values.

        Raises:
            SpecError: the text is not TOML or JSON, or there is no such file.
        """
        found = client or Client()
        return cls(_values(given(spec, found.root).content), found)

    def set(self, pointer: str, value: Any) -> "Builder":
        """Set a value by its JSON pointer; tables on the way are made, `-` adds to the end of a list, or begins one.

        Raises:
            SpecError: E-not-found where the way leads through what holds no keys.
        """
        tree = deepcopy(dict(self.values))
        owner, last = _owner(tree, pointer, make=True)
        if isinstance(owner, list):
            if last == "-":
                owner.append(value)
            else:
                owner[_index(owner, last, pointer)] = value
        else:
            owner[last] = value
        return replace(self, values=tree)

    def remove(self, pointer: str) -> "Builder":
        """Leave a value out, so that the rules decide.

        Raises:
            SpecError: E-not-found where nothing is there.
        """
        tree = deepcopy(dict(self.values))
        owner, last = _owner(tree, pointer, make=False)
        if isinstance(owner, list):
            del owner[_index(owner, last, pointer)]
        elif last in owner:
            del owner[last]
        else:
            raise _nowhere(pointer)
        return replace(self, values=tree)

    def report(self) -> Checked:
        """Every fault of the spec as it is now."""
        return self.client.validate(self.values)

    def write(self, path: str | Path) -> Path:
        """Write it as TOML below the client's root; returns the file.

        Raises:
            SpecError: E-usage where the file is there, E-path where it is not below the root.
        """
        import tomlkit

        target = inside(self.client.root / path, [self.client.root])
        try:
            with target.open("x", encoding="utf-8") as file:
                file.write(tomlkit.dumps(dict(self.values)))
        except FileExistsError:
            message = f"{path} exists already"
            raise SpecError(Diagnostic(code="E-usage", message=message, remedy="name another file")) from None
        return target


def _values(content: bytes) -> dict[str, Any]:
    document = parse(content)
    if isinstance(document, Document):
        return deepcopy(document.tree)
    raise SpecError([Diagnostic(code=fault.code, message=fault.message, line=fault.line) for fault in document])


def _owner(tree: dict[str, Any], pointer: str, *, make: bool) -> tuple[Any, str]:
    """What holds the pointer's last part."""
    parts = parts_of(pointer)
    if not parts or not pointer.startswith("/"):
        raise _nowhere(pointer)
    here: Any = tree
    for part, following in pairwise(parts):
        if isinstance(here, list):
            here = here[_index(here, part, pointer)]
        elif isinstance(here, dict):
            if part not in here and not make:
                raise _nowhere(pointer)
            here = here.setdefault(part, [] if following == "-" else {})
        else:
            raise _nowhere(pointer)
    if not isinstance(here, dict | list):
        raise _nowhere(pointer)
    return here, parts[-1]


def _index(owner: list[Any], part: str, pointer: str) -> int:
    if part.isdigit() and int(part) < len(owner):
        return int(part)
    raise _nowhere(pointer)


def _nowhere(pointer: str) -> SpecError:
    message = f"nothing is at {pointer[:100]!r}"
    return SpecError(Diagnostic(code="E-not-found", message=message, remedy="a JSON pointer such as /data/train"))
