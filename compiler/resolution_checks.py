"""Small-data safety on what the rules settled: warm-up, truncation, memory, seeds, and pins that nothing feels."""

from collections.abc import Iterator
from math import ceil

from fewtune.compiler.adaptations import GEOMETRY, felt
from fewtune.compiler.arm import PROMPTED, REGRESSED, Arm
from fewtune.compiler.arm_checks import check_arms
from fewtune.compiler.encoder import network
from fewtune.compiler.feasibility import fits, item_seconds
from fewtune.compiler.finding import finding
from fewtune.compiler.memory import Load, limit_bytes, peak_bytes
from fewtune.compiler.method_checks import check_methods
from fewtune.compiler.notes import LEFT_OUT
from fewtune.compiler.pattern_checks import check_patterns
from fewtune.compiler.resolution import Resolution, ResolvedArm
from fewtune.compiler.rules.demonstrations import CONTEXT
from fewtune.compiler.situation import Situation
from fewtune.compiler.weighing import fires
from fewtune.specs.data import pointer_of
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.methods import LOW_RANK, METHODS, Adaptation, ArmPin, Pins, Preference

ROOM_FOR_TEXT = 8
"""Tokens of text below which a pattern leaves nothing to read."""


def check_resolution(resolution: Resolution) -> list[Diagnostic]:
    """Everything that the settled values show."""
    checks = (
        _arms, _validation, _wordless, _memory, _latency, _untrained, _warmup, _truncation, _words, _seeds,
        _halving, _pins, _weak_model, check_arms, check_methods, check_patterns,
    )  # fmt: skip
    return [found for check in checks for found in check(resolution)]


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
    known = facts.model.pattern_tokens
    for resolved in resolution.arms:
        pattern = max(resolved.arm.patterns or (resolved.arm.pattern or "",), key=lambda text: known.get(text, 0))
        if resolved.arm.pattern is None or pattern in seen:
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
        for split in facts.data.evaluated:
            long = sum(tokens + fixed > limit for tokens in split.tokens)
            if long > 0.05 * len(split):
                message = (
                    f"{long} of {len(split)} texts of {split.place} are cut to {limit} tokens, which training needs"
                )
                remedy = "training texts as long as these, or shorter ones here"
                yield finding("W-truncated", message, pointer_of(split.name), remedy=remedy)
        yield from _cut_targets(resolution.situation, resolved.arm)


def _cut_targets(s: Situation, arm: Arm) -> Iterator[Diagnostic]:
    """Targets that end where the arm has to stop, before their own end."""
    if arm.generation is None:
        return
    most = arm.generation.max_new_tokens
    long = sum(tokens >= most for tokens in s.target_lengths)
    if long > 0.05 * len(s.target_lengths):
        message = f"{long} of {len(s.target_lengths)} targets are cut to {most} tokens"
        yield finding("W-truncated", message, "/data/train", remedy="methods.pin.max_new_tokens allows more")


def _validation(resolution: Resolution) -> Iterator[Diagnostic]:
    """Whether validation is possible as settled, and whether its settings are felt."""
    s, asked = resolution.situation, resolution.situation.experiment.evaluation
    held = [level for level in s.levels if level.scheme == "held-out"]
    for level in held:
        if level.validation < 2 or level.train < s.facts.data.strata:
            message = f"at n = {level.n}, {level.validation} would validate and {level.train} train"
            remedy = 'evaluation.validation = "fixed-schedule", or more labels'
            yield finding("E-validation-empty", message, "/evaluation/validation", remedy=remedy)
    if asked.validation_fraction is not None and not held:
        message = "validation_fraction has no effect: nothing is held out"
        yield finding("E-no-effect", message, "/evaluation/validation_fraction", remedy="remove it")
    if asked.model_seeds is not None and not any(resolved.arm.trained for resolved in resolution.arms):
        message = "model_seeds has no effect: no arm is trained"
        yield finding("E-no-effect", message, "/evaluation/model_seeds", remedy="remove it")


def _wordless(resolution: Resolution) -> Iterator[Diagnostic]:
    """Arms with a pattern, where the model cannot tell the label words apart."""
    for resolved in resolution.arms:
        wordless = resolution.situation.verbalizer is None and not resolution.situation.writes
        if resolved.arm.formulation in ("pattern", "in-context") and wordless:
            message = f"{resolved.arm.name}: there are no label words that this model can tell apart"
            remedy = "give task.verbalizer, or use a head"
            yield finding("E-verbalizer", message, resolved.idea.place, remedy=remedy)


