"""What was chosen for one field, by which evidence, and why."""

from typing import Any, Literal

from pydantic import Field

from fewtune.specs.frozen import Frozen

Strength = Literal["strong", "mixed", "folklore", "local", "given"]
"""strong: several studies or a large controlled one. mixed: evidence both ways, or one good study. folklore: a
recommendation without usable evidence. local: measured by this project or in this workspace. given: not a matter of
evidence (the user's pin, a fact, arithmetic)."""


class Alternative(Frozen):
    """What else could have been chosen."""

    value: Any
    why_not: str
    evidence: tuple[str, ...] = ()


class Decision(Frozen):
    """One resolved value with its reasons."""

    field: str
    """JSON pointer into the plan."""
    value: Any
    rule: str
    """The evidence that decided (R-049), or "pin", "fact", "budget"."""
    decided_by: str
    """The deciding function: a file of compiler/rules."""
    because: str
    strength: Strength
    source: str
    """Where the evidence stands."""
    evidence: tuple[str, ...] = ()
    """All evidence rows that were weighed, the one that decided first."""
    kept_out: dict[str, str] = Field(default_factory=dict)
    """Rows about the same that do not apply here -> the test of a fact that fails: "labels < 250"."""
    alternatives: tuple[Alternative, ...] = ()
    flips_when: str | None = None
    """What would change the value."""
    pinned: bool = False
