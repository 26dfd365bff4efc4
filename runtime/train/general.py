"""General ability: how well a model reads plain text and finds the next word, before and after it was fitted.

Forgetting is the rise of the loss on text that belongs to no task. Text and items are fixed, few and part of fewtune:
one batch of about 700 tokens, so that every trained state can be measured.
"""

import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.prompt import Encoder
from fewtune.runtime.train.reading import Tokens
from fewtune.runtime.train.scoring import in_halves

EXAM = Path(__file__).resolve().parents[1] / "embedded" / "general.toml"
CHUNK = 128
"""Places that get their logits at the same time: a logit of each token of the vocabulary takes memory."""


@dataclass(frozen=True)
class Exam:
    """The fixed text and items as tokens of one model."""

    version: int
    paragraphs: tuple[Tokens, ...]
    items: tuple[Tokens, ...]
    options: tuple[tuple[int, ...], ...]
    """First token of each item's words, the right one first."""

    @property
    def size(self) -> tuple[int, int]:
        """Tokens of the text that are predicted, and items; smaller where little can be read."""
        return sum(len(row) - 1 for row in self.paragraphs), len(self.items)


@dataclass(frozen=True)
class Ability:
    """What one model reaches."""

    loss: float
    """Mean over the tokens of the text, in nats."""
    accuracy: float
    """Share of items whose right word is likelier than the wrong ones; not a number where no item can be asked."""


@cache
def content() -> dict[str, Any]:
    """The fixed text and items."""
    return tomllib.loads(EXAM.read_text(encoding="utf-8"))


def exam(encoder: Encoder, positions: int) -> Exam:
    """Put text and items into tokens; an item whose words begin with the same token is left out.

    Args:
        encoder: of the model.
        positions: tokens that it can read; longer texts are cut.
    """
    found = content()
    items = [(encoder.ids(text), tuple(encoder.continuation(f" {word}")[0] for word in words))
             for text, *words in found["items"]]  # fmt: skip
    asked = [(ids, words) for ids, words in items if len(set(words)) == len(words) and len(ids) <= positions]
    return Exam(
        version=found["version"],
        paragraphs=tuple(encoder.ids(text)[:positions] for text in found["paragraphs"]),
        items=tuple(ids for ids, _ in asked),
        options=tuple(words for _, words in asked),
    )


@torch.inference_mode()
def ability(tuned: Tuned, asked: Exam) -> Ability:
    """What the model reaches.

    Args:
        tuned: reads out a logit of every token.
        asked: text and items.
    """
    texts = _states(tuned, asked.paragraphs, whole=True)
    states = torch.cat([text[:-1] for text in texts])
    right = torch.tensor([token for row in asked.paragraphs for token in row[1:]], device=states.device)
    places = [slice(start, start + CHUNK) for start in range(0, len(right), CHUNK)]
    losses = [functional.cross_entropy(tuned.readout(states[p]), right[p], reduction="sum") for p in places]
    return Ability(float(torch.stack(losses).sum()) / len(right), _accuracy(tuned, asked))


def _accuracy(tuned: Tuned, asked: Exam) -> float:
    if not asked.items:
        return float("nan")
    states = torch.cat(_states(tuned, asked.items, whole=False))
    options = torch.tensor(asked.options, device=states.device)
    found = tuned.readout(states).gather(1, options)
    return int((found[:, 0] > found[:, 1:].amax(dim=1)).sum()) / len(asked.items)


def _states(tuned: Tuned, rows: Sequence[Tokens], *, whole: bool) -> list[Tensor]:
    """Hidden states of each row, at all its tokens or at its last: (tokens, hidden)."""
    counts = [len(row) if whole else 1 for row in rows]

    def read(part: Sequence[Tokens]) -> Tensor:
        return tuned.reader.read(part, last=[len(row) if whole else 1 for row in part])

    return list(torch.cat(in_halves(read, rows)).split_with_sizes(counts))


def timed(tuned: Tuned, asked: Exam) -> tuple[Ability, float]:
    """The ability, and the seconds that measuring it took."""
    start = time.perf_counter()
    return ability(tuned, asked), time.perf_counter() - start
