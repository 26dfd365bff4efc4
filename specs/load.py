"""Bytes -> Experiment, or all faults at once, each with its place."""

from dataclasses import dataclass
from pathlib import Path

from fewtune.specs.data import FIELD
from fewtune.specs.diagnostic import Diagnostic, SpecError
from fewtune.specs.experiment import Experiment
from fewtune.specs.findings import findings
from fewtune.specs.parse import Document, Format, format_of, parse

PATTERN_FIELDS = {"classification": {"text"}, "pair-classification": {"premise", "hypothesis"}}


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


def locate(document: Document, finding: Diagnostic) -> Diagnostic:
    """The finding with its line and column; of the nearest existing parent where its own place is missing."""
    if finding.line is not None:
        return finding
    span = document.positions.at(finding.pointer)
    named = finding.code in ("E-unknown-key", "E-no-effect", "E-not-yet") and span.key is not None
    place = span.key if named and span.key else span.value
    return finding.located(place.line, place.column)


def load(content: bytes, *, format: Format | None = None, stem: str = "experiment") -> Loaded:
    """Read a spec.

    Args:
        content: the document.
        format: toml or json; omitted: by the first character.
        stem: what the experiment is called where the spec does not say.

    Raises:
        SpecError: with every fault.
    """
    document = parse(content, format)
    if not isinstance(document, Document):
        raise SpecError([_syntax(fault.code, fault.message, fault.line, fault.column, fault.remedy, fault.pointer)
                         for fault in document])  # fmt: skip
    faults = findings(document.tree) or _meanings(document)
    if faults:
        raise SpecError([locate(document, fault) for fault in faults])
    return Loaded(Experiment.model_validate(document.tree), document, stem)


def load_file(path: Path) -> Loaded:
    """Read a spec from a file.

    Raises:
        SpecError: the file does not exist, or its content has faults.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"{path}: {error.strerror or 'cannot be read'}"
        remedy = "`fewtune init DATA` writes a spec for your data"
        raise SpecError(Diagnostic(code="E-file-missing", message=message, remedy=remedy)) from error
    return load(content, format=format_of(path.name), stem=path.stem)


def _syntax(code: str, message: str, line: int, column: int, remedy: str, pointer: str) -> Diagnostic:
    return Diagnostic(code=code, message=message, line=line, column=column, remedy=remedy, pointer=pointer)


def _meanings(document: Document) -> list[Diagnostic]:
    """What the types cannot see."""
    experiment = Experiment.model_validate(document.tree)
    return _columns(experiment) + _patterns(experiment)


def _columns(experiment: Experiment) -> list[Diagnostic]:
    """Columns of the other task."""
    pair = experiment.task.type == "pair-classification"
    foreign = ("text",) if pair else ("premise", "hypothesis")
    own = "premise and hypothesis" if pair else "text"
    return [
        Diagnostic(code="E-conflict", message=f"{experiment.task.type} has {own}, not {name}", pointer=f"/data/{name}")
        for name in foreign
        if getattr(experiment.data, name) is not None
    ]


def _patterns(experiment: Experiment) -> list[Diagnostic]:
    """Patterns name each field of the task once at least, and no other."""
    wanted = PATTERN_FIELDS[experiment.task.type]
    faults: list[Diagnostic] = []
    for index, pattern in enumerate(experiment.task.patterns or ()):
        named = set(FIELD.findall(pattern))
        absent = [f"the pattern does not say where {{{name}}} goes" for name in sorted(wanted - named)]
        foreign = sorted(named - wanted - {"labels"})
        messages = absent + [f"the pattern names {{{name}}}, which this task does not have" for name in foreign]
        faults += [_pattern_fault(index, message, wanted) for message in messages]
    return faults


def _pattern_fault(index: int, message: str, wanted: set[str]) -> Diagnostic:
    fields = ", ".join(f"{{{name}}}" for name in sorted(wanted))
    return Diagnostic(code="E-pattern", message=message, pointer=f"/task/patterns/{index}",
                      remedy=f"the fields are {fields} and, if wanted, {{labels}}")  # fmt: skip
