"""Small-data safety: what must be known before any computing starts.

Each check is a pure function that yields findings; `before` runs on spec and facts, `after` on what the rules settled.
All findings are collected, none hides another.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from fewtune.compiler.facts import Facts, SplitFacts
from fewtune.compiler.memory import limit_bytes
from fewtune.compiler.resolve import Resolution, budgets
from fewtune.compiler.situation import Situation
from fewtune.specs.diagnostic import Diagnostic

ROOM_FOR_TEXT = 8
"""Tokens of text below which a pattern leaves nothing to read."""
SMALL_TEST = 100
RARE = 3


def finding(code: str, message: str, pointer: str, *, remedy: str | None = None, got: str | None = None) -> Diagnostic:
    """A finding whose severity is in its code's first letter."""
    severity = "error" if code.startswith("E-") else "warning"
    return Diagnostic(code=code, severity=severity, message=message, pointer=pointer, remedy=remedy, got=got)


def pointer_of(split: str) -> str:
    """Where the spec names this split."""
    return f"/data/{split}" if split in ("train", "validation", "test", "unlabelled") else f"/data/ood/{split}"


def before(s: Situation) -> list[Diagnostic]:
    """Everything that spec and facts alone show."""
    checks = (_missing, _labels, _budget_rows, _validation_rows, _verbalizer, _constraints, _duplicates, _sizes)
    return [found for check in checks for found in check(s)]


def after(resolution: Resolution) -> list[Diagnostic]:
    """Everything that the settled values show."""
    checks = (_arms, _warmup, _truncation, _memory, _seeds, _pins_without_effect, _weak_model)
    return [found for check in checks for found in check(resolution)]


def _rows(numbers: Iterable[int]) -> str:
    shown = sorted(numbers)
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return f"row{'s' if len(shown) > 1 else ''} {', '.join(map(str, shown[:5]))}{more}"


def _missing(s: Situation) -> Iterator[Diagnostic]:
    for name, split in s.facts.data.splits.items():
        if split.missing_text:
            message = f"{split.place}: no text in {_rows(split.missing_text)}"
            yield finding("E-text-missing", message, pointer_of(name), remedy="remove these rows or fill them in")
        if split.missing_label and name != "unlabelled":
            message = f"{split.place}: no label in {_rows(split.missing_label)}"
            remedy = "label these rows, or move them to data.unlabelled"
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
        if split.unknown_labels and name != "unlabelled":
            shown = ", ".join(map(repr, split.unknown_labels[:4]))
            message = f"{split.place}: labels that the training rows do not have: {shown}"
            yield finding("E-label-unknown", message, pointer_of(name), remedy="use the same label names everywhere")
    for index in present:
        if counts[index] < RARE:
            message = f"the label {s.facts.data.labels[index]!r} has {counts[index]} training row(s)"
            yield finding("W-rare-label", message, "/data/train", remedy="a few more of it help most")


def _budget_rows(s: Situation) -> Iterator[Diagnostic]:
    counts = Counter(s.facts.data.train.labels[row] for row in s.pool)
    for n, per_class in budgets(s):
        if n > len(s.pool):
            message = f"the label budget is {n}, {s.facts.data.train.place} has {len(s.pool)} s.pool rows"
            remedy = f'label_budget = "all" uses the {len(s.pool)} there are'
            yield finding("E-too-few-rows", message, "/data/label_budget", remedy=remedy)
        elif per_class and min(counts.values()) < per_class:
            rarest = min(counts, key=lambda index: counts[index])
            message = f"{per_class} of each label are asked for; {s.facts.data.labels[rarest]!r} has {counts[rarest]}"
            yield finding("E-too-few-rows", message, "/data/label_budget/per_class", remedy="ask for fewer")
        elif n < len(s.facts.data.labels) and n < len(s.pool):
            message = f"{n} labelled examples cannot hold all {len(s.facts.data.labels)} labels"
            yield finding("E-too-few-rows", message, "/data/label_budget", remedy="at least one example of each label")
    if s.facts.data.test is None and s.pool and min(counts.values()) < 2:
        rarest = min(counts, key=lambda index: counts[index])
        message = (
            f"no test split, and {s.facts.data.labels[rarest]!r} has one row: it cannot be both trained on and scored"
        )
        yield finding("E-too-few-rows", message, "/data/train", remedy="add rows of this label or give data.test")


