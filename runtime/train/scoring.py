"""Prediction without gradients: sorted by length, in batches of about equal work, a shared beginning read once.

In-context arms owe their speed to the shared beginning (their demonstrations are read once for all queries), other arms
with a long instruction gain too. A batch that does not fit into memory is halved until it does.
"""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.memory import empty_cache, out_of_memory
from fewtune.runtime.train.prediction import Prediction, finite_rows
from fewtune.runtime.train.prompt import shared_beginning
from fewtune.runtime.train.pulse import Phase, Pulse
from fewtune.runtime.train.reading import Reader, Tokens

Found = TypeVar("Found")

BUDGET = {"cpu": 1024, "cuda": 32768}
"""Tokens of one batch, padding included; about where larger ones are no faster."""
WORTH_SHARING = 16
"""Tokens that rows must share for reading them apart to pay."""
PREFIX_WEIGHT = 8
"""So many cached tokens weigh as much as one that is computed."""


def batched(lengths: Sequence[int], budget: int, prefix: int = 0) -> list[list[int]]:
    """Places of the rows, longest first, in batches of at most `budget` tokens (or of one row)."""
    batches: list[list[int]] = []
    weight, room = 0, 0
    for place in sorted(range(len(lengths)), key=lambda place: (-lengths[place], place)):
        if room == 0:
            weight = lengths[place] + prefix // PREFIX_WEIGHT
            batches.append([])
            room = max(1, budget // weight)
        batches[-1].append(place)
        room -= 1
    return batches


def predict(tuned: Tuned, rows: Sequence[Tokens], pulse: Pulse, phase: Phase = "scoring") -> Prediction:
    """Probabilities of each row's labels, in the order of `rows`."""
    start = time.perf_counter()
    found = outputs(tuned, rows, pulse, phase)
    probabilities = finite_rows(torch.stack(found).softmax(dim=-1).tolist() if found else [])
    return Prediction(probabilities=tuple(probabilities), seconds=time.perf_counter() - start)


@torch.inference_mode()
def outputs(tuned: Tuned, rows: Sequence[Tokens], pulse: Pulse, phase: Phase) -> list[Tensor]:
    """The logits (labels,) at each row's last token, in the order of `rows`."""
    pulse.beat(phase, 0, len(rows))
    shared = shared_tokens(tuned, rows)
    prefix = tuned.reader.prefix(rows[0][:shared]) if shared else None
    rests = [row[shared:] for row in rows]
    found: dict[int, Tensor] = {}
    budget = BUDGET.get(tuned.reader.device.type, BUDGET["cpu"])
    for places in batched([len(rest) for rest in rests], budget, shared):
        parts = in_halves(lambda part: tuned.logits(part, prefix), [rests[place] for place in places])
        found.update(zip(places, torch.cat(parts), strict=True))
        pulse.beat(phase, len(found), len(rows))
    return [found[place] for place in range(len(rows))]


def shared_tokens(tuned: Tuned, rows: Sequence[Tokens]) -> int:
    """Tokens that are read once for all rows; every row keeps at least its last one."""
    if len(rows) < 2 or not tuned.shares_beginnings:
        return 0
    shared = min(shared_beginning(rows), min(map(len, rows)) - 1)
    return shared if shared >= WORTH_SHARING else 0


@torch.inference_mode()
def features(reader: Reader, rows: Sequence[Tokens], pulse: Pulse) -> list[Tensor]:
    """The features of each row, in the order of `rows`."""
    found: dict[int, Tensor] = {}
    for places in batched([len(row) for row in rows], BUDGET.get(reader.device.type, BUDGET["cpu"])):
        parts = in_halves(reader.features, [rows[place] for place in places])
        found.update(zip(places, torch.cat(parts).cpu(), strict=True))
        pulse.beat("scoring", len(found), len(rows))
    return [found[place] for place in range(len(rows))]


def in_halves(work: Callable[[Sequence[Tokens]], Found], rows: Sequence[Tokens]) -> list[Found]:
    """What `work` makes of the rows, in one piece; in halves of halves where memory is short."""
    try:
        return [work(rows)]
    except Exception as error:
        if len(rows) == 1 or not out_of_memory(error):
            raise
    empty_cache()
    half = len(rows) // 2
    return [*in_halves(work, rows[:half]), *in_halves(work, rows[half:])]
