"""What the types take and the task does not: columns, patterns, settings and methods of another task."""

import re

from fewtune.specs.augmentation import AUGMENTED_TASKS, OF_EDA, OF_TEACHER, Augmentation
from fewtune.specs.data import FIELD, WITHOUT_LABELS, PerClass, pointer_of
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.evaluation import metrics_of
from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import METHODS, MethodName, suits
from fewtune.specs.repairs.missing import task_of, tasks_that_fit
from fewtune.specs.task import FIELDS, OPTIONAL, PATTERN_NAMES, Marks, TaskType

SEVERAL: dict[Marks, str] = {
    "set": "a head answers with any number of labels, not a word",
    "tags": "a head answers with a tag for each word, not a word for all",
}
"""Why there are no patterns, label words and questions where a text has several labels."""
TAG = re.compile(r"O|[BI]-.+", re.DOTALL)
"""A BIO tag."""
COLUMNS = ("text", "premise", "hypothesis", "context", "question", "label", "target", "rejected")


def meanings(experiment: Experiment) -> list[Diagnostic]:
    """What the types cannot see; where the columns are those of another task, that is said once."""
    found = _meanings(experiment)
    other = _other_task(experiment) if found else None
    if other is None:
        return found
    left = _meanings(_as(experiment, other))
    return [_wrong_task(experiment, other), *left] if len(left) < len(found) else found


def _meanings(experiment: Experiment) -> list[Diagnostic]:
    return [
        *_columns(experiment), *_same_column(experiment), *_patterns(experiment), *_answers(experiment),
        *_augmentation(experiment), *_methods(experiment),
    ]  # fmt: skip


def _as(experiment: Experiment, task: TaskType) -> Experiment:
    changed = experiment.task.model_copy(update={"type": task})
    return experiment.model_copy(update={"task": changed})


def _other_task(experiment: Experiment) -> TaskType | None:
    """The task whose columns are named, where the spec's own lacks one of its columns and has a strange one."""
    task, given = experiment.task, _given(experiment)
    own = {*FIELDS[task.type], task.answer}
    if len(given) < 2 or own - OPTIONAL <= given or not given - own:
        return None
    tree = experiment.model_dump(mode="json", exclude_none=True, include={"task", "data", "methods", "evaluation"})
    fits = [other for other in tasks_that_fit(tree) if other != task.type]
    guess = task_of(tree)
    fits.sort(key=lambda other: (_lacks(experiment, other), len(_meanings(_as(experiment, other))), other != guess))
    return fits[0] if fits else None


def _lacks(experiment: Experiment, other: TaskType) -> bool:
    """Whether a column that another task needs is not named."""
    return not {*FIELDS[other], _as(experiment, other).task.answer} - OPTIONAL <= _given(experiment)


def _wrong_task(experiment: Experiment, other: TaskType) -> Diagnostic:
    task, columns = experiment.task.type, [name for name in COLUMNS if name in _given(experiment)]
    message = (
        f"the data name {' and '.join(columns)}, and {task} has {_own(experiment, 'text')} and {experiment.task.answer}"
    )
    return Diagnostic(code="E-conflict", message=message, pointer="/task/type", got=task, nearest=other)


def _given(experiment: Experiment) -> set[str]:
    return {name for name in COLUMNS if getattr(experiment.data, name) is not None}


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


def _same_column(experiment: Experiment) -> list[Diagnostic]:
    """One column in two roles: what is asked would be the answer."""
    found, taken = list[Diagnostic](), dict[str, str]()
    for name in COLUMNS:
        column = getattr(experiment.data, name)
        if isinstance(column, str) and column in taken:
            message = f"{name} and {taken[column]} are the same column, {column!r}"
            remedy = f"another column for one of them; left out, {name} is guessed"
            found.append(Diagnostic(code="E-conflict", message=message, pointer=f"/data/{name}", remedy=remedy))
        elif isinstance(column, str):
            taken[column] = name
    return found


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
    for split, source in experiment.data.splits.items():
        if source.labels and (several or split in WITHOUT_LABELS):
            lacks = f"{split} has none" if split in WITHOUT_LABELS else f"{task.type} {has}"
            message = f"labels chooses rows by their label, and {lacks}"
            pointer = f"{pointer_of(split)}/labels"
            found.append(Diagnostic(code="E-conflict", message=message, pointer=pointer, remedy="remove it"))
    return found


def _augmentation(experiment: Experiment) -> list[Diagnostic]:
    """What synthetic examples cannot stand beside."""
    if experiment.augmentation is None:
        return []
    faults = []
    if experiment.task.type not in AUGMENTED_TASKS:
        faults.append((f"examples are written for a label, and {experiment.task.type} has not one label a text", ""))
    if experiment.data.noise_shares:
        faults.append(("arms with wrong labels have no twins with synthetic examples", "data.label_noise or "))
    if experiment.evaluation.halving is not None:
        faults.append(("an arm and its twin have the same data seeds, and halving takes some away",
                       "evaluation.halving or "))  # fmt: skip
    return [
        *(
            Diagnostic(
                code="E-conflict", message=message, pointer="/augmentation", remedy=f"remove {other}augmentation"
            )
            for message, other in faults
        ),
        *_unfelt(experiment.augmentation),
    ]


def _unfelt(asked: Augmentation) -> list[Diagnostic]:
    """Settings of a teacher where there is none, and of changed copies where these are not; defaults are none."""
    found, usual = [], Augmentation(eda=True)
    for names, why, remedy in (
        (OF_TEACHER if asked.teacher is None else (), "nobody writes examples", "remove it, or name a teacher"),
        (() if asked.with_eda else OF_EDA, "there are no changed copies", "remove it, or eda = true"),
    ):
        for name in names:
            if getattr(asked, name) != getattr(usual, name):
                message, at = f"{name} has no effect: {why}", f"/augmentation/{name}"
                found.append(Diagnostic(code="E-no-effect", message=message, pointer=at, remedy=remedy))
    return found


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
