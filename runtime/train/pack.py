"""Trials that share their steps: one reading of the frozen base for the rows of all of them, each with its own adapter.

What may differ from slot to slot: rank, alpha, seeds, data, lengths, batch and micro-batch sizes, steps, learning rate,
schedule, decay, clipping, validation and early stopping. What must be the same is the `key`. Neighbours change nothing
but rounding, and a trial that diverges harms nobody: no operation mixes the rows of two slots.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from fewtune.compiler.arm import Arm
from fewtune.compiler.packing import key
from fewtune.runtime.train import adaptation, dropout
from fewtune.runtime.train.adaptations import PEFT
from fewtune.runtime.train.adaptations.sites import wrap_sites
from fewtune.runtime.train.dropout import Mask
from fewtune.runtime.train.loop import Course, Example, Learner, Training, step
from fewtune.runtime.train.lora import PackedLinear, Route
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.quantised import AnyLinear
from fewtune.runtime.train.recorded import Recorded, Recorder, recorder
from fewtune.runtime.train.weights import Bank, Weights

T = TypeVar("T")


class Pack:
    """Slots on one base."""

    def __init__(
        self,
        base: Base,
        arms: Sequence[Arm],
        tokens: Sequence[int],
        labels: int,
        slots: int,
        record: Recorder | None = None,
    ) -> None:
        """Make room.

        Args:
            base: the resident model.
            arms: all that will take a seat; their keys are equal.
            tokens: token of each label, for arms without a head.
            labels: how many.
            slots: how many trials share a step.
            record: how steps are recorded; omitted: as CUDA graphs where there is CUDA, or not at all.

        Raises:
            ValueError: for arms that cannot share their steps.
        """
        keys = {key(arm) for arm in arms}
        if len(keys) != 1 or None in keys:
            raise ValueError(f"these arms cannot share their steps: {', '.join(arm.name for arm in arms)}")
        self.base, self.tokens, self.labels = base, tokens, labels
        if record is None and base.device.type == "cuda" and not any(arm.four_bit or arm.masked for arm in arms):
            record = recorder(base.device)
        widest = max(arms, key=lambda arm: arm.lora.rank if arm.lora else 0)
        shapes = {name: value.shape for name, value in adaptation.initial(base, widest, labels, seed=0).items()}
        score = adaptation.score_key(widest)
        recorded = record is not None
        self._bank = Bank(shapes, base.dtype, base.device, slots=slots, exact={score}, recorded=recorded)
        self._route = Route(scales=[0.0] * slots)
        working, model = self._bank.working, base.view({})

        def packed(path: str, linear: AnyLinear) -> nn.Module:
            a, b = (working[f"{PEFT}{path}.lora_{part}.weight"] for part in "AB")
            return PackedLinear(linear, a, b, self._route, dropout.site(path))

        self._dropout = [0.0] * slots
        assert widest.lora is not None
        wrap_sites(model, widest.lora.targets, packed)
        self._reader = base.reader(model)
        self._head = working.get(score) if widest.formulation == "head" else None
        self._words = adaptation.word_readout(model, widest, tokens, base.device)
        self._recorded: Recorded | None = None
        if record is not None:
            read, positions = self._reader.hidden, base.positions
            self._recorded = Recorded(self._bank, self._route, read, self._readout, record, positions)

    @property
    def slots(self) -> int:
        """How many trials share a step."""
        return len(self._route.scales)

    def close(self) -> None:
        """Give up what steps are recorded in; no step comes any more."""
        if self._recorded is not None:
            self._recorded.close()
            self._recorded = None

    def seat(self, slot: int, arm: Arm, init_seed: int) -> Learner:
        """Give a slot to a new trial; the learner's own view of the base serves its validation and its scores."""
        assert arm.lora is not None
        weights: Weights = self._bank.seat(adaptation.initial(self.base, arm, self.labels, init_seed), slot)
        self._route.scales[slot], self._dropout[slot] = arm.lora.scale, arm.lora.dropout
        view = partial(adaptation.tuned, self.base, arm, self.tokens, weights.working)
        return Learner(view, weights, keeps_masters=True)

    def step(self, trainings: Sequence[Training], slots: Sequence[int]) -> None:
        """One optimizer step of each trial, as if each were alone.

        Args:
            trainings: at least one.
            slots: where each is seated, in rising order.
        """
        if self._recorded is not None:
            self._recorded.step(trainings, slots)
        else:
            step(trainings, lambda rows: self.logits(rows, slots))

    def logits(self, rows: Sequence[Sequence[Example]], slots: Sequence[int]) -> Tensor:
        """A logit of each label (or token) at each answer, these slots' rows one after the other: (answers, labels).

        Args:
            rows: of each of the slots, sorted by length; there may be none.
            slots: in rising order; all others have no rows.
        """
        counts = [0] * self.slots
        for slot, part in zip(slots, rows, strict=True):
            counts[slot] = len(part)
        examples = list(chain(*rows))
        flat = [example.tokens for example in examples]
        self._route.masks = self._masks(rows, slots) if any(self._dropout) else ()
        self._route.lay(self._reader.occupied(flat, counts), self.base.dtype, self.base.device)
        hidden = self._reader.read(flat, last=[len(example.answers) for example in examples])
        return self._readout(hidden, torch.repeat_interleave(torch.tensor(counts)).to(hidden.device))

    def _masks(self, rows: Sequence[Sequence[Example]], slots: Sequence[int]) -> tuple[Mask | None, ...]:
        """Which of each slot's rows drop out, and where they lie."""
        masks: list[Mask | None] = [None] * self.slots
        longest = max(len(example.tokens) for part in rows for example in part)
        for slot, part in zip(slots, rows, strict=True):
            starts = self._reader.starts([len(example.tokens) for example in part], longest)
            if self._dropout[slot] and part:
                placed = zip(starts, part, strict=True)
                masks[slot] = Mask(self._dropout[slot], [(start, len(one.tokens), one.key) for start, one in placed])
        return tuple(masks)

    def _readout(self, hidden: Tensor, owners: Tensor) -> Tensor:
        """Logits (answers, labels) of hidden states (answers, hidden), each by the head of its slot (answers,)."""
        if self._head is None:
            return self._words(hidden)
        wide = hidden.to(self._head.dtype)
        return torch.einsum("rh,rlh->rl", wide, self._head.index_select(0, owners))


