"""Moving parameters: one flat fp32 vector of masters for each trial, and the tensors that the model computes with.

The optimizer, the gradient norm and the cast to the base's precision each work on one tensor instead of hundreds. Where
the base is wider than bf16 and the trial is alone, the model's tensors are views of the masters; else they are copies,
renewed after each optimizer step, and their gradients are added to the masters' as soon as they are complete.

Trials that share their steps have one tensor for each name, with the slot as its first axis. A trial whose adapter is
narrower than the widest lies in a corner of its slot. The rest is zero and stays so: for zero rows of A and for zero
columns of B both gradients are zero, and with them AdamW's step and its decay.

Each trial has an AdamW of its own on its vector of masters. Where a bank is `recorded`, all that differs from step to
step is a number on the device, so that a recorded step may be replayed: learning rates, and which trials have diverged.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.optim import AdamW

Room = tuple[slice, torch.Size, torch.Size]
"""Where a tensor lies in a slot's numbers, the shape of its room there, and its own shape, which may be smaller."""
BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Bank:
    """Room for the parameters of one trial, or of several that share their steps.

    Attributes:
        working: name -> what the model computes with: (*shape), or (slots, *shape).
        gradients: (slots, numbers), of the masters.
        optimizers: one for each slot.
        rates: (slots,) learning rates of a recorded bank.
        diverged: (slots,) 1 where a recorded bank's slot is not to move.
    """

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        dtype: torch.dtype,
        device: torch.device,
        *,
        slots: int | None = None,
        exact: Collection[str] = (),
        rates: Mapping[str, float] | None = None,
        recorded: bool = False,
    ) -> None:
        """Make room; everything is zero.

        Args:
            shapes: name -> shape of the tensor, of the widest trial.
            dtype: precision of the model.
            device: where the model is.
            slots: how many trials; None: one, whose tensors have no axis for it.
            exact: names that compute in the masters' precision.
            rates: name -> factor of its learning rate, where it is not one; not together with `recorded`.
            recorded: whether steps are replayed.
        """
        wide = torch.promote_types(dtype, torch.float32)
        factors = {name: (rates or {}).get(name, 1.0) for name in shapes}
        sizes = {name: torch.Size(shapes[name]) for name in sorted(shapes, key=lambda name: factors[name])}
        self._groups = _groups(sizes, factors)
        self.slots = slots
        self._flat = torch.zeros(slots or 1, sum(size.numel() for size in sizes.values()), dtype=wide, device=device)
        self.gradients = torch.zeros_like(self._flat)
        self.rates = self._flat.new_zeros(slots or 1)
        self.diverged = torch.zeros(slots or 1, device=device)
        self._moving = [nn.Parameter(numbers) for numbers in self._flat]
        for slot, moving in enumerate(self._moving):
            moving.grad = self.gradients[slot]
        self.optimizers = [self._optimizer(slot, recorded=recorded) for slot in range(len(self._moving))]
        self.working: dict[str, nn.Parameter] = {}
        self._parts: dict[str, tuple[slice, torch.Size]] = {}
        self._copies: list[tuple[Tensor, Tensor]] = []
        """What is copied after each step, and from where."""
        narrow = torch.zeros_like(self._flat, dtype=dtype) if recorded else None
        if narrow is not None:
            self._copies.append((narrow, self._flat))
        first = [] if slots is None else [slots]
        start = 0
        for name, size in sizes.items():
            part = slice(start, start + size.numel())
            self._parts[name] = (part, size)
            master, gradient = (x[:, part].view(*first, *size) for x in (self._flat, self.gradients))
            own = wide if name in exact else dtype
            if slots is None and own == wide:
                self.working[name] = nn.Parameter(master)
                self.working[name].grad = gradient
            elif narrow is not None and own == dtype:
                self.working[name] = nn.Parameter(narrow[:, part].view(*first, *size))
            else:
                self.working[name] = self._copy(master, own, gradient)
            start = part.stop

    def _copy(self, master: Tensor, dtype: torch.dtype, gradient: Tensor) -> nn.Parameter:
        """What is renewed from a master, and hands its gradient over."""
        copy = nn.Parameter(torch.zeros_like(master, dtype=dtype).contiguous())
        copy.register_post_accumulate_grad_hook(partial(_hand_over, gradient))  # type: ignore[no-untyped-call]
        self._copies.append((copy.detach(), master))
        return copy

    def _part(self, slot: int, part: slice) -> nn.Parameter:
        """Some of a slot's numbers, with their gradient; the whole vector where all have one rate."""
        if len(self._groups) == 1:
            return self._moving[slot]
        moving = nn.Parameter(self._flat[slot][part])
        moving.grad = self.gradients[slot][part]
        return moving

    def _optimizer(self, slot: int, *, recorded: bool) -> AdamW:
        groups = [
            {"params": [self._part(slot, part)], "factor": factor} for factor, part in self._groups
        ]  # one vector, cut where rates differ
        optimizer = AdamW(groups, lr=0.0, betas=BETAS, eps=EPSILON, weight_decay=0.0, fused=True)
        if recorded:
            optimizer.param_groups[0] |= {"lr": self.rates[slot], "capturable": self._flat.is_cuda}
            optimizer.found_inf = self.diverged[slot]  # type: ignore[attr-defined]  # then the fused step does nothing
        return optimizer

    @torch.no_grad()
    def seat(self, initial: Mapping[str, Tensor], slot: int = 0) -> "Weights":
        """Give a slot to a trial that starts from these tensors; whoever had it before is gone.

        Args:
            initial: name -> value, in any precision, on any device; at most as large as the room in each direction.
            slot: from 0.
        """
        optimizer, numbers = self.optimizers[slot], self._flat[slot]
        for state in optimizer.state.values():
            for value in state.values():
                value.zero_()

        def own(room: Tensor) -> Tensor:
            return room if self.slots is None else room.detach()[slot]

        rooms = {name: (*self._parts[name], value.shape) for name, value in initial.items()}
        start = numbers.zero_() if self.slots is None else torch.zeros_like(numbers, device="cpu")
        for name, room in _named(start, rooms).items():
            room.copy_(initial[name])
        numbers.copy_(start)  # at once: hundreds of small copies to a GPU take longer than many steps
        working = {name: _corner(own(self.working[name]), value.shape) for name, value in initial.items()}
        copies = [(own(copy), own(master)) for copy, master in self._copies]
        return Weights(optimizer, self._moving[slot], rooms, working, copies)

    def collect(self, gradients: Sequence[Tensor]) -> None:
        """Add gradients of the working tensors, in their order, to the masters'; for banks with slots."""
        self.gradients.add_(torch.cat([gradient.flatten(1) for gradient in gradients], dim=1))

    @torch.no_grad()
    def publish(self) -> None:
        """Give the model the masters' new values in all slots, and start new gradients."""
        torch._foreach_copy_([copy for copy, _ in self._copies], [master for _, master in self._copies])
        self.gradients.zero_()


