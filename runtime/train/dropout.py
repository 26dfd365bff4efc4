"""Dropout of the inputs of LoRA's A, by masks with keys.

What a row loses depends on its trial, the step, its place in the batch and the layer alone: not on its neighbours, on
micro-batches or on how rows are laid out. So a trial is the same in a pack as alone. Masks are drawn where they are
used, by counter-based generators (Salmon et al. 2011), and drawn again for the gradient instead of being kept; a
processor and a GPU draw different ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
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
        drawn = _on_the_processor if like.device.type == "cpu" else _on_a_gpu
        kept = torch.ones(like.shape, dtype=torch.float32, device=like.device)
        for start, tokens, key in self.rows:
            part = kept[start : start + tokens]
            part.copy_((drawn(key, layer, part) >= self.rate) / (1.0 - self.rate))
        return kept.to(like.dtype)


def _on_the_processor(key: Key, layer: int, like: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) like `like`; the key's parts are a key and a counter, so that no two streams meet."""
    seed, step, place = key
    source = np.random.Philox(key=[seed % (1 << 64), layer], counter=[0, 0, step, place])
    return torch.from_numpy(np.random.Generator(source).random(tuple(like.shape), dtype=np.float32))


def _on_a_gpu(key: Key, layer: int, like: Tensor) -> Tensor:
    """The same, drawn there: nothing is copied, and the host waits for nothing."""
    seed = int.from_bytes(blake2b(repr((*key, layer)).encode(), digest_size=8).digest()) >> 1
    generator = torch.Generator(like.device).manual_seed(seed)
    return torch.rand(like.shape, generator=generator, device=like.device)
