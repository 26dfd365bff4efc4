"""When a row of evidence holds, as tests of facts: "labels < 250", "adaptation in lora qlora"."""

import operator
import re
from collections.abc import Callable
from typing import Literal, Self, get_args

from fewtune.specs.frozen import Frozen

Operator = Literal["=", "in", "<", "<=", ">", ">="]
Value = bool | int | float | str

FORM = re.compile(r"(?P<fact>[a-z0-9_]+) (?P<operator>=|in|<=?|>=?) (?P<wanted>\S.*)")
SIZES = {"k": 1e3, "M": 1e6, "B": 1e9}
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class Condition(Frozen):
    """One test of one fact."""

    fact: str
    operator: Operator
    wanted: str
    """A word, several words ("in"), or a number that may end in k, M or B."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a test.

        >>> Condition.parse("parameters <= 350M")
        Condition(fact='parameters', operator='<=', wanted='350M')

        Raises:
            ValueError: for what is no test.
        """
        found = FORM.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no test: FACT {'|'.join(get_args(Operator))} VALUE")
        condition = cls.model_validate(found.groupdict())
        if condition.operator in COMPARE:
            number(condition.wanted)
        return condition

    def __str__(self) -> str:
        """As it is written.

        >>> str(Condition.parse("task in generation summarisation"))
        'task in generation summarisation'
        """
        return f"{self.fact} {self.operator} {self.wanted}"

    def holds(self, value: Value) -> bool:
        """Whether a fact passes.

        >>> Condition.parse("parameters <= 350M").holds(135_000_000), Condition.parse("instruct = yes").holds(False)
        (True, False)
        """
        if self.operator in COMPARE:
            return not isinstance(value, str) and COMPARE[self.operator](value, number(self.wanted))
        return said(value) in (self.wanted.split() if self.operator == "in" else [self.wanted])


def number(text: str) -> float:
    """A number with its size: "350M".

    Raises:
        ValueError: for what is none.
    """
    size = SIZES.get(text[-1:], 1.0)
    return float(text[:-1] if text[-1:] in SIZES else text) * size


def said(value: Value) -> str:
    """A fact as conditions write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def kept_out(conditions: tuple[Condition, ...], observe: Callable[[str], Value | None]) -> Condition | None:
    """The first test that does not pass; a fact that is not known passes none."""
    for test in conditions:
        value = observe(test.fact)
        if value is None or not test.holds(value):
            return test
    return None
