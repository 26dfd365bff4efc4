"""A spec as it was given: a file, a text, or values; and the plan that follows from it."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewtune.api.saved import is_saved, plan_file
from fewtune.api.session import Planned, plan_loaded
from fewtune.runtime.folders import is_below
from fewtune.specs.diagnostic import Diagnostic, SpecError
from fewtune.specs.load import Loaded, load, load_file
from fewtune.specs.parse import Format, format_of
from fewtune.specs.slips import MAX_BYTES

SpecInput = Path | str | Mapping[str, Any]
"""A path (a `Path`, or text that names a file ending in .toml or .json), a TOML or JSON text, or a spec's values.

A text or values may also be a document of the strict or the core schema: they are taken for the spec that they say.
"""
ENDINGS = (".toml", ".json")
INCOMPLETE = (ValueError, KeyError, TypeError, AttributeError, StopIteration, RecursionError)
"""What restoring a document raises that is not whole."""


@dataclass(frozen=True)
class Given:
    """A spec's text, and where it belongs."""

    content: bytes
    name: str
    """The file's name, which messages use; a spec without `name` is named by it."""
    base: Path
    """The folder that its paths are relative to."""
    format: Format | None
    path: Path | None = None
    """The file that it was read from."""
    roots: tuple[Path, ...] = ()
    """Folders that the folders of models must lie below; none: anywhere."""

    def loaded(self) -> Loaded:
        """The checked spec; SpecError with every fault."""
        return load_file(self.path) if self.path else load(self.content, format=self.format, stem=Path(self.name).stem)

    def planned(self, workspace: Path, *, within: str | None = None) -> Planned:
        """The plan; FewtuneError with every fault."""
        if self.path is not None and is_saved(self.path):
            return plan_file(self.path, workspace, roots=self.roots)
        return plan_loaded(self.loaded(), self.name, self.base, workspace, within=within, roots=self.roots)


def given(spec: SpecInput, root: Path, allowed: Sequence[Path] = ()) -> Given:
    """Read what was given.

    Args:
        spec: a path, a text or values.
        root: the folder that relative paths, and the paths of a spec without a file, are relative to.
        allowed: folders that a path may lie in; none: anywhere.

    Raises:
        SpecError: E-file-missing where a path names no file, E-path where it leaves the allowed folders.
    """
    if not isinstance(spec, Mapping | str | Path):
        message = f"a spec is a path, a text or values, not {type(spec).__name__}"
        raise SpecError(Diagnostic(code="E-usage", message=message), exit_status=2)
    if isinstance(spec, Mapping):
        text = json.dumps(_meant(spec), ensure_ascii=False, indent=2, default=str)
        return Given(text.encode("utf-8", "replace"), "spec.json", root, "json")
    if isinstance(spec, str) and _is_a_name(spec):
        message = f"{spec.strip()[:100]!r} is no spec, nor the name of one's file"
        remedy = "a spec's file ends in .toml or .json; a text has keys and values"
        raise SpecError(Diagnostic(code="E-usage", message=message, remedy=remedy), exit_status=2)
    if isinstance(spec, str) and not _names_file(spec):
        if not spec.lstrip().startswith("{"):
            return Given(spec.encode("utf-8", "replace"), "spec.toml", root, "toml")
        projected = _projected(spec)
        return (
            given(projected, root) if projected else Given(spec.encode("utf-8", "replace"), "spec.json", root, "json")
        )
    path = inside(root / spec, allowed) if allowed else root / spec
    return _from_file(path, str(spec))


def _meant(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The spec that values say, which may be those of a strict schema."""
    from fewtune.specs.projection import is_projected, restore

    if is_projected(values):
        with suppress(*INCOMPLETE):  # not one of them after all: a spec, with its own faults
            return restore(values)
    return values


def _projected(text: str) -> Mapping[str, Any] | None:
    """The values of a JSON text that has the keys of a strict schema."""
    from fewtune.specs.projection import is_projected

    with suppress(ValueError, RecursionError):
        values = json.loads(text) if len(text) <= MAX_BYTES else {}
        return values if is_projected(values) else None
    return None


def _is_a_name(text: str) -> bool:
    """Whether a text can be neither TOML nor JSON and does not end as a spec's file does."""
    plain = not any(sign in text for sign in "\n={[#")
    return plain and bool(text.strip()) and not text.strip().endswith(ENDINGS)


def _names_file(text: str) -> bool:
    return "\n" not in text and "{" not in text and text.strip().endswith(ENDINGS)


def _from_file(path: Path, said: str) -> Given:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        message = f"{said[:200]}: {getattr(error, 'strerror', None) or 'cannot be read'}"
        remedy = "`fewtune init DATA` writes a spec for your data"
        raise SpecError(Diagnostic(code="E-file-missing", message=message, remedy=remedy)) from error
    return Given(content, path.name, path.resolve().parent, format_of(path.name), path)


def restored(path: Path) -> dict[str, Any]:
    """The spec that a JSON document of the strict or the core schema says.

    Raises:
        SpecError: E-file-missing, and E-syntax where the file is no such document.
    """
    from fewtune.specs.projection import restore

    content = _from_file(path, str(path)).content
    try:
        return restore(json.loads(content))
    except INCOMPLETE as error:
        message = f"{path.name} is no whole document of the strict or the core schema"
        message += f": {error.args[0]} is missing or unknown" if isinstance(error, KeyError) else ""
        remedy = (
            "`fewtune schema --strict` and `fewtune schema --core` print them; every key is there, null where unused"
        )
        raise SpecError(Diagnostic(code="E-syntax", message=message, remedy=remedy)) from error


def inside(path: Path, roots: Sequence[Path]) -> Path:
    """A path that lies below one of the folders, links resolved.

    Raises:
        SpecError: E-path.
    """
    try:
        if is_below(Path(path), roots):
            return Path(path).resolve()
    except (OSError, ValueError):  # a name that the system cannot hold
        pass
    message = f"{str(path)[:200]!r} leaves the folders that may be used here"
    remedy = "name a file below the folder in which fewtune was started"
    raise SpecError(Diagnostic(code="E-path", message=message, remedy=remedy))
