"""Prompt tuning (arXiv 2104.08691): trained vectors in the place of token embeddings, read by the base as any token."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.adaptations.virtual import Virtual
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.reading import Prefix, Reader


class Prompt(Virtual):
    """Vectors (tokens, hidden)."""

    def begun(self, base: Base, tokens: list[int]) -> Tensor:
        """The tokens' embeddings."""
        embeddings: Tensor = base.model.get_input_embeddings()(torch.tensor(tokens, device=base.device))
        return embeddings

    def beginning(self, base: Base, reader: Reader, values: Tensor) -> Prefix:
        """Keys and values that the base makes of them."""
        return reader.embedded(values)

    def config(self, arm: Arm, linears: Sequence[str]) -> dict[str, Any] | None:
        """A PromptTuningConfig."""
        return {**(super().config(arm, linears) or {}), "peft_type": "PROMPT_TUNING", "prompt_tuning_init": "RANDOM"}


KIND = Prompt()
