"""The one configuration every value at a border shares: closed, immutable, JSON-round-trippable."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A value that nobody changes after it was checked; unknown keys are errors, lists become tuples."""

    model_config = ConfigDict(
        frozen=True,
        defer_build=True,
        extra="forbid",
        strict=False,
        allow_inf_nan=False,
        validate_default=True,
    )