@dataclass
class Seated(Generic[T]):
    """A trial in its slot."""

    item: T
    training: Training
    seconds: float = 0.0
    """Of its seating, and its share of the steps' time, in equal parts."""


def train_packed(
    pack: Pack, queue: Iterable[T], start: Callable[[T, int], Training]
) -> Iterator[tuple[T, Course, float]]:
    """Train all trials of a queue; a slot that becomes free is given to the next at once.

    Args:
        pack: the slots.
        queue: what is to be trained, the longest first.
        start: seats one in a slot.

    Yields:
        Each trial, what came of it and its share of the seconds, in the order in which they end.
    """
    waiting = iter(queue)
    seated: dict[int, Seated[T]] = {}
    while True:
        for slot in range(pack.slots):
            if slot not in seated and (item := next(waiting, None)) is not None:
                began = time.perf_counter()
                seated[slot] = Seated(item, start(item, slot))
                seated[slot].seconds = time.perf_counter() - began
        if not seated:
            return
        over = [slot for slot in sorted(seated) if seated[slot].training.over]
        for slot in over:
            done = seated.pop(slot)
            yield done.item, done.training.end(), done.seconds
        if over:
            continue
        slots, began = sorted(seated), time.perf_counter()
        pack.step([seated[slot].training for slot in slots], slots)
        share = (time.perf_counter() - began) / len(slots)
        for slot in slots:
            seated[slot].seconds += share
