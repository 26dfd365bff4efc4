"""What is to be decided about a text."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator
from pydantic_core import PydanticCustomError

from fewtune.specs.frozen import Frozen

TaskType = Literal["classification", "pair-classification"]
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Pattern = Annotated[str, StringConstraints(min_length=3, max_length=2000)]


class Task(Frozen):
    """The task: its type, and optionally how it is put into words."""

    type: TaskType
    """classification: one label for a text. pair-classification: one label for two texts (entailment, paraphrase)."""
    labels: tuple[Label, ...] | None = Field(default=None, min_length=2, max_length=500)
    """The labels in their order. Omitted: those of the training data, sorted."""
    verbalizer: dict[Label, Word] | None = None
    """A word for each label, one token of the model. Omitted: the rules choose."""
    patterns: tuple[Pattern, ...] | None = Field(default=None, min_length=1, max_length=8)
    """Texts with {text} (or {premise} and {hypothesis}, and optionally {labels}), to be continued by the label's
    word. Several make an arm each. Omitted: the rules choose."""
    question: Annotated[str, StringConstraints(min_length=3, max_length=300)] | None = None
    """The question that the label answers, in one sentence; it goes into the pattern."""

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise PydanticCustomError("conflict", "a label is given twice", {})
        return value
