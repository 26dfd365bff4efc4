"""Copies: rows with the same text, or nearly the same, in two splits or twice in the training data."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fewtune.compiler.facts import DataFacts
from fewtune.runtime.job import Corpus
from fewtune.runtime.probe.near import alike, shingles

TRAIN = "train"


@dataclass(frozen=True)
class Copy:
    """One of the rows."""

    split: str
    place: int
    """Its index in the split."""
    label: str | None
    """None: it has none."""
    text: str


@dataclass(frozen=True)
class Copies:
    """Rows with one text; or two rows with nearly the same one."""

    rows: tuple[Copy, ...]
    """The training data first."""
    likeness: float
    """Jaccard index of the character 5-grams; 1: equal but for case, punctuation and spaces."""

    @property
    def across(self) -> bool:
        """Whether two splits have it."""
        return len({row.split for row in self.rows}) > 1

    @property
    def conflict(self) -> bool:
        """Whether the labels differ."""
        return len({row.label for row in self.rows} - {None}) > 1


@dataclass(frozen=True)
class Duplicates:
    """All that was found: conflicting labels first, then across splits, then the most alike."""

    exact: tuple[Copies, ...]
    near: tuple[Copies, ...]


def duplicates(data: DataFacts, corpus: Corpus) -> Duplicates:
    """Find the copies; rows without text have none.

    Args:
        data: the facts of the rows; what makes two rows equal is what makes the plan's duplicates.
        corpus: the rows themselves.
    """
    by_group: dict[str, list[Copy]] = defaultdict(list)
    fields: dict[str, tuple[str, ...]] = {}
    for name in (TRAIN, *(other for other in data.splits if other != TRAIN)):
        for place, (group, row) in enumerate(zip(data.splits[name].groups, corpus.splits[name], strict=True)):
            texts = tuple(row.fields.values())
            if any(text.strip() for text in texts):
                label = corpus.labels[row.label] if row.label >= 0 else None
                by_group[group].append(Copy(name, place, label, " / ".join(texts)))
                fields.setdefault(group, texts)
    exact = [Copies(tuple(rows), 1.0) for rows in by_group.values() if _matters(rows)]
    return Duplicates(_ordered(exact), _ordered(list(_near(by_group, fields))))


def _matters(rows: list[Copy]) -> bool:
    """Whether rows are twice in the training data, or in two splits."""
    return sum(row.split == TRAIN for row in rows) > 1 or len({row.split for row in rows}) > 1


def _near(by_group: Mapping[str, list[Copy]], fields: Mapping[str, tuple[str, ...]]) -> Iterator[Copies]:
    groups = list(fields)
    splits = [{row.split for row in by_group[group]} for group in groups]

    def wanted(i: int, j: int) -> bool:
        return TRAIN in splits[i] & splits[j] or len(splits[i] | splits[j]) > 1

    for i, j, likeness in alike([shingles(fields[group]) for group in groups], wanted):
        yield Copies((by_group[groups[i]][0], by_group[groups[j]][0]), likeness)


def _ordered(found: list[Copies]) -> tuple[Copies, ...]:
    def key(copies: Copies) -> tuple[bool, bool, float, list[tuple[bool, str, int]]]:
        places = [(row.split != TRAIN, row.split, row.place) for row in copies.rows]
        return not copies.conflict, not copies.across, -copies.likeness, places

    return tuple(sorted(found, key=key))