def _memory(resolution: Resolution) -> Iterator[Diagnostic]:
    """Arms that the spec asks for, and ranks that it pins, which do not fit."""
    s = resolution.situation
    limit = limit_bytes(s.experiment, s.facts.device)
    for resolved in resolution.arms:
        arm, idea = resolved.arm, resolved.idea
        message = f"{arm.name} does not fit into {limit / 1e9:.1f} GB"
        own = s.through(arm.formulation)
        if idea.origin != "rules" and arm.reads and not fits(own, arm.adaptation):
            yield finding("E-memory", message, idea.place, remedy="a smaller model or more memory")
        elif arm.lora and idea.pins.rank and _least_peak(own, resolved) > limit:
            yield finding("E-memory", message, idea.pointer("rank"), remedy="a lower rank, or more memory")


def _least_peak(s: Situation, resolved: ResolvedArm) -> int:
    """Predicted peak of the arm, one example at a time."""
    arm = resolved.arm
    new = arm.generation.max_new_tokens if arm.generation else 0
    depth = arm.depth(s.facts.model.layers)
    load = Load(arm.adaptation, arm.precision, resolved.trainable, arm.compared, arm.max_tokens + new, new, depth)
    return peak_bytes(s.facts.model, s.facts.device, load)


def _latency(resolution: Resolution) -> Iterator[Diagnostic]:
    """Arms that the spec asks for and that are too slow for it."""
    s = resolution.situation
    limit = s.experiment.constraints.latency
    for resolved in resolution.arms if limit else ():
        arm = resolved.arm
        takes = item_seconds(s.through(arm.formulation), CONTEXT if arm.formulation == "in-context" else 0)
        if limit and resolved.idea.origin != "rules" and arm.reads and takes > limit.seconds:
            message = f"{arm.name}: one item takes about {ceil(takes * 1000)} ms, {limit} is the limit"
            yield finding("E-conflict", message, resolved.idea.place, remedy="leave the arm out, or allow more time")


def _untrained(resolution: Resolution) -> Iterator[Diagnostic]:
    """What keeps every trained arm away: the latency, or the memory."""
    s = resolution.situation
    if any(resolved.arm.trained for resolved in resolution.arms):
        return
    absent = [noted.choice for noted in resolution.noted if noted.pointer == LEFT_OUT]
    if not any(choice.rule == "fact" and METHODS[choice.value][1] != "none" for choice in absent):
        return
    ways: tuple[Adaptation, ...] = (*LOW_RANK, "full")
    fitting = any(fits(s, way) for way in ways)
    if fitting and s.experiment.constraints.latency is None:
        return  # the spec asks for none
    if fitting:
        message = f"no trained arm answers one item within {s.experiment.constraints.latency}"
        yield finding("W-cut", message, "/constraints/latency", remedy="a smaller model, or more time for one item")
    else:
        limit = limit_bytes(s.experiment, s.facts.device) / 1e9
        message = f"no way of training {s.facts.model.place} fits into {limit:.1f} GB"
        pointer = "/constraints/gpu_memory" if s.experiment.constraints.gpu_memory else "/model"
        yield finding("E-memory", message, pointer, remedy="a smaller model or more memory")


def _words(resolution: Resolution) -> Iterator[Diagnostic]:
    s = resolution.situation
    spoken = any(resolved.arm.formulation in ("pattern", "in-context") for resolved in resolution.arms)
    words = s.verbalizer.words if spoken and s.verbalizer and s.experiment.task.verbalizer is None else {}
    long = [word for word in words.values() if len(s.facts.model.word_tokens.get(word, ())) > 1]
    if long:
        message = f"{', '.join(map(repr, long[:3]))}: recognised by the first token only"
        yield finding("W-first-token", message, "/task", remedy="task.verbalizer with one-token words")


def _seeds(resolution: Resolution) -> Iterator[Diagnostic]:
    if resolution.situation.data_seeds == 1:
        message = "one data seed: intervals cover the scored items, not the choice of examples"
        yield finding("W-single-seed", message, "/evaluation/data_seeds", remedy="three at least, five are preferred")


def _halving(resolution: Resolution) -> Iterator[Diagnostic]:
    """Whether there is anything to halve, and anything to halve by."""
    s, at = resolution.situation, "/evaluation/halving"
    cut = any(noted.decided_by == "budget" and "/constraints/" not in noted.pointer for noted in resolution.noted)
    if s.experiment.evaluation.halving is None or resolution.rungs or cut:  # what a limit cut is said elsewhere
        return
    if not s.levels[-1].validation:
        message = (
            f"nothing is held out at n = {s.largest_n}: halving goes by validation rows, not by parts of the samples"
        )
        remedy = 'evaluation.validation = "held-out", a validation split, or no halving'
        yield finding("E-no-effect", message, at, remedy=remedy)
    else:
        arms = len(resolution.candidates)
        message = f"halving has no effect: {arms} trained arm{'s' * (arms != 1)}, {s.data_seeds} data seed(s)"
        yield finding("E-no-effect", message, at, remedy="remove it, or compare more arms on more seeds")


