"""Where the labelled examples are, and how many of the labels may be used."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fewtune.specs.frozen import Frozen
from fewtune.specs.task import Label

PathText = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f]+$")]
Column = Annotated[str, StringConstraints(min_length=1, max_length=200)]
SplitName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,30}$")]
Count = Annotated[int, Field(ge=1, le=10_000_000, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]

RESERVED_SPLITS = frozenset({"train", "validation", "test", "pool", "all", "unlabelled", "replay", "cv", "refit"})
WITHOUT_LABELS = ("unlabelled", "replay")
"""Splits whose rows need no label."""


class Source(Frozen):
    """One split: a local file or a data set of the hub, and which of its rows."""

    path: PathText | None = None
    """A .csv, .tsv, .jsonl, .json or .parquet file below the spec's folder."""
    hub: Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$", max_length=120)] | None = None
    """A data set of the Hugging Face hub; `fewtune pull` fetches it."""
    config: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$", max_length=100)] | None = None
    """The hub data set's configuration."""
    split: Annotated[str, StringConstraints(pattern=r"^[\w.-]+$", max_length=100)] | None = None
    """The hub data set's split."""
    revision: Annotated[str, StringConstraints(pattern=r"^[\w./-]+$", max_length=100)] | None = None
    """The hub data set's revision. Omitted: the one in fewtune.lock."""
    rows: Annotated[str, StringConstraints(pattern=r"^\d{1,9}-\d{1,9}$")] | None = None
    """The rows to use, counted from 1, both ends included: "1-200"."""
    labels: Annotated[dict[Label, Label], Field(min_length=1, max_length=500)] | None = None
    """The labels to use, and what to call them: {entails = "entailment", neutral = "neutral"}; several may get one
    name. Rows with another label are left out. Omitted: all, as they are."""

    @model_validator(mode="after")
    def _one_place(self) -> "Source":
        if (self.path is None) == (self.hub is None):
            raise PydanticCustomError("conflict", "expected either path or hub", {})
        if self.path is not None and (self.config or self.split or self.revision):
            raise PydanticCustomError("conflict", "config, split and revision belong to hub, not to path", {})
        if self.last_row is not None and not 1 <= self.first_row <= self.last_row:
            raise PydanticCustomError("conflict", "rows count from 1 and end after they begin", {})
        return self

    @property
    def first_row(self) -> int:
        """The first row to use, from 1."""
        return 1 if self.rows is None else int(self.rows.split("-")[0])

    @property
    def last_row(self) -> int | None:
        """The last row to use; None: to the end."""
        return None if self.rows is None else int(self.rows.split("-")[1])

    @property
    def place(self) -> str:
        """How a person would name it."""
        where = self.path or "/".join(part for part in (f"hub:{self.hub}", self.config, self.split) if part)
        rows = "" if self.rows is None else f" rows {self.rows}"
        return where + rows + (f" labelled {', '.join(self.labels)}" if self.labels else "")


class PerClass(Frozen):
    """A label budget counted for each label."""

    per_class: Count | tuple[Count, ...]
    """So many labelled examples of each label; a list gives a learning curve."""


LabelBudget = Literal["all"] | Count | tuple[Count, ...] | PerClass


