"""Several labels for a text: a set of them, read out at its last token, or a tag for each word.

A set is one logit for each label, each by itself: a label is given where its sigmoid is one half or more. A tag is read
out at the last token of its word. The model is causal: a token has seen what stands before it and nothing behind it,
so the last token of a word is the first that has seen the whole word.
"""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.loss import NO_LABEL
from fewtune.runtime.train.prediction import Marked, in_sets
from fewtune.runtime.train.pulse import Phase, Pulse
from fewtune.runtime.train.reading import Tokens
from fewtune.runtime.train.scoring import BUDGET, batched, in_halves, outputs
from fewtune.specs.evaluation import Metric


@dataclass(frozen=True)
class Laid:
    """The words of a text as tokens."""

    tokens: Tokens
    """At most as many as can be read."""
    ends: tuple[int, ...]
    """Place of each word's last token; fewer than words where the text is cut."""
    words: int

    def targets(self, tags: Sequence[int]) -> list[int]:
        """For each token the tag that is read out there; NO_LABEL inside of words."""
        found = [NO_LABEL] * len(self.tokens)
        for end, tag in zip(self.ends, tags, strict=False):
            found[end] = tag
        return found


def laid(tokenizer: Tokenizer, text: str, limit: int) -> Laid:
    """Lay out a text whose words have white space between them.

    Args:
        tokenizer: without padding and truncation.
        text: the words.
        limit: tokens that can be read; words behind them are cut off.
    """
    encoding = tokenizer.encode(text)
    ids = list(encoding.ids[:limit]) or list(tokenizer.encode("\n").ids[:limit])
    last_of: dict[int, int] = {}
    """Character -> the last token that covers it."""
    for place, (start, end) in enumerate(encoding.offsets[:limit]):
        last_of.update(dict.fromkeys(range(start, end), place))
    ends, at, words = list[int](), 0, text.split()
    for word in words:
        at = text.index(word, at) + len(word)
        if at - 1 not in last_of or any(start < at <= end for start, end in encoding.offsets[limit:]):
            break
        ends.append(last_of[at - 1])
    return Laid(tokens=ids, ends=tuple(ends), words=len(words))


def predict_sets(tuned: Tuned, rows: Sequence[Tokens], metric: Metric, pulse: Pulse, phase: Phase) -> Marked:
    """The labels of each row, in the order of `rows`."""
    start = time.perf_counter()
    shares = certain(torch.stack(outputs(tuned, rows, pulse, phase)).sigmoid().tolist()) if rows else ()
    return in_sets(shares, metric, time.perf_counter() - start)


def certain(rows: Iterable[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    """The rows as tuples; a share that is not finite, as a diverged model gives, says nothing: it becomes 0."""
    return tuple(tuple(share if math.isfinite(share) else 0.0 for share in row) for row in rows)


@torch.inference_mode()
def predict_tags(
    tuned: Tuned, rows: Sequence[Laid], outside: int, metric: Metric, pulse: Pulse, phase: Phase, names: Sequence[str]
) -> Marked:
    """The tag of each word of each row, in the order of `rows`.

    Args:
        tuned: the model with its head.
        rows: what to read.
        outside: the tag of words that are cut off.
        metric: what states are ranked by.
        pulse: told of every batch.
        phase: of the job.
        names: of the tags.
    """
    start, found = time.perf_counter(), dict[int, tuple[int, ...]]()
    pulse.beat(phase, 0, len(rows))

    def read(part: Sequence[Tokens]) -> list[Tensor]:
        counts = [len(row) for row in part]
        return list(tuned.logits(part, last=counts).argmax(-1).split_with_sizes(counts))

    for places in batched([len(row.tokens) for row in rows], BUDGET.get(tuned.reader.device.type, BUDGET["cpu"])):
        best = [each for part in in_halves(read, [rows[place].tokens for place in places]) for each in part]
        for place, each in zip(places, best, strict=True):
            tags = each.tolist()
            seen = [tags[end] for end in rows[place].ends]
            found[place] = (*seen, *[outside] * (rows[place].words - len(seen)))
        pulse.beat(phase, len(found), len(rows))
    return Marked(
        marks=tuple(found[place] for place in range(len(rows))), metric=metric, kind="tags", names=tuple(names),
        seconds=time.perf_counter() - start,
    )  # fmt: skip
