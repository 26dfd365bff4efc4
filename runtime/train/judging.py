"""Texts whose log-probabilities are compared: as training examples, in a training step, and for a score.

The base's log-probabilities are computed once for each text and kept with it. In a step, the texts of an example are
read side by side; the loss is a mean over pairs (KTO: over texts), so that micro-batches change rounding only.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain
from math import isfinite
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fewtune.compiler.arm import PreferenceLoss
from fewtune.runtime.train import preference
from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.loop import Example, Logits
from fewtune.runtime.train.prediction import Compared
from fewtune.runtime.train.pulse import Phase, Pulse
from fewtune.runtime.train.scoring import batched, in_halves
from fewtune.store.judgements import FAR, Item

WITH_BASE = ("dpo", "kto")
"""Losses that know the base's log-probabilities."""
BUDGET = {"cpu": 512, "cuda": 16384}
"""Tokens of one batch, padding included: each of a target has a logit for every token there is."""


@dataclass(frozen=True)
class Judged(Example):
    """A training example of several texts, the preferred one first; `tokens` are those of all of them."""

    texts: tuple[Example, ...] = ()
    """A pair, or one text."""
    base: tuple[float, ...] = ()
    """The base's log-probability of each text; none where the loss does not ask."""
    liked: tuple[bool, ...] = ()
    """Whether each text was."""
    stray: Example | None = None
    """Another row's text behind this row's prompt."""
    base_stray: float = 0.0


def judged(texts: Sequence[Example], **more: Any) -> Judged:
    """An example of these texts."""
    return Judged(tokens=[token for text in texts for token in text.tokens], texts=tuple(texts), **more)


def log_probabilities(scores: Tensor, texts: Sequence[Example]) -> Tensor:
    """Sum of the log-probabilities of each text's tokens, (texts,).

    Args:
        scores: a logit of each token there is at each token of the texts, one text's after the other's.
        texts: whose target's tokens these are.
    """
    owners = [owner for owner, text in enumerate(texts) for _ in text.target]
    tokens = torch.tensor([token for text in texts for token in text.target], device=scores.device)
    each = -functional.cross_entropy(scores, tokens, reduction="none")
    return each.new_zeros(len(texts)).index_add(0, torch.tensor(owners, device=scores.device), each)


@torch.inference_mode()
def measured(tuned: Tuned, texts: Sequence[Example], pulse: Pulse, phase: Phase) -> list[float]:
    """Log-probability of each text, in their order."""
    pulse.beat(phase, 0, len(texts))
    found: dict[int, float] = {}

    def work(part: Sequence[Any]) -> Tensor:
        some = [texts[place] for (place,) in part]
        scores = tuned.logits([text.tokens for text in some], last=[len(text.target) for text in some])
        return log_probabilities(scores, some)

    for places in batched([len(text.tokens) for text in texts], BUDGET.get(tuned.reader.device.type, BUDGET["cpu"])):
        parts = in_halves(work, [[place] for place in places])
        found.update(zip(places, torch.cat(parts).tolist(), strict=True))
        pulse.beat(phase, len(found), len(texts))
    return [found[place] for place in range(len(texts))]


@dataclass(frozen=True)
class Judge:
    """The backward pass of a preference loss, in the place of cross-entropy's."""

    loss: PreferenceLoss
    weights: tuple[float, float] = (1.0, 1.0)
    """KTO: of texts that were liked, and of others."""

    def backward(self, batches: Sequence[Sequence[Sequence[Example]]], logits: Logits) -> Tensor:
        """Add the gradients of the mean loss over a batch, whose trial is alone; returns the loss, (1,).

        Args:
            batches: one trial's micro-batches of `Judged` examples.
            logits: gives the texts' logits.
        """
        (parts,) = batches
        examples = [each for part in parts for each in _all_judged(part)]
        count = sum(len(each.texts) for each in examples) if self.loss.kind == "kto" else len(examples)
        divergence = self._divergence(parts, logits) if self.loss.kind == "kto" else None
        losses = []
        for part in parts:
            pieces = _all_judged(part)
            texts = [text for each in pieces for text in each.texts]
            total = self._losses(pieces, log_probabilities(logits([texts]), texts), divergence).sum() / count
            total.backward()  # type: ignore[no-untyped-call]
            losses.append(total.detach())
        return torch.stack(losses).sum().reshape(1)

    @torch.no_grad()
    def _divergence(self, parts: Sequence[Sequence[Example]], logits: Logits) -> Tensor:
        """KTO's reference point, of the whole batch."""
        rewards = []
        for part in parts:
            strays = [(each.stray, each.base_stray) for each in _all_judged(part) if each.stray is not None]
            texts = [text for text, _ in strays]
            if texts:
                sums = log_probabilities(logits([texts]), texts)
                rewards.append(sums - sums.new_tensor([base for _, base in strays]))
        return preference.divergence_of(torch.cat(rewards)) if rewards else torch.zeros(())

    def _losses(self, examples: Sequence[Judged], sums: Tensor, divergence: Tensor | None) -> Tensor:
        """Loss of each pair (KTO: of each text) from the log-probabilities of all texts in their order."""
        loss = self.loss
        base = sums.new_tensor([value for each in examples for value in each.base])
        if loss.kind == "kto":
            liked = torch.tensor([value for each in examples for value in each.liked], device=sums.device)
            weights = torch.where(liked, sums.new_tensor(self.weights[0]), sums.new_tensor(self.weights[1]))
            assert divergence is not None
            return preference.kto(sums - base, liked, divergence.to(sums.device), weights, loss.beta)
        if loss.kind == "dpo":
            return preference.dpo(sums[::2], sums[1::2], base[::2], base[1::2], loss.beta)
        lengths = sums.new_tensor([len(text.target) for each in examples for text in each.texts])
        means = sums / lengths
        if loss.kind == "orpo":
            return preference.orpo(means[::2], means[1::2], loss.odds_weight)
        return preference.simpo(means[::2], means[1::2], loss.beta, loss.reward_margin)


