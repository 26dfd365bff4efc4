"""Bytes -> Experiment, or all faults at once, each with its place."""

import re
from dataclasses import dataclass
from pathlib import Path

from fewtune.specs.augmentation import AUGMENTED_TASKS
from fewtune.specs.data import FIELD, WITHOUT_LABELS, PerClass, pointer_of
from fewtune.specs.diagnostic import Diagnostic, SpecError
from fewtune.specs.evaluation import metrics_of
from fewtune.specs.experiment import Experiment
from fewtune.specs.findings import findings
from fewtune.specs.methods import METHODS, MethodName, suits
from fewtune.specs.parse import Document, Format, format_of, parse
from fewtune.specs.task import FIELDS, OPTIONAL, PATTERN_NAMES, Marks

SEVERAL: dict[Marks, str] = {
    "set": "a head answers with any number of labels, not a word",
    "tags": "a head answers with a tag for each word, not a word for all",
}
"""Why there are no patterns, label words and questions where a text has several labels."""
TAG = re.compile(r"O|[BI]-.+", re.DOTALL)
"""A BIO tag."""
COLUMNS = ("text", "premise", "hypothesis", "context", "question", "label", "target", "rejected")


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
    return [*_columns(experiment), *_patterns(experiment), *_answers(experiment), *_methods(experiment)]


def _columns(experiment: Experiment) -> list[Diagnostic]:
    """Columns of another task."""
    task = experiment.task
    own = {*FIELDS[task.type], task.answer, *(("rejected", "label") if task.prefers else ())}
    foreign = [name for name in COLUMNS if name not in own and getattr(experiment.data, name) is not None]
    return [
        Diagnostic(code="E-conflict", message=f"{task.type} has {_own(experiment, name)}, not {name}",
                   pointer=f"/data/{name}")
        for name in foreign
    ]  # fmt: skip


def _own(experiment: Experiment, name: str) -> str:
    """What the task has in the place of a column of another task."""
    if name == "rejected":
        return f"no worse texts, only {experiment.task.answer}s"
    return experiment.task.answer if name in ("label", "target") else " and ".join(FIELDS[experiment.task.type])


def _patterns(experiment: Experiment) -> list[Diagnostic]:
    """Patterns name each field of the task once at least, and no other."""
    wanted = set(FIELDS[experiment.task.type])
    more = set() if experiment.task.writes else {"labels"}
    faults: list[Diagnostic] = []
    for index, pattern in enumerate(experiment.task.patterns or ()):
        if pattern in PATTERN_NAMES:
            continue
        named = set(FIELD.findall(pattern))
        absent = [f"the pattern does not say where {{{name}}} goes" for name in sorted(wanted - OPTIONAL - named)]
        foreign = sorted(named - wanted - more)
        messages = absent + [f"the pattern names {{{name}}}, which this task does not have" for name in foreign]
        faults += [_pattern_fault(index, message, wanted, more) for message in messages]
    return faults


