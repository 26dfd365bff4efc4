"""Greedy generation: many rows at once, each token's keys and values computed once, until each row's text has ended.

Rows of similar length share a batch, padded on the left, so that all of them grow at the same end; a beginning that all
rows share is read once; a row whose text has ended leaves its batch. Logits are computed at the last token only. A
batch that does not fit into memory is halved until it does.

Shapes: N rows, L tokens of the longest of them, P tokens of the shared beginning, T tokens so far.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers.cache_utils import DynamicCache

from fewtune.compiler.arm import Generation
from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.pulse import Phase, Pulse
from fewtune.runtime.train.reading import Prefix, Tokens, cached
from fewtune.runtime.train.scoring import batched, in_halves, shared_tokens

CACHE_BYTES = {"cpu": 250_000_000, "cuda": 4_000_000_000}
"""Keys and values of one batch, at most."""
SIMILAR = 0.6
"""A batch's shortest row is at least this share of its longest, less the slack: padding is read, too."""
SLACK = 16
"""Tokens."""
MOST_ROWS = {"cpu": 48, "cuda": 256}
"""Rows of one batch; more of them share no more of the time in which the weights are read."""


class Ending:
    """Knows when a text has ended, and what it says."""

    def __init__(self, generation: Generation, tokenizer: Tokenizer) -> None:
        self.generation = generation
        self.tokenizer = tokenizer
        self._breaks: dict[int, bool] = {}

    def reached(self, tokens: Sequence[int]) -> bool:
        """Whether the text has ended with the last of these tokens."""
        last = tokens[-1]
        if last in self.generation.end_tokens or len(tokens) >= self.generation.max_new_tokens:
            return True
        return self.generation.stop_at_newline and self._is_break(last) and "\n" in self._decoded(tokens).lstrip()

    def _is_break(self, token: int) -> bool:
        if token not in self._breaks:
            self._breaks[token] = "\n" in self._decoded([token])
        return self._breaks[token]

    def text(self, tokens: Sequence[int]) -> str:
        """The text without its end and without space around it."""
        text = self._decoded(tokens).strip()
        return text.partition("\n")[0].strip() if self.generation.stop_at_newline else text

    def _decoded(self, tokens: Sequence[int]) -> str:
        text: str = self.tokenizer.decode([token for token in tokens if token not in self.generation.end_tokens])
        return text


@torch.inference_mode()
def generate(
    tuned: Tuned, rows: Sequence[Tokens], ending: Ending, pulse: Pulse, phase: Phase = "scoring"
) -> list[list[int]]:
    """Write a text after each row: the tokens of each, its end included, in the order of `rows`."""
    pulse.beat(phase, 0, len(rows))
    shared = shared_tokens(tuned, rows)
    prefix = tuned.reader.prefix(rows[0][:shared]) if shared else tuned.reader.begin()
    rests = [row[shared:] for row in rows]
    found: dict[int, list[int]] = {}
    with _usual_attention(tuned.reader.backbone):
        for places in _batches(tuned, rests, shared, ending.generation.max_new_tokens):
            batch = [rests[place] for place in places]
            written = in_halves(lambda part: _greedy(tuned, part, prefix, ending, pulse), batch)
            found.update(zip(places, chain(*written), strict=True))
            pulse.beat(phase, len(found), len(rows))
    return [found[place] for place in range(len(rows))]


def write(
    tuned: Tuned, rows: Sequence[Tokens], ending: Ending, pulse: Pulse, phase: Phase = "scoring"
) -> tuple[tuple[str, ...], float]:
    """Write a text after each row: (texts, seconds)."""
    start = time.perf_counter()
    texts = tuple(ending.text(tokens) for tokens in generate(tuned, rows, ending, pulse, phase))
    return texts, time.perf_counter() - start


@contextmanager
def _usual_attention(backbone: Any) -> Iterator[None]:
    """Let the blocks attend as transformers has it: rows side by side with a mask, which the cache of rows needs."""
    before = backbone.config._attn_implementation
    backbone.set_attn_implementation("sdpa" if getattr(backbone, "_supports_sdpa", False) else "eager")
    try:
        yield
    finally:
        backbone.set_attn_implementation(before)


def _batches(tuned: Tuned, rows: Sequence[Tokens], shared: int, new: int) -> list[list[int]]:
    """Places of the rows, longest first, in batches of similar length whose cache is bounded."""
    device = tuned.reader.device.type
    tokens = CACHE_BYTES.get(device, CACHE_BYTES["cpu"]) // token_bytes(tuned.reader.backbone)
    most = MOST_ROWS.get(device, MOST_ROWS["cpu"])
    batches: list[list[int]] = []
    for places in batched([shared + len(row) + new for row in rows], tokens):
        batches.append([])
        for place in places:
            first = batches[-1][0] if batches[-1] else place
            if len(batches[-1]) == most or len(rows[place]) + SLACK < SIMILAR * len(rows[first]):
                batches.append([])
            batches[-1].append(place)
    return batches


def token_bytes(backbone: Any) -> int:
    """Bytes of one token's keys and values in all layers."""
    config, parameter = backbone.config, next(backbone.parameters())
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(2 * config.num_hidden_layers * heads * width * parameter.element_size())


def _greedy(
    tuned: Tuned, rows: Sequence[Tokens], prefix: Prefix | None, ending: Ending, pulse: Pulse
) -> list[list[int]]:
    device, before, longest = tuned.reader.device, prefix.tokens if prefix else 0, max(map(len, rows))
    ids = torch.tensor([[row[-1]] * (longest - len(row)) + list(row) for row in rows], device=device)
    mask = torch.ones(len(rows), before + longest, dtype=torch.long, device=device)
    for place, row in enumerate(rows):
        mask[place, before : before + longest - len(row)] = 0
    positions = (mask.cumsum(dim=1) - 1).clamp_min(0)[:, before:]
    cache = prefix.cache(len(rows)) if prefix else DynamicCache()
    texts: list[list[int]] = [[] for _ in rows]
    growing = list(range(len(rows)))
    while True:
        hidden = _last(tuned.reader.backbone, ids, mask, positions, cache)
        kept = []
        for place, token in enumerate(tuned.readout(hidden).argmax(dim=-1).tolist()):
            text = texts[growing[place]]
            text.append(token)
            if not ending.reached(text):
                kept.append(place)
        if not kept:
            return texts
        if len(kept) < len(growing):
            chosen = torch.tensor(kept, device=device)
            cache.batch_select_indices(chosen)
            mask, positions = mask[chosen], positions[chosen]
            growing = [growing[place] for place in kept]
        ids = torch.tensor([[texts[row][-1]] for row in growing], device=device)
        mask = torch.cat([mask, mask.new_ones(len(growing), 1)], dim=1)
        positions = positions[:, -1:] + 1
        pulse.between()


def _last(backbone: Any, ids: Tensor, mask: Tensor, positions: Tensor, cache: DynamicCache) -> Tensor:
    """Hidden state at the last token of each row, (N, hidden); the tokens' keys and values go into the cache."""
    how = cached(backbone, cache)
    output = backbone(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, **how)
    hidden: Tensor = output.last_hidden_state[:, -1]
    return hidden
