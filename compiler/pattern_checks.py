"""Searches over patterns and ensembles of them that cannot be, or would change nothing."""

from collections.abc import Iterator

from fewtune.compiler.finding import finding
from fewtune.compiler.resolution import Resolution, ResolvedArm
from fewtune.specs.diagnostic import Diagnostic


def check_patterns(resolution: Resolution) -> Iterator[Diagnostic]:
    """Everything about several patterns and several label words."""
    yield from _unused(resolution)
    for resolved in resolution.arms:
        yield from _alone(resolved)
    alternatives = resolution.situation.experiment.task.alternatives
    several = [label for label, words in alternatives.items() if len(words) > 1]
    if several and not any(resolved.arm.verbalizers for resolved in resolution.arms):
        message = f"{several[0]!r} has several words, and no arm searches among them"
        remedy = 'methods.pin.pattern_use = "search", or one word'
        yield finding("E-no-effect", message, f"/task/verbalizer/{several[0]}", remedy=remedy)


def _unused(resolution: Resolution) -> Iterator[Diagnostic]:
    """Uses that a table asks for and that no arm has."""
    wanted = resolution.situation.experiment.methods
    tables = [("/methods/pin", wanted.pin.pattern_use)]
    tables += [(f"/methods/arms/{index}", arm.pattern_use) for index, arm in enumerate(wanted.arms)]
    for place, asked in tables:
        at = f"{place}/pattern_use"
        found = {one.arm.pattern_use for one in resolution.arms if one.idea.pointer("pattern_use") == at}
        arms = [one for one in resolution.arms if one.idea.takes("pattern_use", place)]
        for use in asked or ():
            if arms and use not in found:  # a pin that no arm takes is found elsewhere
                message = f"no arm here can have pattern_use = {use!r}"
                remedy = "search needs labels that train or are shown; an ensemble needs label words, not texts"
                yield finding("E-no-effect", message, at, remedy=remedy)


def _alone(resolved: ResolvedArm) -> Iterator[Diagnostic]:
    """Arms with one candidate, or with a teacher, whose answers belong to one pattern."""
    arm, at = resolved.arm, resolved.idea.pointer("pattern_use")
    if arm.pattern_use == "each":
        return
    if arm.distillation is not None:
        message = f"{arm.name}: teacher and student share one pattern"
        yield finding("E-conflict", message, at, remedy='pattern_use = "each", or objective = "supervised"')
    if len(arm.patterns) * max(1, len(arm.verbalizers)) < 2:
        message = f"{arm.name}: there is one pattern" + (" and one set of words" if arm.verbalizers else "")
        yield finding("E-no-effect", message, at, remedy="more task.patterns, or leave it out")
