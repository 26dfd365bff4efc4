"""Prefix tuning (arXiv 2101.00190): trained keys and values of each layer, without section 4.3's network.

The vectors lie as peft lays them: (tokens, 2 layers heads width), of each layer the keys and then the values.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fewtune.compiler.arm import Arm
from fewtune.runtime.train.adaptations.virtual import Virtual
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.reading import Prefix, Reader


class Keyed(Virtual):
    """Keys and values of each layer."""

    def begun(self, base: Base, tokens: list[int]) -> Tensor:
        """What the base makes of the tokens."""
        layers = base.reader(base.model).prefix(tokens).layers
        return torch.cat([part[0].transpose(0, 1).flatten(1) for layer in layers for part in layer], dim=1)

    def beginning(self, base: Base, reader: Reader, values: Tensor) -> Prefix:
        """The layers' keys and values, each (1, key heads, tokens, width)."""
        config = base.model.config
        layers = config.num_hidden_layers
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        parts = values.view(len(values), 2 * layers, heads, -1).permute(1, 2, 0, 3)[:, None].unbind()
        return Prefix(tokens=len(values), layers=tuple(zip(parts[::2], parts[1::2], strict=True)))

    def config(self, arm: Arm, linears: Sequence[str]) -> dict[str, Any] | None:
        """A PrefixTuningConfig."""
        return {**(super().config(arm, linears) or {}), "peft_type": "PREFIX_TUNING", "prefix_projection": False}


KIND = Keyed()
