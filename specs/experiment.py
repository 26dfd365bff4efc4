"""The root of the language: one experiment."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator

from fewtune.specs.augmentation import Augmentation
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
    augmentation: Augmentation | None = None
    """Arms with synthetic examples, each beside the arm without. Omitted: none."""

    @field_validator("spec_version", mode="before")
    @classmethod
    def _a_number(cls, value: Any) -> Any:
        return None if isinstance(value, bool) else value