OF_LORA = ("rank", "alpha", "rslora", "dropout", "lr_ratio", "targets")
"""Pins of the low-rank update."""
OF_PREFERENCE: dict[str, tuple[Preference, ...]] = {
    "beta": ("dpo", "kto", "simpo"), "reward_margin": ("simpo",), "odds_weight": ("orpo",),
}  # fmt: skip
"""Pin -> the ways to learn from preferences that take it."""


def _felt(pin: str, arm: Arm, resolution: Resolution) -> bool:
    """Whether a pin changes this arm."""
    if pin == "demonstrations":
        return arm.formulation == "in-context" or any(recipe.demonstrations for recipe in arm.recipes)
    if pin == "demonstrations_by":
        return arm.formulation == "in-context"
    if pin == "calibration":
        asked = arm.formulation in ("pattern", "in-context") and not arm.trained and arm.generation is None
        return asked or arm.distillation is not None
    if pin == "pattern_use":
        return arm.formulation in PROMPTED
    if pin == "replay":
        return any(recipe.pretraining_steps for recipe in arm.recipes)
    if pin in ("temperature", "label_weight", "context"):
        return arm.distillation is not None
    if pin == "penalty":
        return arm.formulation in REGRESSED
    if pin == "pair_iterations":
        return arm.objective == "contrastive"
    if pin in ("pretraining_steps", "early_stopping", "objective") and _apart(pin, arm):
        return False
    if pin == "max_new_tokens":
        return arm.generation is not None
    if pin == "early_stopping":
        return arm.trained and any(level.validation for level in resolution.situation.levels)
    if pin in OF_PREFERENCE:
        return arm.preference is not None and arm.preference.kind in OF_PREFERENCE[pin]
    if pin in ("dropout", "objective") and arm.preference is not None:
        return False
    if pin in GEOMETRY:
        return felt(pin, arm.adaptation)
    return arm.adaptation in LOW_RANK if pin in OF_LORA else arm.trained


def _apart(pin: str, arm: Arm) -> bool:
    """Whether an arm with an encoder goes without what other trained arms take."""
    return arm.objective == "contrastive" if pin in ("early_stopping", "objective") else arm.encoded


def _pins(resolution: Resolution) -> Iterator[Diagnostic]:
    """Pins that no arm feels, of the common table and of each written arm; targets that the model does not have."""
    wanted = resolution.situation.experiment.methods
    tables: list[tuple[str, Pins]] = [("/methods/pin", wanted.pin)]
    tables += [(f"/methods/arms/{index}", arm) for index, arm in enumerate(wanted.arms)]
    facts = resolution.situation.facts
    known = {linear.name for linear in facts.model.linears}
    for place, pins in tables:
        common = place == "/methods/pin"
        own = [resolved for resolved in resolution.arms if common or resolved.idea.place == place]
        for name in Pins.model_fields:
            arms = [resolved.arm for resolved in own if resolved.idea.takes(name, place)]
            if getattr(pins, name) is None or any(_felt(name, arm, resolution) for arm in arms):
                continue
            message = f"{name} is pinned, and " + ("no arm takes it" if common else "this arm does not have it")
            yield finding("E-no-effect", message, f"{place}/{name}", remedy="remove it, or use such a method")
        if isinstance(pins, ArmPin):
            known = {linear.name for linear in network(facts, METHODS[pins.method][0]).linears}
        for target in pins.targets if isinstance(pins.targets, tuple) else ():
            if target not in known:
                message = f"the model has no linear layer {target!r}; it has {', '.join(sorted(known))}"
                yield finding("E-value", message, f"{place}/targets", remedy="use these names")


def _weak_model(resolution: Resolution) -> Iterator[Diagnostic]:
    """Small decoders where published ones did not learn the task, if an arm of the plan is one."""
    s = resolution.situation
    if not fires(s, "R-081") or not any(one.arm.reads and not one.arm.encoded for one in resolution.arms):
        return
    pairs = s.experiment.task.type == "pair-classification"
    message = (
        f"decoders of up to 350M on {'text pairs' if pairs else 'acceptability'} at n = {s.largest_n}: published runs "
        "stay near the majority class (R-081); expect little"
    )
    other = "encoder+full" if pairs else "setfit"
    remedy = f"a larger model, more labels, or an encoder: methods.include names {other}"
    yield finding("W-weak-model", message, "/model", remedy=remedy)
