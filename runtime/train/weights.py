"""Moving parameters: one flat fp32 vector of masters for each trial, and the tensors that the model computes with.

The optimizer, the gradient norm and the cast to the base's precision each work on one tensor instead of hundreds. Where
the base is wider than bf16 and the trial is alone, the model's tensors are views of the masters; else they are copies,
renewed after each optimizer step, and their gradients are added to the masters' as soon as they are complete.

Trials that share their steps have one tensor for each name, with the slot as its first axis. A trial whose adapter is
narrower than the widest lies in a corner of its slot. The rest is zero and stays so: for zero rows of A and for zero
columns of B both gradients are zero, and with them AdamW's step and its decay.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn


class Bank:
    """Room for the parameters of one trial, or of several that share their steps.

    Attributes:
        working: name -> what the model computes with: (*shape), or (slots, *shape).
    """

    def __init__(
        self,
        shapes: Mapping[str, Sequence[int]],
        dtype: torch.dtype,
        device: torch.device,
        *,
        slots: int | None = None,
        exact: Collection[str] = (),
    ) -> None:
        """Make room; everything is zero.

        Args:
            shapes: name -> shape of the tensor, of the widest trial.
            dtype: precision of the model.
            device: where the model is.
            slots: how many trials; None: one, whose tensors have no axis for it.
            exact: names that compute in the masters' precision.
        """
        wide = torch.promote_types(dtype, torch.float32)
        sizes = {name: torch.Size(shape) for name, shape in shapes.items()}
        self.slots = slots
        self._flat = torch.zeros(slots or 1, sum(size.numel() for size in sizes.values()), dtype=wide, device=device)
        self._gradients = torch.zeros_like(self._flat)
        self.working: dict[str, nn.Parameter] = {}
        self._masters: dict[str, Tensor] = {}
        self._copies: list[str] = []
        first = [] if slots is None else [slots]
        start = 0
        for name, size in sizes.items():
            part = slice(start, start + size.numel())
            master, gradient = (x[:, part].view(*first, *size) for x in (self._flat, self._gradients))
            self._masters[name] = master
            own = wide if name in exact else dtype
            if slots is None and own == wide:
                self.working[name] = nn.Parameter(master)
                self.working[name].grad = gradient
            else:
                self.working[name] = nn.Parameter(torch.zeros_like(master, dtype=own).contiguous())
                self.working[name].register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                    partial(_hand_over, gradient)
                )
                self._copies.append(name)
            start = part.stop

    def seat(self, initial: Mapping[str, Tensor], slot: int = 0) -> "Weights":
        """Give a slot to a trial that starts from these tensors; whoever had it before is gone.

        Args:
            initial: name -> value, in any precision, on any device; at most as large as the room in each direction.
            slot: from 0.
        """
        master = nn.Parameter(self._flat[slot])
        master.grad = self._gradients[slot]

        def own(room: Tensor) -> Tensor:
            return room if self.slots is None else room.detach()[slot]

        masters = {name: _corner(own(self._masters[name]), value) for name, value in initial.items()}
        working = {name: _corner(own(self.working[name]), value) for name, value in initial.items()}
        copies = [(own(self.working[name]), own(self._masters[name])) for name in self._copies]
        return Weights(master, masters, working, copies, initial)


class Weights:
    """One trial's parameters.

    Attributes:
        master: (numbers,) what the optimizer moves, with the slot's unused room; its gradient is always there.
        working: name -> what the model computes with; of a trial that has its bank alone, the bank's own parameters.
        count: how many numbers move.
    """

    @torch.no_grad()
    def __init__(
        self,
        master: nn.Parameter,
        masters: Mapping[str, Tensor],
        working: Mapping[str, Tensor],
        copies: Sequence[tuple[Tensor, Tensor]],
        initial: Mapping[str, Tensor],
    ) -> None:
        self.master = master
        self.working = working
        self.count = sum(value.numel() for value in initial.values())
        self._masters = masters
        self._copies = [copy for copy, _ in copies]
        self._originals = [original for _, original in copies]
        master.zero_()
        for name, value in initial.items():
            masters[name].copy_(value)
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
        values = self._masters if masters else self.working
        return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in values.items()}


def alone(
    initial: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device, exact: Collection[str] = ()
) -> Weights:
    """The parameters of a trial that shares its steps with no other."""
    return Bank({name: value.shape for name, value in initial.items()}, dtype, device, exact=exact).seat(initial)


def _corner(room: Tensor, value: Tensor) -> Tensor:
    """The first numbers of a room in each direction, as many as the value has."""
    return room if room.shape == value.shape else room[tuple(slice(0, length) for length in value.shape)]


def _hand_over(master_gradient: Tensor, parameter: Tensor) -> None:
    """Add a complete gradient to the master's, and free it."""
    assert parameter.grad is not None
    master_gradient.add_(parameter.grad)
    parameter.grad = None
