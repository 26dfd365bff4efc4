"""Which rows a trial sees: pure functions of the rows' contents and a seed.

A row's place in the draw depends on its text and the seed, never on its label or on other rows: correcting one label
moves that row and leaves the other samples as they were. Sampling is stratified by label (largest remainder, each
label at least once where n allows); folds keep duplicates together, so that no row is scored by a model that saw its
twin.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from fewtune.compiler.arm import Recipe
from fewtune.compiler.facts import DataFacts, SplitFacts
from fewtune.compiler.fingerprint import fingerprint, seeds
from fewtune.compiler.plan import Level, Sample, Scheme


def pool(data: DataFacts) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Rows of the train split that may be sampled, and those that may not because an evaluation split has them.

    Without a test split every labelled row stays (duplicates share a fold); with one, later copies of a text are
    left out, too.
    """
    train = data.train
    held_out = {group for split in (*data.evaluated, *_validation(data)) for group in split.groups}
    usable, excluded, seen = [], [], set[str]()
    for row, group in enumerate(train.groups):
        if train.labels[row] < 0:
            continue
        if group in held_out:
            excluded.append(row)
        elif data.test is None or data.twin_key(row) not in seen:
            usable.append(row)
        seen.add(data.twin_key(row))
    return tuple(usable), tuple(excluded)


def transferable(data: DataFacts) -> tuple[int, ...]:
    """Rows of the split without labels that no evaluation split has, each text once."""
    return untested(data, "unlabelled")


def untested(data: DataFacts, name: str) -> tuple[int, ...]:
    """Rows of a split that no evaluation split has, each text once; none where there is no such split."""
    split = data.splits.get(name)
    if split is None:
        return ()
    seen = {group for other in (*data.evaluated, *_validation(data)) for group in other.groups}
    found = []
    for row, group in enumerate(split.groups):
        if group not in seen:
            found.append(row)
        seen.add(group)
    return tuple(found)


def transferred(data: DataFacts, count: int, data_seed: int) -> tuple[int, ...]:
    """The texts without labels that a data seed's teacher answers."""
    if not count:
        return ()
    return tuple(ordered(transferable(data), data.splits["unlabelled"], "transfer", data_seed)[:count])