def _validation_rows(s: Situation) -> Iterator[Diagnostic]:
    asked, data = s.experiment.evaluation, s.experiment.data
    split = s.facts.data.splits.get("validation")
    if split is not None and len(split) < 2:
        message = f"the validation split has {len(split)} row(s)"
        yield finding("E-validation-empty", message, "/data/validation", remedy="leave it out: the rules then decide")
    for n, _ in budgets(s) if asked.validation == "held-out" and split is None else ():
        rows = round(n * (asked.validation_fraction or 0.2))
        if rows < 2 or n - rows < len(s.facts.data.labels):
            message = f"of {n} labels, {rows} would validate and {n - rows} train"
            yield finding(
                "E-validation-empty", message, "/evaluation/validation", remedy="use fixed-schedule at this n"
            )
    if asked.validation_fraction is not None and (asked.validation == "fixed-schedule" or split is not None):
        message = "validation_fraction has no effect: nothing is held out"
        yield finding("E-no-effect", message, "/evaluation/validation_fraction", remedy="remove it")
    if asked.folds is not None and data.test is not None:
        message = "folds has no effect: there is a test split"
        yield finding("E-no-effect", message, "/evaluation/folds", remedy="remove folds, or remove data.test")


def _verbalizer(s: Situation) -> Iterator[Diagnostic]:
    own, known = s.experiment.task.verbalizer, s.facts.model.word_tokens
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
        if tokens and tokens[0] in owners:
            message = f"the words of {owners[tokens[0]]!r} and {label!r} begin with the same token"
            yield finding("E-verbalizer", message, f"/task/verbalizer/{label}", remedy="choose another word")
        if tokens:
            owners.setdefault(tokens[0], label)


def _constraints(s: Situation) -> Iterator[Diagnostic]:
    limits = s.experiment.constraints
    if limits.ood and not s.facts.data.ood:
        remedy = "name one under data.ood"
        yield finding("E-ood-missing", "out-of-domain evaluation is required, no split is given", "/constraints/ood",
                      remedy=remedy)  # fmt: skip
    if limits.gpu_hours is not None and s.facts.device.kind == "cpu":
        message = "gpu_hours is a limit on accelerators; this machine has none, so it binds nothing here"
        yield finding("W-no-gpu-limit", message, "/constraints/gpu_hours", remedy="wall_time limits the clock")
    if s.experiment.model.precision == "bf16" and not s.facts.device.bf16:
        message = f"bf16 is pinned; {s.facts.device.name} emulates it"
        yield finding("W-pin-against-evidence", message, "/model/precision", remedy="leave it out")


def _duplicates(s: Situation) -> Iterator[Diagnostic]:
    train = s.facts.data.train
    groups = Counter(train.groups)
    repeated = [group for group, count in groups.items() if count > 1]
    if repeated:
        rows = [number for number, group in enumerate(train.groups, 1) if groups[group] > 1]
        message = f"{train.place}: {len(repeated)} text(s) appear more than once ({_rows(rows)})"
        kept = "they share a fold" if s.facts.data.test is None else "the first of each is used"
        yield finding("W-duplicate-rows", message, "/data/train", remedy=kept)
    by_group: dict[str, set[int]] = {}
    for group, label in zip(train.groups, train.labels, strict=True):
        by_group.setdefault(group, set()).add(label)
    torn = [number for number, group in enumerate(train.groups, 1) if len(by_group[group]) > 1]
    if torn:
        message = f"{train.place}: the same text carries different labels ({_rows(torn)})"
        yield finding("W-label-conflict", message, "/data/train", remedy="one of them is wrong")
    yield from _across(train, s.facts)


def _across(train: SplitFacts, facts: Facts) -> Iterator[Diagnostic]:
    own = set(train.groups)
    for name, split in facts.data.splits.items():
        shared = [number for number, group in enumerate(split.groups, 1) if group in own]
        if shared and name != "train":
            message = f"{len(shared)} text(s) of {split.place} are in {train.place}, too ({_rows(shared)})"
            remedy = "these are not sampled for training" if name != "unlabelled" else None
            yield finding("W-duplicate-across-splits", message, pointer_of(name), remedy=remedy)


def _sizes(s: Situation) -> Iterator[Diagnostic]:
    scored = s.facts.data.test or s.facts.data.train
    if 0 < len(scored) < SMALL_TEST:
        noise = 1.96 * (0.25 / len(scored)) ** 0.5
        message = f"{len(scored)} scored items: an accuracy near 0.5 carries +-{noise:.2f} of noise from them alone"
        pointer = "/data/test" if s.facts.data.test else "/data/train"
        yield finding(
            "W-small-test", message, pointer, remedy="more test items, or expect to see large differences only"
        )