class Data(Frozen):
    """The data: splits, columns and the label budget."""

    train: Source
    """The labelled examples. Without a test split they are also what is scored, by cross-validation."""
    validation: Source | None = None
    """A separate validation split, for research comparisons. Its labels are not counted in the budget; the plan says
    so. Omitted: what validation needs is taken from the budget."""
    test: Source | None = None
    """What the report is about. Omitted: cross-validation on the training rows."""
    ood: dict[SplitName, Source] = Field(default_factory=dict, max_length=20)
    """Named out-of-domain splits; evaluated, never trained on."""
    unlabelled: Source | None = None
    """Text without labels, for context distillation and continued pre-training; rows that an evaluation split has are
    left out. Texts of the task (TAPT) or of its domain (DAPT)."""
    replay: Source | None = None
    """General text, mixed into continued pre-training so that less is forgotten."""
    text: Column | None = None
    """The column with the text (classification, multi-label, summarisation, generation), the words (sequence-labelling:
    a JSON list, or a text that is split at white space), or the prompt (preference). Omitted: guessed, if there is only
    one sensible choice; so are the other columns."""
    premise: Column | None = None
    """The column with the first text (pair classification)."""
    hypothesis: Column | None = None
    """The column with the second text (pair classification)."""
    question: Column | None = None
    """The column with the question (question-answering)."""
    context: Column | None = None
    """The column with the text that holds the answer (question-answering). Omitted and not there: questions alone."""
    label: Column | None = None
    """The column with the label; without pairs, of whether a text was liked (preference). multi-label: a JSON list, or
    labels with ; between them, and an empty cell for none. sequence-labelling: a tag for each word, as a JSON list or
    with white space between them."""
    target: Column | None = None
    """The column with the text that is to be written (summarisation, question-answering, generation), or that is
    preferred or judged (preference)."""
    rejected: Column | None = None
    """The column with the worse text of each pair (preference)."""
    label_budget: LabelBudget = "all"
    """How many labels (or targets) a trial may see, validation included: a number, a list for a learning curve,
    {per_class = 8}, or "all"."""
    label_noise: Share | Annotated[tuple[Share, ...], Field(min_length=1, max_length=10)] = 0.0
    """Shares of the training labels that are turned into wrong ones, to measure what label quality is worth: 0.1, or a
    list. Every arm that sees labels has a second one for each share, which is never chosen; validation and test rows
    keep their labels. For one label a text only."""

    @field_validator("train", "validation", "test", "unlabelled", "replay", mode="before")
    @classmethod
    def _short_source(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @field_validator("ood", mode="before")
    @classmethod
    def _short_sources(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {name: {"path": item} if isinstance(item, str) else item for name, item in value.items()}

    @field_validator("ood")
    @classmethod
    def _free_names(cls, value: dict[str, Source]) -> dict[str, Source]:
        taken = sorted(RESERVED_SPLITS & value.keys())
        if taken:
            raise PydanticCustomError("conflict", "the name {name} is taken; choose another", {"name": repr(taken[0])})
        return dict(sorted(value.items()))

    @property
    def splits(self) -> dict[str, Source]:
        """Split name -> source, train first."""
        named = {"train": self.train, "validation": self.validation, "test": self.test, "unlabelled": self.unlabelled,
                 "replay": self.replay}  # fmt: skip
        return {name: source for name, source in (named | self.ood).items() if source is not None}

    @property
    def noise_shares(self) -> tuple[float, ...]:
        """The shares above 0; labels as they are need no mention."""
        shares = self.label_noise if isinstance(self.label_noise, tuple) else (self.label_noise,)
        return tuple(share for share in shares if share)

    @field_validator("label_noise")
    @classmethod
    def _distinct(cls, value: float | tuple[float, ...]) -> float | tuple[float, ...]:
        if isinstance(value, tuple) and list(value) != sorted(set(value)):
            raise PydanticCustomError("conflict", "expected distinct shares in rising order", {})
        return value

    @field_validator("label_budget")
    @classmethod
    def _rising(cls, value: LabelBudget) -> LabelBudget:
        numbers = value.per_class if isinstance(value, PerClass) else value
        if isinstance(numbers, tuple) and (not numbers or list(numbers) != sorted(set(numbers))):
            raise PydanticCustomError("conflict", "expected distinct numbers in rising order", {})
        if isinstance(numbers, tuple) and len(numbers) > 30:
            raise PydanticCustomError("conflict", "expected at most 30 points of a learning curve", {})
        return value


FIELD = re.compile(r"\{([^{}]*)\}")
"""A field of a pattern."""


def pointer_of(split: str) -> str:
    """Where the spec names this split."""
    return f"/data/{split}" if split in ("train", "validation", "test", *WITHOUT_LABELS) else f"/data/ood/{split}"