def pretrained_on(data: DataFacts, recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Split -> the texts of continued pre-training, each once as long as the steps ask for more."""
    seen = recipe.pretraining_steps * recipe.batch_size
    counts = {"unlabelled": seen - round(seen * recipe.replay), "replay": round(seen * recipe.replay)}
    return {
        name: tuple(ordered(untested(data, name), data.splits[name], "pretraining")[:count])
        for name, count in counts.items()
        if count and name in data.splits
    }


def _validation(data: DataFacts) -> Iterable[SplitFacts]:
    split = data.splits.get("validation")
    return (split,) if split else ()


def quotas(counts: Sequence[int], n: int) -> list[int]:
    """Divide n over the labels in proportion to their counts: largest remainder, at least one each where n allows.

    >>> quotas([50, 30, 20], 10), quotas([98, 1, 1], 10), quotas([3, 3], 10)
    ([5, 3, 2], [8, 1, 1], [3, 3])
    """
    n = min(n, sum(counts))
    if n == 0:
        return [0] * len(counts)
    floors = [min(1, count) for count in counts] if n >= sum(count > 0 for count in counts) else [0] * len(counts)
    shares = [n * count / sum(counts) for count in counts]
    given = [max(floor, int(share)) for floor, share in zip(floors, shares, strict=True)]
    while sum(given) < n:
        label = max((i for i, count in enumerate(counts) if given[i] < count), key=lambda i: (shares[i] - given[i], -i))
        given[label] += 1
    while sum(given) > n:
        label = max((i for i, floor in enumerate(floors) if given[i] > floor), key=lambda i: (given[i] - shares[i], -i))
        given[label] -= 1
    return given


def ordered(rows: Iterable[int], split: SplitFacts, *parts: object) -> list[int]:
    """Rows in the order of a seed; a row's place depends on its text alone."""
    seed_of = seeds(*parts)
    return sorted(rows, key=lambda row: (seed_of(split.groups[row]), row))


def stratified(rows: Sequence[int], split: SplitFacts, n: int, labels: int, per_class: int | None) -> list[int]:
    """Take the first rows, n in all (or per_class of each label); they keep their order."""
    counts = Counter(split.labels[row] for row in rows)
    left = [per_class] * labels if per_class is not None else quotas([counts[label] for label in range(labels)], n)
    taken = []
    for row in rows:
        if left[split.labels[row]] > 0:
            left[split.labels[row]] -= 1
            taken.append(row)
    return taken


def assign_folds(rows: Sequence[int], split: SplitFacts, folds: int) -> dict[int, int]:
    """Row -> fold: label by label in the rows' order, duplicates together, in turn so that sizes differ by little."""
    fold_of_group: dict[str, int] = {}
    for row in sorted(rows, key=lambda row: split.labels[row]):
        fold_of_group.setdefault(split.groups[row], len(fold_of_group) % folds)
    return {row: fold_of_group[split.groups[row]] for row in rows}


def draw(
    data: DataFacts, rows: Sequence[int], levels: Sequence[Level], data_seed: int, folds: int | None
) -> dict[int, list[Sample]]:
    """The samples of one data seed by their n: one, or one for each fold."""
    if folds is None:
        mixed = ordered(rows, data.train, "sample", data_seed)
        return {level.n: [_sample(data, level, data_seed, None, mixed, None)] for level in levels}
    fold_of = assign_folds(ordered(rows, data.train, "fold", data_seed), data.train, folds)
    samples: dict[int, list[Sample]] = {level.n: [] for level in levels}
    for fold in range(folds):
        scored = tuple(row for row in rows if fold_of[row] == fold)
        others = [row for row in ordered(rows, data.train, "sample", data_seed, fold) if fold_of[row] != fold]
        for level in levels:
            samples[level.n].append(_sample(data, level, data_seed, fold, others, scored))
    return samples


def _sample(
    data: DataFacts, level: Level, data_seed: int, fold: int | None, rows: list[int], scored: tuple[int, ...] | None
) -> Sample:
    taken = stratified(rows, data.train, min(level.n, len(rows)), data.strata, level.per_class)
    train, validation = tuple(taken), tuple[int, ...]()
    if level.scheme == "held-out":
        spare = ordered(_beyond_the_first(taken, data.train), data.train, "validation", data_seed, fold)
        groups = {data.train.groups[row] for row in stratified(spare, data.train, level.validation, data.strata, None)}
        validation = tuple(row for row in taken if data.train.groups[row] in groups)
        train = tuple(row for row in taken if data.train.groups[row] not in groups)
    elif level.scheme == "validation-split":
        validation = tuple(range(len(data.splits["validation"])))
    name = f"{level.n}/{data_seed}" + ("" if fold is None else f"/{fold}")
    return Sample(
        id=name,
        n=level.n,
        data_seed=data_seed,
        fold=fold,
        train=train,
        validation=validation,
        scored=scored,
        content=sample_content(data, level.scheme, train, validation, scored),
    )


def parts(data: DataFacts, sample: Sample, folds: int) -> list[Sample]:
    """A sample cut into parts, stratified: each scored by what is fitted to the others, in the sample's order.

    What is fitted sees as many rows of a label whichever part is left out, so that now and then a row of the others is
    passed over. Else the rest would be short of just those labels that the part is rich in, and every method that
    weighs labels would be held down: of 3 of each of 6 labels TF-IDF scored 0.00 in 4 unequal parts, 0.41 in 3 equal
    ones.
    """
    mixed = ordered(sample.train, data.train, "part", sample.data_seed)
    fold_of = assign_folds(mixed, data.train, folds)
    sizes = Counter((data.train.labels[row], fold) for row, fold in fold_of.items())
    counts = Counter(data.train.labels[row] for row in sample.train)
    keep = {label: max(1, count - max(sizes[label, fold] for fold in range(folds))) for label, count in counts.items()}
    found = []
    for fold in range(folds):
        left = dict(keep)
        train = tuple(row for row in sample.train if fold_of[row] != fold and _taken(left, data.train.labels[row]))
        rest = tuple(row for row in sample.train if fold_of[row] == fold)
        content = sample_content(data, "held-out", train, rest, None)
        found.append(
            Sample(
                id=f"{sample.id}/part{fold}", n=sample.n, data_seed=sample.data_seed, fold=fold, train=train,
                validation=rest, scored=None, content=content,
            )
        )  # fmt: skip
    return found


def _taken(left: dict[int, int], label: int) -> bool:
    """Whether another row of the label is wanted; then one fewer is left."""
    left[label] -= 1
    return left[label] >= 0


def _beyond_the_first(rows: Sequence[int], split: SplitFacts) -> list[int]:
    """All but the first text of each label: validation never takes a label's only example."""
    first: dict[int, str] = {}
    for row in rows:
        first.setdefault(split.labels[row], split.groups[row])
    kept = set(first.values())
    return [row for row in rows if split.groups[row] not in kept]


def sample_content(
    data: DataFacts, scheme: Scheme, train: Sequence[int], validation: Sequence[int], scored: Sequence[int] | None
) -> str:
    """Hash of the rows' keys in their order and roles; two seeds that drew the same would have the same."""
    own = data.splits["validation"] if scheme == "validation-split" else data.train
    keys = {
        "train": [data.train.row_key(row, data.labels) for row in train],
        "validation": [own.row_key(row, data.labels) for row in validation],
        "scored": None if scored is None else [data.train.row_key(row, data.labels) for row in scored],
    }
    return fingerprint("sample", keys)
