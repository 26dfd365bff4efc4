"""Rows of tokens in, hidden states at each row's last token (or last few) out.

Two layouts: end to end (no padding outside the attention; position ids and segments are passed along) and padded on the
right. A causal model never looks at what comes after a token, so padding on the right needs no mask. Which layout a
model can take is found out by probes when it is loaded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from fewtune.runtime.train.attention import Segments

Tokens = Sequence[int]
STEP = 32
"""Tokens of a batch are rounded up to a multiple, so that few shapes occur: oneDNN compiles 20 kernels for each."""


@dataclass(frozen=True)
class Prefix:
    """A beginning that many rows share, as keys and values of each layer."""

    tokens: int
    layers: tuple[tuple[Tensor, Tensor], ...]
    """Of each layer: keys and values, both (1, key heads, tokens, width)."""

    def cache(self, rows: int) -> DynamicCache:
        """A fresh cache that holds the beginning for so many rows."""
        return DynamicCache(
            [(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1)) for keys, values in self.layers]
        )


class Reader:
    """Runs the model's blocks over rows of tokens."""

    def __init__(
        self,
        backbone: nn.Module,
        *,
        end_to_end: bool,
        device: torch.device,
        beginning: "Callable[[Reader], Prefix] | None" = None,
    ) -> None:
        """Read with a network.

        Args:
            backbone: the blocks with their embeddings.
            end_to_end: whether rows may lie end to end.
            device: where it is.
            beginning: makes what every row begins with and no text has: virtual tokens.
        """
        self.backbone = backbone
        self.end_to_end = end_to_end
        self.device = device
        self._beginning = beginning

    def begin(self) -> Prefix | None:
        """The virtual tokens that stand before every row; None: there are none."""
        return None if self._beginning is None else self._beginning(self)

    def occupied(self, rows: Sequence[Tokens], parts: Sequence[int]) -> list[int]:
        """Places that the tokens of neighbouring rows take up in what the blocks read, for so many rows each."""
        found, start, longest = [], 0, max(map(len, rows))
        for count in parts:
            inside = rows[start : start + count]
            found.append(sum(map(len, inside)) if self.end_to_end else count * longest)
            start += count
        return found

    def starts(self, lengths: Sequence[int], longest: int) -> list[int]:
        """Where neighbouring rows begin in what the blocks read, from the first one on.

        Args:
            lengths: of the rows.
            longest: of all rows that are read together.
        """
        each = lengths if self.end_to_end else [longest] * len(lengths)
        return [0, *accumulate(each)][: len(lengths)]

    def read(self, rows: Sequence[Tokens], prefix: Prefix | None = None, last: Sequence[int] | None = None) -> Tensor:
        """Hidden states at the last tokens of each row, one row's after the other's: (rows, hidden) or (all, hidden).

        Args:
            rows: token ids, without the prefix; the time is least when they are sorted by length.
            prefix: what all rows begin with, virtual tokens included.
            last: how many tokens of each row; omitted: its last one.
        """
        lengths, prefix = [len(row) for row in rows], prefix or self.begin()
        if self.end_to_end:
            hidden = self._end_to_end(rows, lengths, prefix)
            ends = list(accumulate(lengths))
        else:
            hidden = self._padded(rows, lengths, prefix)
            ends = [length + place * max(lengths) for place, length in enumerate(lengths)]
        counts = last or [1] * len(rows)
        places = [place for end, count in zip(ends, counts, strict=True) for place in range(end - count, end)]
        return hidden.flatten(0, 1).index_select(0, torch.tensor(places, device=self.device))

    def features(self, rows: Sequence[Tokens]) -> Tensor:
        """What each row is to the model: (rows, 2 hidden), in fp32.

        The last layer's state at the last token, where the next word is prepared, and the mean over all tokens two
        thirds up, where the text is represented most fully.
        """
        lengths = [len(row) for row in rows]
        if self.end_to_end:
            ids, more = self._laid(rows, lengths, None)
            starts = torch.tensor([0, *lengths]).cumsum(0)[:-1]
        else:
            ids, more = _filled(rows, max(lengths)), {}
            starts = torch.arange(len(rows)) * max(lengths)
        states = self._output(ids, None, output_hidden_states=True, **more).hidden_states
        last, middle = (states[place].flatten(0, 1).float() for place in (-1, 2 * (len(states) - 1) // 3))
        ends = (starts + torch.tensor(lengths)).tolist()
        means = [middle[start:end].mean(0) for start, end in zip(starts.tolist(), ends, strict=True)]
        return torch.cat([last[[end - 1 for end in ends]], torch.stack(means)], dim=1)

    def _end_to_end(self, rows: Sequence[Tokens], lengths: Sequence[int], prefix: Prefix | None) -> Tensor:
        """Hidden states (1, tokens, hidden)."""
        ids, more = self._laid(rows, lengths, prefix)
        return self._hidden(ids, prefix.cache(1) if prefix else None, **more)

    def _laid(
        self, rows: Sequence[Tokens], lengths: Sequence[int], prefix: Prefix | None
    ) -> tuple[Tensor, dict[str, Any]]:
        """The rows one after the other: ids (1, tokens), their positions and segments."""
        before = prefix.tokens if prefix else 0
        tail = [0] * (-sum(lengths) % STEP)
        ids = [token for row in rows for token in row] + tail
        positions = [before + place for length in lengths for place in range(length)] + tail
        return torch.tensor([ids]), {
            "position_ids": torch.tensor([positions], device=self.device),
            "segments": Segments(lengths, self.device, prefix=before, tail=len(tail)),
        }

    def hidden(self, ids: Tensor) -> Tensor:
        """All hidden states (rows, longest, hidden) of rows (rows, longest) that are padded on the right."""
        return self._hidden(ids, None)

    def _padded(self, rows: Sequence[Tokens], lengths: Sequence[int], prefix: Prefix | None) -> Tensor:
        """Hidden states (rows, longest, hidden); padding repeats a row's last token."""
        return self._hidden(_filled(rows, max(lengths)), prefix.cache(len(rows)) if prefix else None)

    def _hidden(self, ids: Tensor, cache: DynamicCache | None, **more: Any) -> Tensor:
        hidden: Tensor = self._output(ids, cache, **more).last_hidden_state
        return hidden

    def _output(self, ids: Tensor, cache: DynamicCache | None, **more: Any) -> Any:
        more |= cached(self.backbone, cache)
        return self.backbone(input_ids=ids.to(self.device), use_cache=cache is not None, **more)

    def prefix(self, tokens: Tokens) -> Prefix:
        """Read a beginning once, for all rows that share it; virtual tokens stand before it."""
        before = self.begin()
        cache, first = (before.cache(1), before.tokens) if before else (DynamicCache(), 0)
        self._hidden(torch.tensor([list(tokens)]), cache, **self._places(len(tokens), first))
        return _kept(cache, first + len(tokens))

    def embedded(self, embeddings: Tensor) -> Prefix:
        """Read vectors (tokens, hidden) in the place of token embeddings, as a beginning."""
        cache, count = DynamicCache(), len(embeddings)
        more = cached(self.backbone, cache) | self._places(count, 0)
        self.backbone(inputs_embeds=embeddings[None], use_cache=True, **more)
        return _kept(cache, count)

    def _places(self, count: int, before: int) -> dict[str, Any]:
        """Positions and segments of one row, for rows that lie end to end."""
        if not self.end_to_end:
            return {}
        positions = torch.arange(before, before + count, device=self.device)[None]
        return {"position_ids": positions, "segments": Segments([count], self.device, prefix=before)}


def _kept(cache: DynamicCache, tokens: int) -> Prefix:
    return Prefix(tokens=tokens, layers=tuple((layer.keys, layer.values) for layer in cache.layers))


def cached(backbone: nn.Module, cache: DynamicCache | None) -> dict[str, DynamicCache]:
    """The argument that hands a cache to the blocks, by its name in this version: transformers 5.24 renamed it."""
    if cache is None:
        return {}
    named = "cache" in signature(backbone.forward).parameters
    return {"cache" if named else "past_key_values": cache}


def _filled(rows: Sequence[Tokens], longest: int) -> Tensor:
    """(rows, longest): shorter rows repeat their last token."""
    return torch.tensor([[*row, *[row[-1]] * (longest - len(row))] for row in rows])