def _arms(resolution: Resolution) -> Iterator[Diagnostic]:
    if not resolution.arms:
        remedy = "exclude fewer methods"
        yield finding("E-no-arm", "every method is excluded or impossible", "/methods", remedy=remedy)


def _warmup(resolution: Resolution) -> Iterator[Diagnostic]:
    for resolved in resolution.arms:
        for recipe in resolved.arm.recipes:
            if recipe.steps and recipe.warmup_steps >= recipe.steps:
                message = f"{resolved.arm.name}: {recipe.warmup_steps} of {recipe.steps} steps warm up"
                remedy = "a smaller warmup_ratio, or more steps"
                yield finding("E-warmup", message, "/methods/pin/warmup_ratio", remedy=remedy)


def _truncation(resolution: Resolution) -> Iterator[Diagnostic]:
    facts, seen = resolution.situation.facts, set[str]()
    for resolved in resolution.arms:
        pattern = resolved.arm.pattern
        if pattern is None or pattern in seen:
            continue
        seen.add(pattern)
        fixed, limit = facts.model.pattern_tokens.get(pattern, 0), resolved.arm.max_tokens
        if fixed + ROOM_FOR_TEXT > limit:
            message = f"the pattern alone takes {fixed} of {limit} tokens: no room for text and label"
            yield finding("E-target-truncated", message, "/task/patterns", remedy="a shorter pattern")
            continue
        long = sum(tokens + fixed > limit for tokens in facts.data.train.tokens)
        if long > 0.05 * len(facts.data.train):
            message = f"{long} of {len(facts.data.train)} training texts are cut to {limit} tokens"
            yield finding("W-truncated", message, "/data/train", remedy="shorter texts say the same, if you have them")


def _memory(resolution: Resolution) -> Iterator[Diagnostic]:
    s = resolution.situation
    wanted = s.experiment.methods
    if any(resolved.arm.trained for resolved in resolution.arms) or wanted.exclude:
        return
    limit = limit_bytes(s.experiment, s.facts.device) / 1e9
    refused = [noted for noted in resolution.noted if noted.pointer.startswith("/left_out/")]
    if any("does not fit" in noted.choice.because for noted in refused):
        message = f"no way of training {s.facts.model.place} fits into {limit:.1f} GB"
        pointer = "/constraints/gpu_memory" if s.experiment.constraints.gpu_memory else "/model"
        yield finding("E-memory", message, pointer, remedy="a smaller model or more memory")


def _seeds(resolution: Resolution) -> Iterator[Diagnostic]:
    if resolution.situation.data_seeds == 1:
        message = "one data seed: intervals cover the scored items, not the choice of examples"
        yield finding("W-single-seed", message, "/evaluation/data_seeds", remedy="three at least, five are preferred")


def _pins_without_effect(resolution: Resolution) -> Iterator[Diagnostic]:
    arms = [resolved.arm for resolved in resolution.arms]
    pins = resolution.situation.experiment.methods.pin
    for name, field in type(pins).model_fields.items():
        if getattr(pins, name) == field.default:
            continue
        lora_only = name in ("rank", "alpha", "targets")
        felt = any(
            arm.formulation == "in-context" if name == "demonstrations" else arm.adaptation == "lora" if lora_only
            else arm.trained for arm in arms
        )  # fmt: skip
        if not felt:
            message = f"{name} is pinned, and no arm has it"
            yield finding("E-no-effect", message, f"/methods/pin/{name}", remedy="remove it, or include such a method")
    known = {linear.name for linear in resolution.situation.facts.model.linears}
    for target in pins.targets if isinstance(pins.targets, tuple) else ():
        if target not in known:
            message = f"the model has no linear layer {target!r}; it has {', '.join(sorted(known))}"
            yield finding("E-value", message, "/methods/pin/targets", remedy="use these names")


def _weak_model(resolution: Resolution) -> Iterator[Diagnostic]:
    s = resolution.situation
    pair = s.experiment.task.type == "pair-classification"
    few = s.largest_n <= 128 * len(s.label_names)
    if pair and few and s.facts.model.parameters <= 350_000_000:
        message = (
            f"decoders of up to 350M on text pairs at n = {s.largest_n}: published runs stay near the majority class "
            "(R-081); expect little"
        )
        yield finding("W-weak-model", message, "/model", remedy="a larger model, or more labels")
