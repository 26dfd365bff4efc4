"""Dropout of the inputs of LoRA's A, by masks with keys.

What a row loses depends on its trial, the step, its place in the batch and the layer alone: not on its neighbours, on
micro-batches or on how rows are laid out. So a trial is the same in a pack as alone. Masks are drawn on the processor,
and drawn again for the gradient instead of being kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

Key = tuple[int, int, int]
"""(the trial's seed, the step, the row's place in the batch): what a row draws from."""


def site(path: str) -> int:
    """A layer's part of every key; the same whichever other layers have an update."""
    return crc32(path.encode())


@dataclass(frozen=True)
class Mask:
    """The masks of one slot's rows in one reading."""

    rate: float
    rows: Sequence[tuple[int, int, Key]]
    """(first place within the slot, tokens, key) of each row."""

    def factor(self, layer: int, like: Tensor) -> Tensor:
        """What the inputs (places, d_in) are multiplied by: 0, or 1 / (1 - rate); 1 for padding.

        Args:
            layer: the layer's `site`.
            like: the inputs.
        """
        kept = np.ones(like.shape, dtype=np.float32)
        for start, tokens, (seed, step, place) in self.rows:
            # A counter-based generator: streams of different keys and counters never meet (Salmon et al. 2011).
            source = np.random.Philox(key=[seed % (1 << 64), layer], counter=[0, 0, step, place])
            drawn = np.random.Generator(source).random((tokens, like.shape[1]), dtype=np.float32)
            kept[start : start + tokens] = (drawn >= self.rate) / (1.0 - self.rate)
        return torch.from_numpy(kept).to(like.device, like.dtype)