def _all_judged(examples: Sequence[Example]) -> list[Judged]:
    return [each for each in examples if isinstance(each, Judged)]


Measure = Callable[[Sequence[Example]], list[float]]
"""Texts to their log-probabilities."""


def training_examples(rows: Sequence[Sequence[Example]], liked: Sequence[Sequence[bool]], loss: PreferenceLoss,
                      base: Measure) -> list[Judged]:  # fmt: skip
    """Each row's texts as an example, with what the loss knows of the base.

    KTO's stray of a row is the first text of the next row (of the first one behind the last), behind its own prompt.

    Args:
        rows: the texts of each row, the preferred one first.
        liked: whether each of them was.
        loss: what it is to be learnt by.
        base: measures texts by the base.
    """
    if loss.kind not in WITH_BASE:
        return [judged(texts, liked=tuple(said)) for texts, said in zip(rows, liked, strict=True)]
    sums = iter(base(list(chain(*rows))))
    known = [tuple(next(sums) for _ in texts) for texts in rows]
    strays: list[Example | None] = [None] * len(rows)
    if loss.kind == "kto" and len(rows) > 1:
        strays = [_behind(texts[0], other[0]) for texts, other in zip(rows, [*rows[1:], rows[0]], strict=True)]
    kept = [stray for stray in strays if stray is not None]
    values = base(kept) if kept else [0.0] * len(rows)
    return [
        judged(texts, base=own, liked=tuple(said), stray=stray, base_stray=value)
        for texts, own, said, stray, value in zip(rows, known, liked, strays, values, strict=True)
    ]


def _behind(text: Example, other: Example) -> Example:
    """Another text's target behind this text's prompt."""
    prompt = list(text.tokens[: len(text.tokens) - len(text.target) + 1])
    return Example([*prompt, *other.target[:-1]], target=other.target)


@dataclass
class Reference:
    """The base's log-probabilities, each computed once while a worker lives."""

    known: dict[tuple[Any, ...], float] = field(default_factory=dict)

    def of(self, name: Any, texts: Sequence[Example], base: Measure) -> list[float]:
        """Of these texts; `name` tells bases apart."""
        keys = [(name, tuple(text.tokens), tuple(text.target)) for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self.known}
        self.known.update(zip(new, base(list(new.values())), strict=True) if new else ())
        return [self.known[key] for key in keys]


def compared(rows: Sequence[Sequence[Example]], liked: Sequence[bool | None], own: Measure, base: Measure) -> Compared:
    """How likely an arm finds the texts of some rows, beside its base.

    Args:
        rows: the texts of each row: a pair with the preferred one first, or one text.
        liked: whether a single text was; None for a pair.
        own: measures texts by the arm.
        base: measures them by its base.
    """
    start = time.perf_counter()
    texts = list(chain(*rows))
    means = [
        tuple(_mean(value, len(text.target)) for value, text in zip(sums, texts, strict=True))
        for sums in (own(texts), base(texts))
    ]
    ends = list(accumulate(len(row) for row in rows))
    places = [slice(end - len(row), end) for end, row in zip(ends, rows, strict=True)]
    items = [Item(own=means[0][at], base=means[1][at], liked=said) for at, said in zip(places, liked, strict=True)]
    return Compared(items=tuple(items), seconds=time.perf_counter() - start)


def _mean(total: float, tokens: int) -> float:
    """Of a token; where it is not finite, as of a model that fell apart, as unlikely as scores go."""
    return total / tokens if isfinite(total) else -FAR
