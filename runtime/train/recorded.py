"""Steps in fixed shapes, recorded once and replayed: a GPU is told one thing a step instead of thousands.

A LoRA step of a small model launches thousands of kernels of a few microseconds, and the host needs longer to launch
them than the GPU to run them. So the rows of all slots are laid out in one of few shapes, whatever differs from step to
step is a number in a buffer on the device, and the kernels are recorded as a CUDA graph the second time a shape occurs.
A slot that is given to another trial changes contents only. What fills a shape up has no share in any loss, lies in its
slot's own rows, and is never mixed with another's.

Shapes: k slots, n rows of each, L places for the tokens of a row, m places for the answers of a slot.
"""

import warnings
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest

import torch
from torch import Tensor
from torch.nn import functional

from fewtune.runtime.train.loop import Example, Training
from fewtune.runtime.train.lora import Route
from fewtune.runtime.train.memory import empty_cache
from fewtune.runtime.train.weights import Bank

Work = Callable[[], None]
Recorder = Callable[[Work], Work]
"""What is to be done on fixed buffers -> what does it again."""
Read = Callable[[Tensor], Tensor]
"""Tokens (rows, L) -> hidden states (rows, L, hidden)."""
Readout = Callable[[Tensor, Tensor], Tensor]
"""Hidden states (answers, hidden) and the slot of each (answers,) -> logits (answers, labels), in fp32 or wider."""
MOST = 32
"""Shapes of one pack; further ones are not recorded."""
STEP = 16
"""L is rounded up to a multiple, and so is m where rows have several answers: few shapes occur."""


def recorder(device: torch.device) -> Recorder:
    """Records CUDA graphs, which share their memory: they are replayed one after the other."""
    pool, stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def record(work: Work) -> Work:
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream(device)
        try:
            with torch.cuda.device(device), torch.cuda.graph(graph, pool=pool, stream=stream):
                work()
        finally:
            torch.cuda.set_stream(before)  # a recording that failed leaves its own

        def replay() -> None:
            with torch.cuda.device(device):
                graph.replay()

        return replay

    return record


class Recorded:
    """All steps of one pack."""

    def __init__(
        self, bank: Bank, route: Route, read: Read, readout: Readout, record: Recorder, positions: int
    ) -> None:
        """Prepare the first step; the bank is empty.

        Args:
            bank: a recorded one.
            route: the pack's; its scales are read anew in each step.
            read: through the packed layers.
            readout: of the answers.
            record: says how work is repeated.
            positions: longest L.
        """
        self.bank, self.route, self.read, self.readout = bank, route, read, readout
        slots = len(bank.rates)
        self.losses = bank.gradients.new_zeros(slots)
        self.limits = bank.gradients.new_zeros(slots)
        """Largest gradient norm of each slot."""
        self.scales = bank.gradients.new_zeros(slots, 1, 1)
        self.found = bank.gradients.new_zeros(2, slots)
        """Losses and gradient norms of the last step."""
        self._record: Recorder | None = record
        """None: steps are launched operation by operation from now on."""
        self._positions = positions
        self._layouts: dict[tuple[int, int, int], _Layout] = {}
        self._updates: dict[tuple[float, ...], Work] = {}
        self._update()  # makes the optimizers' states, which no recording may do

    def step(self, trainings: Sequence[Training], slots: Sequence[int]) -> None:
        """One optimizer step of the trials in these slots; the host waits for the device once."""
        self._tell(trainings, slots)
        drawn = dict(zip(slots, (training.draw() for training in trainings), strict=True))
        answers = {slot: sum(len(each.answers) for each in chain(*parts)) for slot, parts in drawn.items()}
        for parts in zip_longest(*drawn.values(), fillvalue=()):
            rows = dict(zip(drawn, parts, strict=True))
            self._layout(rows).run(rows, answers)
        decays = tuple(optimizer.param_groups[0]["weight_decay"] for optimizer in self.bank.optimizers)
        if decays not in self._updates:
            self._updates[decays] = self.repeated(self._update) or self._update
        self._updates[decays]()
        losses, norms = self.found.tolist()
        for training, slot in zip(trainings, slots, strict=True):
            training.moved(losses[slot], norms[slot])

    def _tell(self, trainings: Sequence[Training], slots: Sequence[int]) -> None:
        """Write the numbers of this step; a slot without a trial does not move."""
        rates, limits = [0.0] * len(self.bank.rates), [1.0] * len(self.bank.rates)
        for training, slot in zip(trainings, slots, strict=True):
            rates[slot], limits[slot] = training.rate, training.recipe.max_grad_norm
        told = torch.tensor([rates, limits, self.route.scales], dtype=torch.float64).to(self.limits.device)
        self.bank.rates.copy_(told[0])
        self.limits.copy_(told[1])
        self.scales.copy_(told[2][:, None, None])

    def _layout(self, rows: dict[int, Sequence[Example]]) -> "_Layout":
        """The smallest shape that these rows fit in."""
        count = max(map(len, rows.values()))
        longest = min(_up(max(len(each.tokens) for each in chain(*rows.values()))), self._positions)
        answers = max(sum(len(each.answers) for each in part) for part in rows.values())
        shape = (count, longest, count if answers <= count else _up(answers))
        if shape not in self._layouts:
            self._layouts[shape] = _Layout(self, *shape)
        return self._layouts[shape]

    def repeated(self, work: Work) -> Work | None:
        """What does this work again; None where it is not recorded: it cannot be, or there are too many recordings."""
        if self._record is None or len(self._layouts) > MOST:
            return None
        try:
            return self._record(work)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # an operation of this model that waits for the device, say
            warnings.warn(f"steps cannot be recorded and are slower: {error}", RuntimeWarning, stacklevel=2)
            self._record = None
            return None

    @property
    def records(self) -> bool:
        """Whether steps are recorded."""
        return self._record is not None

    def stop(self) -> None:
        """Give up all recordings and their memory; steps go on without."""
        self._record = None
        self._updates.clear()
        for layout in self._layouts.values():
            layout.forget()
        empty_cache()

    def close(self) -> None:
        """Give up everything: no step comes any more. What refers to itself would wait for the collector else."""
        self.stop()
        self._layouts.clear()
        del self.read, self.readout

    def _update(self) -> None:
        """Clip each slot's gradient, take its optimizer step unless it has diverged, and start anew."""
        bank = self.bank
        norms = torch.linalg.vector_norm(bank.gradients, dim=1)
        bank.gradients.mul_((self.limits / (norms + 1e-6)).clamp_max(1.0)[:, None])
        bank.diverged.copy_(~torch.isfinite(norms + self.losses))
        for optimizer in bank.optimizers:
            optimizer.step()
        bank.publish()
        self.found[0].copy_(self.losses)
        self.found[1].copy_(norms)
        self.losses.zero_()


