"""What is to be decided about a text, or written from it."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from fewtune.specs.frozen import Frozen

TaskType = Literal[
    "classification", "pair-classification", "summarisation", "question-answering", "generation", "preference",
    "multi-label", "sequence-labelling",
]  # fmt: skip
WRITTEN: frozenset[TaskType] = frozenset({"summarisation", "question-answering", "generation", "preference"})
"""Tasks whose answer is a text, the target, instead of a label; of a preference the one that is preferred."""
Marks = Literal["set", "tags"]
"""What several labels of one text are: a set, or a tag for each word."""
MARKED: dict[TaskType, Marks] = {"multi-label": "set", "sequence-labelling": "tags"}
"""Tasks whose answer is several labels instead of one."""
FIELDS: dict[TaskType, tuple[str, ...]] = {
    "classification": ("text",),
    "pair-classification": ("premise", "hypothesis"),
    "summarisation": ("text",),
    "question-answering": ("context", "question"),
    "generation": ("text",),
    "preference": ("text",),
    "multi-label": ("text",),
    "sequence-labelling": ("text",),
}
"""Task -> the fields of its patterns, in their order."""
OPTIONAL = frozenset({"context"})
"""Fields that the data need not have."""
Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=60)]
Words = Annotated[tuple[Word, ...], Field(min_length=1, max_length=8)]
Pattern = Annotated[str, StringConstraints(min_length=3, max_length=2000)]
PATTERN_NAMES = ("minimal", "question", "instruction")
"""Patterns that fewtune has for every task, by name."""


class Task(Frozen):
    """The task: its type, and optionally how it is put into words."""

    type: TaskType
    """classification: one label for a text. pair-classification: one label for two texts (entailment, paraphrase).
    summarisation: a short text that says what a long one says. question-answering: an answer in words to a question,
    with or without a context to find it in. generation: any text that follows from another one.
    preference: texts like those that people preferred, from pairs of a better and a worse one, or from single ones that
    were liked or not. multi-label: any number of labels for a text, none included. sequence-labelling: a tag for each
    word of a text, as BIO tags: B-name begins a span, I-name goes on with it, O is outside of all."""
    labels: tuple[Label, ...] | None = Field(default=None, min_length=2, max_length=500)
    """The labels in their order. Omitted: those of the training data, sorted."""
    verbalizer: dict[Label, Word | Words] | None = None
    """A word for each label, one token of the model; or a list of words, of which arms with pattern_use = "search" take
    the best and all others the first. Omitted: the rules choose."""
    patterns: tuple[Pattern, ...] | None = Field(default=None, min_length=1, max_length=8)
    """Texts with {text} (or {premise} and {hypothesis}, or {question} and {context}; with labels optionally {labels}),
    to be continued by the label's word or the target; or names: minimal (the text, and where the answer begins),
    question, instruction. Several make an arm each, unless methods.pin.pattern_use says otherwise. Omitted: the rules
    choose."""
    question: Annotated[str, StringConstraints(min_length=3, max_length=300)] | None = None
    """The question that the label answers, in one sentence; it goes into the pattern."""
    instruction: Annotated[str, StringConstraints(min_length=3, max_length=1000)] | None = None
    """What is to be written, in a sentence or two, where the answer is a text; it goes into the pattern."""

    @property
    def writes(self) -> bool:
        """Whether the answer is a text instead of a label."""
        return self.type in WRITTEN

    @property
    def prefers(self) -> bool:
        """Whether it learns which texts are preferred."""
        return self.type == "preference"

    @property
    def marks(self) -> Marks | None:
        """What its several labels are; None: one label, or a text."""
        return MARKED.get(self.type)

    @property
    def answer(self) -> Literal["label", "target"]:
        """What the data call the answer."""
        return "target" if self.writes else "label"

    @property
    def alternatives(self) -> Mapping[str, tuple[str, ...]]:
        """Label -> the words that the verbalizer gives it, the first one usual."""
        own = self.verbalizer or {}
        return {label: words if isinstance(words, tuple) else (words,) for label, words in own.items()}

    @property
    def words(self) -> dict[str, str] | None:
        """Label -> its first word; None where no verbalizer is given."""
        first = {label: words[0] for label, words in self.alternatives.items()}
        return first if self.verbalizer is not None else None

    @property
    def own_patterns(self) -> tuple[str, ...]:
        """The patterns that are written out."""
        return tuple(text for text in self.patterns or () if text not in PATTERN_NAMES)

    @field_validator("labels", "patterns")
    @classmethod
    def _distinct(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise PydanticCustomError("conflict", "a {what} is given twice", {"what": str(info.field_name)[:-1]})
        return value
