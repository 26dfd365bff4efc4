"""What only preferences can have wrong: methods that need pairs where texts are judged one by one."""

from collections.abc import Iterator

from fewtune.compiler.finding import finding
from fewtune.compiler.situation import Situation
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.methods import METHODS, PREFERENCES, MethodName


def wants_pairs(method: MethodName) -> bool:
    """Whether the method cannot learn from texts that are judged one by one; supervision would learn bad ones, too."""
    return METHODS[method][1] != "none" and PREFERENCES.get(method) != "kto"


def check_preferences(s: Situation) -> Iterator[Diagnostic]:
    """Named methods that these rows cannot teach."""
    if s.preferences != "signals":
        return
    wanted = s.experiment.methods
    named = [(f"/methods/include/{index}", name) for index, name in enumerate(wanted.include)]
    named += [(f"/methods/arms/{index}/method", arm.method) for index, arm in enumerate(wanted.arms)]
    for place, name in named:
        if wants_pairs(name):
            message = f"{name} learns from pairs, and each row has one text with a signal"
            yield finding("E-conflict", message, place, remedy="kto, or data.rejected with the worse text of each row")