class Weights:
    """One trial's parameters.

    Attributes:
        optimizer: of the masters.
        master: (numbers,) what the optimizer moves, with the slot's unused room; its gradient is always there.
        working: name -> what the model computes with; of a trial that has its bank alone, the bank's own parameters.
        count: how many numbers move.
    """

    def __init__(
        self,
        optimizer: AdamW,
        master: nn.Parameter,
        rooms: Mapping[str, Room],
        working: Mapping[str, Tensor],
        copies: Sequence[tuple[Tensor, Tensor]],
    ) -> None:
        self.optimizer = optimizer
        self.master = master
        self.working = working
        self.count = sum(value.numel() for value in working.values())
        self._rooms = rooms
        self._copies = [copy for copy, _ in copies]
        self._originals = [original for _, original in copies]
        self.publish()

    @torch.no_grad()
    def publish(self) -> None:
        """Give the model the masters' new values, and start new gradients."""
        if self._copies:
            torch._foreach_copy_(self._copies, self._originals)
        assert self.master.grad is not None
        self.master.grad.zero_()

    def snapshot(self, *, masters: bool) -> dict[str, Tensor]:
        """Name -> a copy on the CPU, of the masters or of what the model computes with."""
        if masters:
            numbers = self.master.detach().cpu()  # at once, as above
            return {name: value.clone() for name, value in _named(numbers, self._rooms).items()}
        return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in self.working.items()}


def alone(
    initial: Mapping[str, Tensor],
    dtype: torch.dtype,
    device: torch.device,
    exact: Collection[str] = (),
    rates: Mapping[str, float] | None = None,
) -> Weights:
    """The parameters of a trial that shares its steps with no other."""
    shapes = {name: value.shape for name, value in initial.items()}
    return Bank(shapes, dtype, device, exact=exact, rates=rates).seat(initial)


def _groups(sizes: Mapping[str, torch.Size], factors: Mapping[str, float]) -> list[tuple[float, slice]]:
    """(factor of the learning rate, its numbers) for tensors that lie in the order of their factors."""
    found: dict[float, slice] = {}
    start = 0
    for name, size in sizes.items():
        first = found.setdefault(factors[name], slice(start, start)).start
        start += size.numel()
        found[factors[name]] = slice(first, start)
    return list(found.items())


def _named(numbers: Tensor, rooms: Mapping[str, Room]) -> dict[str, Tensor]:
    """Name -> its part of a slot's numbers, in its shape."""
    return {name: _corner(numbers[part].view(size), shape) for name, (part, size, shape) in rooms.items()}


def _corner(room: Tensor, shape: torch.Size) -> Tensor:
    """The first numbers of a room in each direction, as many as there are in the shape."""
    return room if room.shape == shape else room[tuple(slice(0, length) for length in shape)]


def _hand_over(master_gradient: Tensor, parameter: Tensor) -> None:
    """Add a complete gradient to the master's, and free it."""
    assert parameter.grad is not None
    master_gradient.add_(parameter.grad)
    parameter.grad = None
