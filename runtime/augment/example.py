"""Examples on their way: seeds that people labelled, and what was made from them."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from fewtune.specs.frozen import Frozen

Origin = Literal["teacher", "synonym", "insert", "swap", "delete"]
"""Who wrote a synthetic example: a teacher, or an operation on a seed."""
Reason = Literal["format", "length", "leak", "near-seed", "near-synthetic", "label", "not-selected"]
"""Why one was left out, in the order of the tests."""


class Seed(Frozen):
    """A labelled example of the user's."""

    fields: dict[str, str]
    """Field -> text."""
    label: int
    """Index into the names of the labels."""


class Candidate(Frozen):
    """A synthetic example, and where it comes from."""

    fields: dict[str, str]
    label: int
    origin: Origin | None = "teacher"
    """None: nobody knows."""
    call: str = ""
    """Hash of the question that it answers; empty: no teacher wrote it."""
    place: int = 0
    """Its place in the answer, or the seed that it was made from."""
    attributes: dict[str, str] = Field(default_factory=dict)
    """What was asked of it beside its label."""
    fault: str = ""
    """Why its answer cannot be read as an example; empty: it can."""


class Rejected(Frozen):
    """A candidate that was left out."""

    candidate: Candidate
    reason: Reason
    detail: str
    """What it is like, or what is wrong with it."""
    value: float | None = None
    """The measured value that decided."""


class Kept(Frozen):
    """A candidate that stays."""

    candidate: Candidate
    quality: float | None
    """Probability that its label is right, by models that never saw it; None where nothing could tell."""
    nearest_seed: float
    """Likeness to the seed that it resembles most."""


def joined(fields: dict[str, str]) -> str:
    """An example's fields as one text."""
    return "\n".join(fields.values())


def texts(examples: Sequence[Seed | Candidate]) -> list[str]:
    """The text of each."""
    return [joined(example.fields) for example in examples]
