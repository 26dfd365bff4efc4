"""What only several labels of a text can have wrong: unknown, rare and constant ones, no spans, contradictions."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain

from fewtune.compiler.finding import finding
from fewtune.compiler.situation import Situation
from fewtune.specs.data import WITHOUT_LABELS, pointer_of
from fewtune.specs.diagnostic import Diagnostic

RARE = 3
MANY = 5
"""Labels or rows that a finding names."""
BEGIN, INSIDE = "B-", "I-"


def check_marks(s: Situation) -> Iterator[Diagnostic]:
    """Everything about the labels that spec and facts alone show."""
    for check in (_given, _unknown, _constant, _conflicts):
        yield from check(s)


def _counts(s: Situation) -> Counter[str]:
    """Training rows (or words) with each label."""
    train, names = s.facts.data.train, s.facts.data.labels
    return Counter(names[mark] for mark in chain(*train.marks) if mark >= 0)


def _given(s: Situation) -> Iterator[Diagnostic]:
    """Whether there is anything to learn, and of which labels there is hardly anything."""
    counts, place, train = _counts(s), s.facts.data.train.place, s.facts.data.train
    column = s.facts.data.columns["label"]
    known = [name for name in s.facts.data.labels if s.marks == "set" or name.startswith(BEGIN)]
    if s.marks == "tags":  # a span counts once, by whichever tag it begins with
        counts = Counter({name: max(counts[name], counts[INSIDE + name[2:]]) for name in known})
    if len(train) and not any(counts[name] for name in known):
        what = "no label in any row" if s.marks == "set" else "no span in any row, every tag is O"
        remedy = "name the column with the labels: data.label"
        yield finding("E-one-class", f"{place}: {what} of column {column!r}", "/data/train", remedy=remedy)
        return
    if s.marks == "set" and len(s.facts.data.labels) < 2:
        message = f"{place} has one label in column {column!r}"
        remedy = 'with one label a text has it or not: task.type = "classification"'
        yield finding("E-one-class", message, "/data/train", remedy=remedy)
    absent = [name for name in known if not counts[name]]
    if absent:
        message = f"no training row has the label {absent[0]!r}"
        yield finding("E-label-unknown", message, "/task/labels", remedy="remove it from task.labels or add rows")
    rare = [name for name in known if 0 < counts[name] < RARE]
    if rare:
        shown = ", ".join(map(repr, rare[:MANY])) + (f" and {len(rare) - MANY} more" if len(rare) > MANY else "")
        unit = "rows" if s.marks == "set" else "words"
        message = f"fewer than {RARE} training {unit}: the label{'s' * (len(rare) > 1)} {shown}"
        yield finding("W-rare-label", message, "/data/train", remedy="a few more of them help most")


def _unknown(s: Situation) -> Iterator[Diagnostic]:
    """Labels of other splits that never occur in training."""
    for name, split in s.facts.data.splits.items():
        if split.unknown_labels and name not in WITHOUT_LABELS:
            shown = ", ".join(map(repr, split.unknown_labels[:4]))
            message = f"{split.place}: labels that the training rows do not have: {shown}"
            yield finding("E-label-unknown", message, pointer_of(name), remedy="use the same label names everywhere")


def _constant(s: Situation) -> Iterator[Diagnostic]:
    """Labels that every row has: there is nothing to tell."""
    counts, rows = _counts(s), len(s.facts.data.train)
    always = [name for name in s.facts.data.labels if counts[name] == rows] if s.marks == "set" else []
    if always:
        message = f"every training row has the label {always[0]!r}: it is always right, and lifts every score"
        yield finding("W-imbalanced", message, "/data/train", remedy="leave it out of the labels")


def _conflicts(s: Situation) -> Iterator[Diagnostic]:
    """Texts that are there twice with different labels."""
    train = s.facts.data.train
    by_group: dict[str, set[tuple[int, ...]]] = {}
    for group, marks in zip(train.groups, train.marks, strict=True):
        by_group.setdefault(group, set()).add(marks)
    torn = [number for number, group in enumerate(train.groups, 1) if len(by_group[group]) > 1]
    if torn:
        shown = ", ".join(map(str, torn[:MANY])) + (f" and {len(torn) - MANY} more" if len(torn) > MANY else "")
        message = f"{train.place}: the same text carries different labels (rows {shown})"
        remedy = "one of them is wrong; clean before you label more (R-108)"
        yield finding("W-label-conflict", message, "/data/train", remedy=remedy)
