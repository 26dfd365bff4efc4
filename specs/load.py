"""Bytes -> Experiment, or all faults at once, each with its place."""

from dataclasses import dataclass
from pathlib import Path

from fewtune.specs.diagnostic import Diagnostic, SpecError
from fewtune.specs.examine import examine, locate
from fewtune.specs.experiment import Experiment
from fewtune.specs.parse import Document, Format, format_of


@dataclass(frozen=True)
class Loaded:
    """A checked spec with the text it came from."""

    experiment: Experiment
    document: Document
    stem: str
    """The file's name without its ending: the experiment's name where it has none."""

    def located(self, found: tuple[Diagnostic, ...] | list[Diagnostic]) -> tuple[Diagnostic, ...]:
        """The findings with their line and column in this text."""
        return tuple(locate(self.document, finding) for finding in found)


def load(content: bytes, *, format: Format | None = None, stem: str = "experiment") -> Loaded:
    """Read a spec.

    Args:
        content: the document.
        format: toml or json; omitted: by the first character.
        stem: what the experiment is called where the spec does not say.

    Raises:
        SpecError: with every fault.
    """
    examined = examine(content, format)
    if examined.found or examined.document is None or examined.experiment is None:
        raise SpecError(examined.found)
    return Loaded(examined.experiment, examined.document, stem)


def read_spec(path: Path) -> bytes:
    """The bytes of a spec's file.

    Raises:
        SpecError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror or 'cannot be read'}"
        remedy = "`fewtune init DATA` writes a spec for your data"
        raise SpecError(Diagnostic(code="E-file-missing", message=message, remedy=remedy)) from error


def load_file(path: Path) -> Loaded:
    """Read a spec from a file.

    Raises:
        SpecError: the file does not exist, or its content has faults.
    """
    return load(read_spec(path), format=format_of(path.name), stem=path.stem)
