"""What the spec says about methods, against strong evidence: baselines left out, full fine-tuning asked for."""

from collections.abc import Iterator, Mapping

from fewtune.compiler.evidence import EVIDENCE
from fewtune.compiler.finding import finding
from fewtune.compiler.resolution import Resolution
from fewtune.compiler.rules.methods import methods
from fewtune.compiler.situation import Choice
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.methods import MethodName

ASKED_FOR: dict[MethodName, tuple[str, tuple[MethodName, ...]]] = {
    "majority": ("R-132", ("majority",)),
    "zero-shot": ("R-132", ("zero-shot",)),
    "in-context": ("R-003", ("in-context", "zero-shot")),
}
"""Method -> the row that wants it in the table, and the arms of which one is enough."""
AGAINST = ("R-023", "R-138")
"""Rows that speak against full fine-tuning."""


def check_methods(resolution: Resolution) -> Iterator[Diagnostic]:
    """Methods that the spec leaves out or asks for, where strong evidence says otherwise."""
    wanted = resolution.situation.experiment.methods
    if wanted.exclude or wanted.include or wanted.arms:
        said = methods(resolution.situation)
        yield from _excluded(resolution, said)
        yield from _asked(resolution, said)


def _excluded(resolution: Resolution, said: Mapping[MethodName, Choice]) -> Iterator[Diagnostic]:
    s = resolution.situation
    if s.experiment.data.noise_shares:
        return  # what wrong labels cost is a question about arms that see labels
    present = {one.arm.method for one in resolution.arms}
    for index, method in enumerate(s.experiment.methods.exclude):
        id, enough = ASKED_FOR.get(method, ("", ()))
        ruled = said.get(method)  # of some tasks no rule says anything about it
        if ruled is not None and ruled.value and ruled.rule == id and not present.intersection(enough):
            yield _against(f"{method} is excluded", id, f"/methods/exclude/{index}", f"keep {method}")


def _asked(resolution: Resolution, said: Mapping[MethodName, Choice]) -> Iterator[Diagnostic]:
    """Full fine-tuning by name; beside a cheaper arm of the spec's own, it is a comparison that R-023 can stand."""
    beside = any(one.arm.trained and one.arm.adaptation != "full" for one in resolution.arms)
    told = set[tuple[str, str]]()
    for one in resolution.arms:
        idea, ruled = one.idea, said.get(one.arm.method)
        if idea.origin == "rules" or one.arm.encoded or ruled is None or ruled.value or ruled.rule not in AGAINST:
            continue
        compared = ruled.rule == "R-023" and (one.arm.adaptation != "full" or (idea.origin == "arms" and beside))
        if not compared and (idea.place, idea.method) not in told:
            told.add((idea.place, idea.method))
            yield _against(f"{one.arm.method} is asked for", ruled.rule, idea.place, "leave it out, or know why")


def _against(what: str, id: str, pointer: str, remedy: str) -> Diagnostic:
    row = EVIDENCE[id]
    return finding(
        "W-pin-against-evidence", f"{what}; {id} ({row.strength}) says: {row.effect}", pointer, remedy=remedy
    )
