"""Synthetic examples beside those that people labelled: who writes them, how many, and what they must pass."""

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from fewtune.specs.data import PathText
from fewtune.specs.frozen import Frozen
from fewtune.specs.model import EMBEDDED
from fewtune.specs.task import Label

Line = Annotated[str, StringConstraints(min_length=3, max_length=300)]
Name = Annotated[str, StringConstraints(pattern=r"^[\w-]+$", max_length=40)]
AUGMENTED_TASKS = ("classification", "pair-classification")
"""Tasks whose examples can be written for a label."""
OF_TEACHER = (
    "target", "factor", "gate", "quality_threshold", "diversity_weight", "keep", "task_description",
    "domain_constraints", "attributes", "label_plan", "max_tokens", "max_cost",
)  # fmt: skip
"""Settings that only a teacher's examples feel."""
OF_EDA = ("eda_copies", "eda_alpha")
"""Settings that only changed copies feel."""


class Teacher(Frozen):
    """A model that writes examples."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """The embedded model's name, or the name that an endpoint knows."""
    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#@]+$", max_length=300)] | None = None
    """An OpenAI-compatible endpoint, without a query: keys belong in the environment. Omitted: the model lies on this
    machine, or only a recording answers."""
    key_variable: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=80)] | None = None
    """Name of the environment variable that holds the endpoint's key, never the key. Omitted: it needs none."""
    recording: PathText | None = None
    """A file of recorded calls: only it answers, and the run repeats offline. Omitted: the teacher itself is asked, and
    its calls are recorded in the workspace."""
    concurrency: Annotated[int, Field(ge=1, le=64, strict=True)] = 4
    """Requests at the same time."""
    per_minute: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """Requests a minute, at most."""
    prompt_price: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Money for a million tokens of prompts."""
    completion_price: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """Money for a million tokens of answers."""

    @property
    def is_embedded(self) -> bool:
        """Whether it is the embedded model on this machine."""
        return self.base_url is None and self.model == EMBEDDED

    @model_validator(mode="after")
    def _placed(self) -> "Teacher":
        if self.key_variable is not None and self.base_url is None:
            raise PydanticCustomError("conflict", "a key belongs to an endpoint: give base_url", {})
        if self.base_url is None and self.recording is None and self.model != EMBEDDED:
            raise PydanticCustomError("conflict", "give base_url (an endpoint) or recording (recorded calls)", {})
        return self


class Augmentation(Frozen):
    """Arms with synthetic examples, each beside the arm without. What is omitted, the rules decide."""

    teacher: Teacher | None = None
    """Who writes examples. Omitted: nobody."""
    eda: StrictBool | None = None
    """Whether there are arms with changed copies of the examples (words replaced, put in, swapped, left out). Omitted:
    where there is no teacher."""
    target: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = None
    """Examples that the teacher is to write for each sample, before the filter, and the most that stay: where the last
    questions bring more, the selection leaves out what says least."""
    factor: Annotated[float, Field(gt=0, le=1000)] | None = None
    """The same as a multiple of the sample's training rows."""
    gate: StrictBool = True
    """Whether arms are dropped whose teacher does not label the sample's texts better than the untrained student."""
    quality_threshold: Annotated[float, Field(ge=0, le=1)] = 0.85
    """Least probability that a synthetic example's label is right, by classifiers that never saw it."""
    diversity_weight: Annotated[float, Field(ge=0, le=1)] = 0.3
    """Weight of the distance to what is there already, against the quality, where examples are selected."""
    keep: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = None
    """Synthetic examples that stay at most. Omitted: all that pass."""
    task_description: Annotated[str, StringConstraints(min_length=3, max_length=1000)] | None = None
    """What the labels say of a text, for the teacher. Omitted: task.question, or the names of the labels."""
    domain_constraints: Annotated[tuple[Line, ...], Field(max_length=30)] = ()
    """What every synthetic text must keep to."""
    attributes: dict[Name, Annotated[tuple[Line, ...], Field(min_length=1, max_length=50)]] = Field(
        default_factory=dict
    )
    """What is varied from question to question: name -> values."""
    label_plan: Literal["balanced", "proportional"] | dict[Label, Annotated[float, Field(ge=0)]] = "balanced"
    """How many examples of each label. balanced: so that there are as many of each, the sample's own among them.
    proportional: as the sample has them. Or by weights."""
    max_tokens: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Tokens of the teacher for the whole run, questions and answers together, at most; each sample has a share of it
    by the questions that it should need."""
    max_cost: Annotated[float, Field(gt=0)] | None = None
    """Money for the whole run, at most, shared in the same way; needs the teacher's prices."""
    eda_copies: Annotated[int, Field(ge=1, le=100, strict=True)] | None = None
    """Changed copies of each example."""
    eda_alpha: Annotated[float, Field(gt=0, le=0.5)] | None = None
    """Share of a text's words that are changed."""

    @model_validator(mode="after")
    def _consistent(self) -> "Augmentation":
        if self.target is not None and self.factor is not None:
            raise PydanticCustomError("conflict", "expected either target or factor, not both", {})
        if self.max_cost is not None and not (
            self.teacher and (self.teacher.prompt_price or self.teacher.completion_price)
        ):
            raise PydanticCustomError("conflict", "a ceiling in money needs the teacher's prices", {})
        if isinstance(self.label_plan, dict) and not any(self.label_plan.values()):
            raise PydanticCustomError("conflict", "weights of labels need one above 0", {})
        if self.teacher is None and not self.with_eda:
            raise PydanticCustomError("conflict", "without a teacher and without eda there is nothing to do", {})
        return self

    @property
    def with_eda(self) -> bool:
        """Whether there are arms with changed copies."""
        return self.teacher is None if self.eda is None else self.eda