class _Layout:
    """The buffers of one shape, and what is done on them."""

    def __init__(self, owner: Recorded, rows: int, longest: int, answers: int) -> None:
        self.owner, self.rows, self.longest, self.answers = owner, rows, longest, answers
        slots, device = len(owner.losses), owner.losses.device
        self.tokens, self.places = slots * rows * longest, slots * answers
        self.numbers = torch.zeros(self.tokens + 2 * self.places, dtype=torch.long, device=device)
        """Tokens, the place of each answer's hidden state, its label (or token)."""
        self.shares = owner.losses.new_zeros(self.places)
        """Of each answer in its trial's loss."""
        self.owners = torch.arange(slots, device=device).repeat_interleave(answers)
        self._replay: Work | None = None
        self._warm = False

    def run(self, rows: dict[int, Sequence[Example]], answers: dict[int, int]) -> None:
        """Add the gradients of one micro-batch of each slot; `answers` are those of each slot's whole batch."""
        self._fill(rows, answers)
        try:
            if self._warm and self._replay is None:
                self._replay = self.owner.repeated(self._work)
            (self._replay or self._work)()
        except torch.OutOfMemoryError:
            if not self.owner.records:
                raise
            full = True
        else:
            full = False
        if full:  # recordings hold what they need for good; nothing was added yet
            self.owner.stop()
            self._work()
        self._warm = True  # what libraries do at their first use only is not to be recorded

    def forget(self) -> None:
        """Give up the recording."""
        self._replay = None

    def _fill(self, rows: dict[int, Sequence[Example]], answers: dict[int, int]) -> None:
        slots, longest = len(self.owner.losses), self.longest
        tokens = [0] * self.tokens
        places, labels, shares = [], [0] * self.places, [0.0] * self.places
        for slot in range(slots):
            first, at = slot * self.rows * longest, slot * self.answers
            places += [first] * self.answers
            for example in rows.get(slot, ()):
                count, length = len(example.answers), len(example.tokens)
                tokens[first : first + longest] = [*example.tokens, *[example.tokens[-1]] * (longest - length)]
                places[at : at + count] = range(first + length - count, first + length)
                labels[at : at + count] = example.answers
                shares[at : at + count] = [1.0 / answers[slot]] * count
                first, at = first + longest, at + count
        self.numbers.copy_(torch.tensor(tokens + places + labels))
        self.shares.copy_(torch.tensor(shares, dtype=self.shares.dtype))

    def _work(self) -> None:
        owner, slots = self.owner, len(self.owner.losses)
        owner.route.each, owner.route.factors = self.rows * self.longest, owner.scales
        ids, places, labels = torch.split(self.numbers, [self.tokens, self.places, self.places])
        hidden = owner.read(ids.view(-1, self.longest)).flatten(0, 1).index_select(0, places)
        scores = owner.readout(hidden, self.owners)
        losses = functional.cross_entropy(scores, labels, reduction="none") * self.shares
        working = list(owner.bank.working.values())
        owner.bank.collect(torch.autograd.grad(losses.sum(), working, allow_unused=True, materialize_grads=True))
        owner.losses.add_(losses.detach().view(slots, -1).sum(1))


def _up(count: int) -> int:
    return -(-count // STEP) * STEP
