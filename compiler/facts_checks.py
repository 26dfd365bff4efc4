"""Small-data safety on spec and facts: what must be known before anything is decided.

Each check is a pure function that yields findings. All findings are collected, none hides another.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from fewtune.compiler.facts import Facts, SplitFacts
from fewtune.compiler.finding import finding
from fewtune.compiler.mark_checks import check_marks
from fewtune.compiler.preference_checks import check_preferences
from fewtune.compiler.resolve import budgets
from fewtune.compiler.rules.choosing import FOLDS
from fewtune.compiler.rules.folds import folds
from fewtune.compiler.rules.metric import IMBALANCED
from fewtune.compiler.situation import Situation
from fewtune.compiler.verbalizers import MOST, wanted
from fewtune.specs.data import FIELD, WITHOUT_LABELS, pointer_of
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.task import PATTERN_NAMES

Check = Callable[[Situation], Iterator[Diagnostic]]
SMALL_TEST = 100
RARE = 3
MANY = 5
"""Labels that a finding names; beyond, it counts them."""


def check_facts(s: Situation) -> list[Diagnostic]:
    """Everything that spec and facts alone show."""
    labelled = (
        _missing, _labels, _pool, _budgets, _splits, _verbalizer, _label_plan, _constraints, _duplicates, _conflicts,
        _across, _balance, _sizes,
    )  # fmt: skip
    written: tuple[Check, ...] = (
        _missing, _targets, _pool_to_write, _budgets, _splits, _constraints, _duplicates, _across, _sizes,
    )  # fmt: skip
    marked: tuple[Check, ...] = (
        _missing, check_marks, _pool_to_write, _budgets, _splits, _constraints, _duplicates, _across, _sizes,
    )  # fmt: skip
    if s.preferences is not None:
        written += (check_preferences,)
    checks = written if s.writes else labelled if s.marks is None else marked
    return [found for check in checks for found in check(s)]


def _rows(numbers: Iterable[int]) -> str:
    shown = sorted(numbers)
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return f"row{'s' if len(shown) > 1 else ''} {', '.join(map(str, shown[:5]))}{more}"


def _missing(s: Situation) -> Iterator[Diagnostic]:
    for name, split in s.facts.data.splits.items():
        if split.missing_text:
            message = f"{split.place}: no text in {_rows(split.missing_text)}"
            yield finding("E-text-missing", message, pointer_of(name), remedy="remove these rows or fill them in")
        if split.missing_label and name not in WITHOUT_LABELS:
            message = f"{split.place}: no {s.experiment.task.answer} in {_rows(split.missing_label)}"
            remedy = f"{'write' if s.writes else 'label'} these rows, or move them to data.unlabelled"
            yield finding("E-label-missing", message, pointer_of(name), remedy=remedy)
        if not len(split):
            yield finding("E-too-few-rows", f"{split.place} has no rows", pointer_of(name), remedy="check the file")


def _labels(s: Situation) -> Iterator[Diagnostic]:
    counts = Counter(s.facts.data.train.labels)
    present = [index for index in range(len(s.facts.data.labels)) if counts[index]]
    if len(present) < 2 and len(s.facts.data.train):
        message = f"{s.facts.data.train.place} has {len(present)} label(s) in column {s.facts.data.columns['label']!r}"
        yield finding("E-one-class", message, "/data/train", remedy="a classification needs two labels at least")
    absent = [name for index, name in enumerate(s.facts.data.labels) if not counts[index]]
    if absent and present:
        message = f"no training row has the label {absent[0]!r}"
        yield finding("E-label-unknown", message, "/task/labels", remedy="remove it from task.labels or add rows")
    for name, split in s.facts.data.splits.items():
        if split.unknown_labels and name not in WITHOUT_LABELS:
            shown = ", ".join(map(repr, split.unknown_labels[:4]))
            message = f"{split.place}: labels that the training rows do not have: {shown}"
            yield finding("E-label-unknown", message, pointer_of(name), remedy="use the same label names everywhere")
    rare = [s.facts.data.labels[index] for index in present if counts[index] < RARE]
    if rare:
        message = f"fewer than {RARE} training rows: {_listed(rare)}"
        many = len(rare) > MANY and 2 * len(rare) > len(s.facts.data.labels)
        remedy = "is this column really the label?" if many else "a few more of them help most"
        yield finding("W-rare-label", message, "/data/train", remedy=remedy)


def _targets(s: Situation) -> Iterator[Diagnostic]:
    """What only texts that are written can lack."""
    known = s.facts.data.fields
    for index, pattern in enumerate(s.experiment.task.patterns or ()):
        if pattern in PATTERN_NAMES:
            continue
        for name in sorted(set(FIELD.findall(pattern)) - set(known)):
            message = f"the pattern names {{{name}}}, and the data have no such column"
            remedy = f"name it with data.{name}, or leave it out of the pattern"
            yield finding("E-pattern", message, f"/task/patterns/{index}", remedy=remedy)
        for name in sorted(set(known) - set(FIELD.findall(pattern))):
            message = f"the pattern leaves {{{name}}} out, which the data have"
            yield finding("E-pattern", message, f"/task/patterns/{index}", remedy=f"say where {{{name}}} goes")
    if not s.facts.model.end_tokens:
        message = f"{s.facts.model.place} names no token that ends a text (eos_token_id)"
        yield finding("E-model", message, "/model", remedy="a model whose config.json has eos_token_id")


def _pool_to_write(s: Situation) -> Iterator[Diagnostic]:
    """Rows that are left for training."""
    train = s.facts.data.train
    if len(train) and not s.pool:
        message = "every row is in an evaluation split, too, and none is left to train on"
        yield finding("E-too-few-rows", message, "/data/train", remedy="rows that no evaluation split has")
    elif s.facts.data.test is None and len({train.groups[row] for row in s.pool}) < 2:
        message = "no test split, and one text only, which cannot be trained on and scored"
        yield finding("E-too-few-rows", message, "/data/train", remedy="more rows, or data.test")


def _listed(names: list[str]) -> str:
    """Labels in words, the first few by name."""
    shown = ", ".join(map(repr, names[:MANY]))
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return f"the label{'' if len(names) == 1 else 's'} {shown}{more}"


def _pool(s: Situation) -> Iterator[Diagnostic]:
    """Rows that are left for training, label by label."""
    train = s.facts.data.train
    labelled, usable = Counter(train.labels), Counter(train.labels[row] for row in s.pool)
    texts = {index: {train.groups[row] for row in s.pool if train.labels[row] == index} for index in labelled}
    named = list(enumerate(s.facts.data.labels))
    taken = [name for index, name in named if labelled[index] and not usable[index]]
    if taken:
        message = f"every row is in an evaluation split, too, and none is left to train on: {_listed(taken)}"
        yield finding("E-too-few-rows", message, "/data/train", remedy="rows that no evaluation split has")
    single = [name for index, name in named if s.facts.data.test is None and 0 < len(texts.get(index, ())) < 2]
    if single:
        message = f"no test split, and one text only, which cannot be trained on and scored: {_listed(single)}"
        many = len(single) > MANY and 2 * len(single) > len(named)
        remedy = "is this column really the label?" if many else "more rows of it, or data.test"
        yield finding("E-too-few-rows", message, "/data/train", remedy=remedy)


def _folds(s: Situation) -> int | None:
    """The folds that there will be."""
    ruled: int | None = folds(s).value
    return ruled and (s.experiment.evaluation.folds or ruled)


def _budgets(s: Situation) -> Iterator[Diagnostic]:
    """Whether the label budget can be had, in cross-validation from the other folds."""
    counts = Counter(s.facts.data.train.labels[row] for row in s.pool)
    cut = _folds(s)
    room = {index: count - -(-count // cut) if cut else count for index, count in counts.items()}
    most, every = sum(room.values()), s.experiment.data.label_budget == "all"
    where = "outside of each fold" if cut else f"in {s.facts.data.train.place}"
    sizes = {} if every else dict(budgets(s))
    for n, per_class in sizes.items():
        if per_class is not None and room and min(room.values()) < per_class:
            rarest = s.facts.data.labels[min(room, key=lambda index: room[index])]
            message = f"{per_class} of each label are asked for; {rarest!r} has {min(room.values())} {where}"
            yield finding("E-too-few-rows", message, "/data/label_budget/per_class", remedy="ask for fewer")
        elif s.pool and n > most and not (cut and n == len(s.pool) and most not in sizes):
            message = f"the label budget is {n}; {most} rows are usable {where}"
            remedy = f'label_budget = "all" uses the {len(s.pool)} there are'
            yield finding("E-too-few-rows", message, "/data/label_budget", remedy=remedy)
        elif s.marks is None and n < len(s.facts.data.labels):
            message = f"{n} labelled examples cannot hold all {len(s.facts.data.labels)} labels"
            yield finding("E-too-few-rows", message, "/data/label_budget", remedy="at least one example of each label")


def _splits(s: Situation) -> Iterator[Diagnostic]:
    asked, split = s.experiment.evaluation, s.facts.data.splits.get("validation")
    if split is not None and len(split) < 2:
        message = f"the validation split has {len(split)} row(s)"
        yield finding("E-validation-empty", message, "/data/validation", remedy="leave it out: the rules then decide")
    if split is not None and asked.validation is not None:
        message = "validation has no effect: there is a validation split"
        yield finding("E-no-effect", message, "/evaluation/validation", remedy="remove it, or data.validation")
    if asked.validation == "cross-validation" and s.facts.data.test is None:
        message = (
            "validation has no effect: without a test split the folds score the arms, and the rules' order chooses"
        )
        yield finding("E-no-effect", message, "/evaluation/validation", remedy="remove it, or give data.test")
    if asked.validation == "cross-validation" and max(dict(budgets(s)), default=0) < 2 * FOLDS:
        message = f"fewer than {2 * FOLDS} labels cannot be cut into {FOLDS} parts"
        yield finding("E-too-few-rows", message, "/evaluation/validation", remedy="more labels, or fixed-schedule")
    if asked.folds is not None and s.facts.data.test is not None:
        message = "folds has no effect: there is a test split"
        yield finding("E-no-effect", message, "/evaluation/folds", remedy="remove folds, or remove data.test")
    texts = len({s.facts.data.train.groups[row] for row in s.pool})
    if asked.folds is not None and s.facts.data.test is None and asked.folds > texts:
        message = f"{asked.folds} folds of {texts} different texts: some would score nothing"
        yield finding("E-too-few-rows", message, "/evaluation/folds", remedy="fewer folds")
    written = s.experiment.task.patterns
    if s.experiment.task.question is not None and written and written == s.experiment.task.own_patterns:
        message = "question has no effect: the patterns are given"
        yield finding("E-no-effect", message, "/task/question", remedy="remove it, or task.patterns")


def _label_plan(s: Situation) -> Iterator[Diagnostic]:
    asked = s.experiment.augmentation
    weights = asked.label_plan if asked is not None and not isinstance(asked.label_plan, str) else {}
    known = s.facts.data.labels
    for label in sorted(weights.keys() - set(known)):
        message, place = f"{label!r} is not a label of the data", f"/augmentation/label_plan/{label}"
        yield finding("E-value", message, place, remedy=f"the labels are {', '.join(known[:8])}")
    if weights and not any(weights.get(label) for label in known):
        message, remedy = "no label of the data has a weight above 0", "give one of them a weight"
        yield finding("E-value", message, "/augmentation/label_plan", remedy=remedy)


def _verbalizer(s: Situation) -> Iterator[Diagnostic]:
    own, known = s.experiment.task.words, s.facts.model.word_tokens
    if own is None:
        return
    for label in sorted(set(s.facts.data.labels) - own.keys()):
        yield finding("E-missing", f"task.verbalizer has no word for {label!r}", "/task/verbalizer", remedy="add one")
    for label in sorted(own.keys() - set(s.facts.data.labels)):
        remedy = f"the labels are {', '.join(s.facts.data.labels[:8])}"
        yield finding("E-value", f"{label!r} is not a label of the data", f"/task/verbalizer/{label}", remedy=remedy)
    owners: dict[int, str] = {}
    for label, word in own.items():
        tokens = known.get(word, ())
        if len(tokens) > 1:
            message = f"{word!r} is {len(tokens)} tokens of this model; a label word must be one"
            remedy = "choose a shorter, more usual word"
            yield finding("E-verbalizer-tokens", message, f"/task/verbalizer/{label}", remedy=remedy)
        for other in s.experiment.task.alternatives[label][1:]:
            if len(known.get(other, ())) > 1:
                message = f"{other!r} is {len(known[other])} tokens of this model; a label word must be one"
                remedy = "choose a shorter, more usual word"
                yield finding("E-verbalizer-tokens", message, f"/task/verbalizer/{label}", remedy=remedy)
        if tokens and tokens[0] in owners:
            message = f"the words of {owners[tokens[0]]!r} and {label!r} begin with the same token"
            yield finding("E-verbalizer", message, f"/task/verbalizer/{label}", remedy="choose another word")
        if tokens:
            owners.setdefault(tokens[0], label)
    if wanted(s) > MOST:
        message = f"the words make {wanted(s):,} sets; a search tries {MOST} at most"
        yield finding("E-value", message, "/task/verbalizer", remedy="fewer alternatives, or for fewer labels")


def _constraints(s: Situation) -> Iterator[Diagnostic]:
    limits = s.experiment.constraints
    if limits.ood and not s.facts.data.ood:
        remedy = "name one under data.ood"
        yield finding("E-ood-missing", "out-of-domain evaluation is required, no split is given", "/constraints/ood",
                      remedy=remedy)  # fmt: skip
    if limits.ood and len(s.facts.data.ood) == 1:
        message = "out-of-domain evaluation is required, and there is one such split: it does not foretell another"
        yield finding("W-one-ood", message, "/data/ood", remedy="a second split of another origin (R-135)")
    if limits.gpu_hours is not None and s.facts.device.kind == "cpu":
        message = "gpu_hours is a limit on accelerators; this machine has none, so it binds nothing here"
        yield finding("W-no-gpu-limit", message, "/constraints/gpu_hours", remedy="wall_time limits the clock")
    if s.experiment.model.precision == "bf16" and not s.facts.device.bf16:
        message = f"bf16 is pinned; {s.facts.device.name} emulates it"
        yield finding("W-pin-against-evidence", message, "/model/precision", remedy="leave it out")


def _duplicates(s: Situation) -> Iterator[Diagnostic]:
    train = s.facts.data.train
    twins = [s.facts.data.twin_key(row) for row in range(len(train))]
    groups = Counter(twins)
    repeated = [group for group, count in groups.items() if count > 1]
    if repeated:
        rows = [number for number, group in enumerate(twins, 1) if groups[group] > 1]
        message = f"{train.place}: {len(repeated)} text(s) appear more than once ({_rows(rows)})"
        kept = "they share a fold" if s.facts.data.test is None else "the first of each is used"
        yield finding("W-duplicate-rows", message, "/data/train", remedy=kept)


def _conflicts(s: Situation) -> Iterator[Diagnostic]:
    train = s.facts.data.train
    by_group: dict[str, set[int]] = {}
    for group, label in zip(train.groups, train.labels, strict=True):
        by_group.setdefault(group, set()).add(label)
    torn = [number for number, group in enumerate(train.groups, 1) if len(by_group[group]) > 1]
    if torn:
        message = f"{train.place}: the same text carries different labels ({_rows(torn)})"
        yield finding(
            "W-label-conflict",
            message,
            "/data/train",
            remedy="one of them is wrong; clean before you label more (R-108)",
        )


def _across(s: Situation) -> Iterator[Diagnostic]:
    facts = s.facts
    known = {name: set(split.groups) for name, split in facts.data.splits.items()}
    evaluated = [name for name in known if name not in ("train", *WITHOUT_LABELS)]
    for name, split in facts.data.splits.items():
        if name == "train":
            continue
        # texts without labels may be those of the task
        for other in evaluated if name in WITHOUT_LABELS else ["train"]:
            shared = [number for number, group in enumerate(split.groups, 1) if group in known[other]]
            if shared:
                place = facts.data.splits[other].place
                message = f"{len(shared)} text(s) of {split.place} are in {place}, too ({_rows(shared)})"
                done = "left out (R-095)" if name in WITHOUT_LABELS else "not sampled for training"
                yield finding("W-duplicate-across-splits", message, pointer_of(name), remedy=f"these are {done}")
    validation = facts.data.splits.get("validation")
    if validation is not None:
        yield from _looks_ahead(validation, facts)


def _looks_ahead(validation: SplitFacts, facts: Facts) -> Iterator[Diagnostic]:
    """Texts that choose the arm and then report it."""
    seen = set(validation.groups)
    for split in facts.data.evaluated:
        shared = [number for number, group in enumerate(split.groups, 1) if group in seen]
        if not shared:
            continue
        message = f"{len(shared)} text(s) of {split.place} are in {validation.place}, too ({_rows(shared)})"
        remedy = "arms are chosen on validation rows: take rows that no report is about"
        code = "E-validation-is-test" if len(shared) == len(split) else "W-duplicate-across-splits"
        yield finding(code, message, pointer_of("validation"), remedy=remedy)


def _balance(s: Situation) -> Iterator[Diagnostic]:
    counts = Counter(s.facts.data.train.labels[row] for row in s.pool)
    if counts and max(counts.values()) >= IMBALANCED * sum(counts.values()):
        index, count = counts.most_common(1)[0]
        message = (
            f"{count / sum(counts.values()):.0%} of the rows are {s.facts.data.labels[index]!r}: accuracy misleads"
        )
        yield finding("W-imbalanced", message, "/data/train", remedy="read MCC and macro-F1")


def _sizes(s: Situation) -> Iterator[Diagnostic]:
    scored = s.facts.data.test or s.facts.data.train
    if 0 < len(scored) < SMALL_TEST:
        noise = 1.96 * (0.25 / len(scored)) ** 0.5
        most = "an accuracy near 0.5 carries" if not s.writes and s.marks is None else "a score carries up to"
        message = f"{len(scored)} scored items: {most} +-{noise:.2f} of noise from them alone"
        pointer = "/data/test" if s.facts.data.test else "/data/train"
        yield finding(
            "W-small-test", message, pointer, remedy="more test items, or expect to see large differences only"
        )