def _answers(experiment: Experiment) -> list[Diagnostic]:
    """Settings about labels where texts are written, and the other way round."""
    task, found = experiment.task, list[Diagnostic]()
    foreign: tuple[str, ...] = ("labels", "verbalizer", "question") if task.writes else ("instruction",)
    what = "the answer is a text, not a label" if task.writes else "the answer is a label, not a text"
    if task.marks is not None:
        foreign, what = ("verbalizer", "question", "patterns", "instruction"), SEVERAL[task.marks]
    for name in foreign:
        if getattr(task, name) is not None:
            message = f"{name} has no effect on {task.type}: {what}"
            asked = name == "question" and task.writes
            remedy = "task.instruction says what is to be written" if asked else "remove it"
            found.append(Diagnostic(code="E-no-effect", message=message, pointer=f"/task/{name}", remedy=remedy))
    strange = [label for label in task.labels or () if task.marks == "tags" and not TAG.fullmatch(label)]
    if strange:
        message = f"{strange[0]!r} is no BIO tag"
        found.append(Diagnostic(code="E-value", message=message, pointer="/task/labels",
                                remedy=f"O, and B-name with I-name for each name: B-{strange[0]}"))  # fmt: skip
    metric, known = experiment.evaluation.metric, metrics_of(task.type)
    if metric is not None and metric not in known:
        message = f"{metric} does not measure {task.type}" + ("" if task.marks else f": {what}")
        remedy = f"the metrics are {', '.join(known)}"
        found.append(Diagnostic(code="E-conflict", message=message, pointer="/evaluation/metric", remedy=remedy))
    several = task.writes or task.marks is not None
    has = "has none" if task.writes else f"gives a text {'any number' if task.marks == 'set' else 'one for each word'}"
    if several and isinstance(experiment.data.label_budget, PerClass):
        message = f"per_class counts labels, and {task.type} {has}"
        remedy = "give a number of rows"
        found.append(Diagnostic(code="E-conflict", message=message, pointer="/data/label_budget", remedy=remedy))
    if several and experiment.data.noise_shares:
        message = f"label noise turns a text's label into another one, and {task.type} {has}"
        found.append(Diagnostic(code="E-conflict", message=message, pointer="/data/label_noise", remedy="remove it"))
    if experiment.augmentation is not None:
        found += _augmentation(experiment)
    for split, source in experiment.data.splits.items():
        if source.labels and (several or split in WITHOUT_LABELS):
            lacks = f"{split} has none" if split in WITHOUT_LABELS else f"{task.type} {has}"
            message = f"labels chooses rows by their label, and {lacks}"
            pointer = f"{pointer_of(split)}/labels"
            found.append(Diagnostic(code="E-conflict", message=message, pointer=pointer, remedy="remove it"))
    return found


def _augmentation(experiment: Experiment) -> list[Diagnostic]:
    """What synthetic examples cannot stand beside."""
    faults = []
    if experiment.task.type not in AUGMENTED_TASKS:
        faults.append((f"examples are written for a label, and {experiment.task.type} has not one label a text", ""))
    if experiment.data.noise_shares:
        faults.append(("arms with wrong labels have no twins with synthetic examples", "data.label_noise or "))
    if experiment.evaluation.halving is not None:
        faults.append(("an arm and its twin have the same data seeds, and halving takes some away",
                       "evaluation.halving or "))  # fmt: skip
    return [
        Diagnostic(code="E-conflict", message=message, pointer="/augmentation", remedy=f"remove {other}augmentation")
        for message, other in faults
    ]


def _methods(experiment: Experiment) -> list[Diagnostic]:
    """Methods that cannot give the task's answer."""
    task, wanted = experiment.task, experiment.methods
    places: list[tuple[str, MethodName]] = [(f"/methods/include/{i}", name) for i, name in enumerate(wanted.include)]
    places += [(f"/methods/exclude/{i}", name) for i, name in enumerate(wanted.exclude)]
    places += [(f"/methods/arms/{i}/method", arm.method) for i, arm in enumerate(wanted.arms)]
    remedy = f"its methods are {', '.join(name for name in METHODS if suits(name, task.type))}"
    return [
        Diagnostic(code="E-conflict", message=f"{name} is no method of {task.type}", pointer=place, remedy=remedy)
        for place, name in places
        if not suits(name, task.type)
    ]


def _pattern_fault(index: int, message: str, wanted: set[str], more: set[str]) -> Diagnostic:
    fields = ", ".join(f"{{{name}}}" for name in sorted(wanted))
    return Diagnostic(code="E-pattern", message=message, pointer=f"/task/patterns/{index}",
                      remedy=f"the fields are {fields}" + (" and, if wanted, {labels}" if more else "")
                      + f"; patterns by name are {', '.join(PATTERN_NAMES)}")  # fmt: skip
