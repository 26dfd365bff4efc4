"""Contrastive tuning: texts of one label are brought together, texts of different labels apart (arXiv 2209.11055).

Pairs are drawn as the released code draws them: in each of R passes, every labelled text gets one partner of its own
label and one of another. (Section 3.1 of the paper writes R for each label, not for each text; its tables come from the
code.) The loss of a pair is (cos(u, v) - y)^2 with y = 1 for the same label, else 0: Sentence-BERT's regression
objective (arXiv 1908.10084, section 3).
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional

from fewtune.runtime.train.loop import Example, Logits
from fewtune.runtime.train.reading import Tokens


@dataclass(frozen=True)
class Pair(Example):
    """Two texts; the label is 1 where theirs are the same, else 0; `tokens` are those of both."""

    places: tuple[int, int] = (0, 0)
    """Of the texts among the labelled ones: what is there twice is read once."""
    texts: tuple[Tokens, Tokens] = ((), ())


def drawn(labels: Sequence[int], iterations: int, seed: int) -> list[tuple[int, int, int]]:
    """Pairs as (place, place, 1 for the same label, else 0), pass by pass.

    A text that is the only one of its label has no partner of its own; where there is one label only, none of another.

    >>> drawn([0, 0, 1], iterations=1, seed=0)
    [(0, 1, 1), (0, 2, 0), (1, 0, 1), (1, 2, 0), (2, 0, 0)]

    Args:
        labels: of the texts.
        iterations: R.
        seed: of the partners.
    """
    source, places, pairs = random.Random(f"pairs {seed}"), range(len(labels)), list[tuple[int, int, int]]()
    alike = [[other for other in places if labels[other] == labels[at] and other != at] for at in places]
    others = [[other for other in places if labels[other] != labels[at]] for at in places]
    for _ in range(iterations):
        for at in places:
            if alike[at]:
                pairs.append((at, source.choice(alike[at]), 1))
            if others[at]:
                pairs.append((at, source.choice(others[at]), 0))
    return pairs


def examples(rows: Sequence[Tokens], labels: Sequence[int], iterations: int, seed: int) -> list[Pair]:
    """Training examples of all pairs that are drawn.

    Raises:
        ValueError: where there are none: a single text.
    """
    found = [
        Pair([*rows[a], *rows[b]], label=same, places=(a, b), texts=(rows[a], rows[b]))
        for a, b, same in drawn(labels, iterations, seed)
    ]
    if not found:
        raise ValueError("one text makes no pair: contrastive tuning needs two at least")
    return found


def backward(batches: Sequence[Sequence[Sequence[Example]]], embed: Logits) -> Tensor:
    """Add the gradients of the mean loss over a batch of pairs, whose trial is alone; returns the loss, (1,).

    Args:
        batches: one trial's micro-batches of `Pair`.
        embed: gives the texts' embeddings, (texts, hidden).
    """
    (parts,) = batches
    count = sum(map(len, parts))
    losses = []
    for part in parts:
        pairs = cast(Sequence[Pair], part)
        texts = {place: text for pair in pairs for place, text in zip(pair.places, pair.texts, strict=True)}
        order = sorted(texts, key=lambda place: (len(texts[place]), place))
        embeddings, at = embed([[Example(texts[place]) for place in order]]), {p: i for i, p in enumerate(order)}
        u, v = (embeddings[[at[pair.places[side]] for pair in pairs]] for side in (0, 1))
        same = torch.tensor([pair.label for pair in pairs], dtype=u.dtype, device=u.device)
        loss = (functional.cosine_similarity(u, v) - same).square().sum() / count
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    return torch.stack(losses).sum().reshape(1)
