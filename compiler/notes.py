"""Choices with their places, collected while one resolution runs; pins and cuts as choices."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fewtune.compiler.decision import Decision
from fewtune.compiler.evidence import EVIDENCE
from fewtune.compiler.rules.data_seeds import FLOOR
from fewtune.compiler.situation import ArmSituation, Choice, Situation, cited, otherwise
from fewtune.compiler.weighing import weighed
from fewtune.specs.diagnostic import Diagnostic

S = TypeVar("S", bound=Situation)

LEFT_OUT = "/left_out/-"
"""Where a method or arm that is not run is noted; its index follows when all are known."""


@dataclass(frozen=True, kw_only=True)
class Noted:
    """A choice with its place: a JSON pointer, relative to the arm for arms."""

    pointer: str
    decided_by: str
    choice: Choice

    def decision(self, prefix: str = "") -> Decision:
        """The choice as a record of the plan."""
        return self.choice.decision(prefix + self.pointer, self.decided_by)


class Notes:
    """Collects choices and what is to be said about pins while one resolution runs."""

    def __init__(self) -> None:
        """Start empty."""
        self.noted: list[Noted] = []
        self.warnings: list[Diagnostic] = []

    def settle(
        self, rule: Callable[[S], Choice], situation: S, pointer: str, pinned: Any = None, spec_pointer: str = ""
    ) -> Any:
        """Ask the rule, let a pin win, keep the choice, return the value."""
        choice = weighed(rule(situation), (rule.__name__,), situation)
        if pinned is not None:
            self._weigh(pinned, choice, situation, pointer, spec_pointer)
            choice = pin(pinned, choice)
        self.noted.append(Noted(pointer=pointer, decided_by=rule.__name__, choice=choice))
        return choice.value

    def note(self, pointer: str, decided_by: str, choice: Choice) -> None:
        """Keep a choice that was made elsewhere."""
        self.noted.append(Noted(pointer=pointer, decided_by=decided_by, choice=choice))

    def _weigh(self, pinned: Any, ruled: Choice, s: Situation, pointer: str, spec_pointer: str) -> None:
        field = pointer.rsplit("/", 1)[-1]
        row = EVIDENCE.get(ruled.rule)
        contradicts = CONTRADICTS.get(field)
        if row and row.strength in ("strong", "local") and contradicts and contradicts(pinned, ruled, s):
            self.warnings.append(
                Diagnostic(
                    code="W-pin-against-evidence",
                    severity="warning",
                    message=f"{field} is pinned to {pinned}; {row.id} ({row.strength}) says: {row.effect}",
                    pointer=spec_pointer,
                    expected=str(ruled.value),
                    got=str(pinned),
                )
            )


FULL_RATES = (5e-6, 5e-5)
"""The least and the most that R-048 gives full fine-tuning."""
ALPHAS = (16.0, 32.0)
"""The fixed values of R-040; the third is twice the rank."""


def _rate(pinned: float, ruled: Choice, _: Situation) -> bool:
    least, most = FULL_RATES if ruled.rule == "R-048" else (ruled.value / 10, ruled.value * 10)
    return not least <= pinned <= most


def _alpha(pinned: float, _: Choice, s: Situation) -> bool:
    """Whether it is below the rank and all conventions, or above them all."""
    rank = s.rank if isinstance(s, ArmSituation) else 0
    return not min(rank, *ALPHAS) <= pinned <= max(2 * rank, *ALPHAS)


CONTRADICTS: dict[str, Callable[[Any, Choice, Situation], bool]] = {
    "learning_rate": _rate,
    "alpha": _alpha,
    "steps": lambda pinned, ruled, _: 2 * pinned < ruled.value,
    "targets": lambda pinned, ruled, _: set(pinned) != set(ruled.value),
    "data_seeds": lambda pinned, *_: pinned < FLOOR,
}
"""Field -> whether a pinned value goes against what the evidence asks for, beyond the evidence's own tolerance."""


def pin(value: Any, ruled: Choice) -> Choice:
    """The user's value, with the rule's as the alternative."""
    same = value == ruled.value
    return Choice(
        value=value,
        because="the spec pins it" + ("; the rules would say the same" if same else ""),
        rule="pin",
        fired=cited(ruled),
        kept_out=ruled.kept_out,
        alternatives=() if same else (otherwise(ruled.value, f"the rules: {ruled.because}"),),
        flips_when="the spec leaves it out",
    )


def cut(value: Any, ruled: Choice, because: str) -> Choice:
    """A value that a limit made smaller than the rule's."""
    if value == ruled.value:
        return ruled
    return Choice(
        value=value,
        because=because,
        rule="budget",
        fired=cited(ruled),
        kept_out=ruled.kept_out,
        alternatives=(otherwise(ruled.value, f"does not fit the limits; {ruled.because}"),),
        flips_when="more time",
    )
