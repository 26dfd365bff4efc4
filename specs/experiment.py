"""The root of the language: one experiment."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from fewtune.specs.constraints import Constraints
from fewtune.specs.data import Data
from fewtune.specs.evaluation import Evaluation
from fewtune.specs.frozen import Frozen
from fewtune.specs.methods import Methods
from fewtune.specs.model import Model
from fewtune.specs.task import Task

SPEC_VERSION = 1

DESCRIPTIVE = ("name", "title", "notes", "tags")
"""Fields that touch no fingerprint: editing them starts nothing."""


class Experiment(Frozen):
    """One experiment. Omitted means that the rules decide; a value pins it."""

    spec_version: Literal[1]
    """The version of the language."""
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w ,.:()+-]{0,62}$")] | None = None
    """The experiment's name in every table. Omitted: the spec file's name."""
    title: Annotated[str, StringConstraints(max_length=200)] | None = None
    """A longer name, for people."""
    notes: Annotated[str, StringConstraints(max_length=10_000)] | None = None
    """Anything worth remembering."""
    tags: Annotated[tuple[Annotated[str, StringConstraints(max_length=60)], ...], Field(max_length=30)] = ()
    """Words to find it by."""
    task: Task
    data: Data
    model: Model = Model()
    constraints: Constraints = Constraints()
    methods: Methods = Methods()
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _columns_fit_task(self) -> "Experiment":
        data, pair = self.data, self.task.type == "pair-classification"
        if pair and data.text is not None:
            raise PydanticCustomError("conflict", "pair classification has premise and hypothesis, not text", {})
        if not pair and (data.premise is not None or data.hypothesis is not None):
            raise PydanticCustomError("conflict", "classification has text, not premise and hypothesis", {})
        return self
