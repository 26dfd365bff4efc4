"""Moving parameters: one flat fp32 vector of masters, and the tensors that the model computes with.

The optimizer, the gradient norm and the cast to the base's precision each work on one tensor instead of hundreds. Where
the base is wider than bf16, the model's tensors are views of the masters; else they are bf16 copies, renewed after each
optimizer step, and their gradients are added to the masters' as soon as they are complete.
"""

from collections.abc import Collection, Mapping
from functools import partial

import torch
from torch import Tensor, nn


class Weights:
    """The parameters that training moves.

    Attributes:
        master: (numbers,) what the optimizer moves; its gradient is always there.
        working: name -> what the model computes with.
    """

    def __init__(
        self, initial: Mapping[str, Tensor], dtype: torch.dtype, device: torch.device, exact: Collection[str] = ()
    ) -> None:
        """Copy the initial values.

        Args:
            initial: name -> value, in any precision, on any device.
            dtype: precision of the model.
            device: where the model is.
            exact: names that compute in the masters' precision.
        """
        wide = torch.promote_types(dtype, torch.float32)
        numbers = sum(tensor.numel() for tensor in initial.values())
        flat = torch.empty(numbers, dtype=wide, device=device)
        self.master = nn.Parameter(flat)
        self.master.grad = torch.zeros_like(flat)
        self.working: dict[str, nn.Parameter] = {}
        self._masters: dict[str, Tensor] = {}
        self._copies: list[str] = []
        start = 0
        for name, value in initial.items():
            part = slice(start, start + value.numel())
            master, gradient = (x[part].view(value.shape) for x in (flat, self.master.grad))
            self._masters[name] = master.copy_(value.detach())
            if name in exact or dtype == wide:
                self.working[name] = nn.Parameter(master)
                self.working[name].grad = gradient
            else:
                self.working[name] = nn.Parameter(master.to(dtype))
                self.working[name].register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                    partial(_hand_over, gradient)
                )
                self._copies.append(name)
            start = part.stop

    @property
    def count(self) -> int:
        """How many numbers move."""
        return self.master.numel()

    @torch.no_grad()
    def publish(self) -> None:
        """Give the model the masters' new values, and start new gradients."""
        copies: list[Tensor] = [self.working[name] for name in self._copies]
        if copies:
            torch._foreach_copy_(copies, [self._masters[name] for name in self._copies])
        assert self.master.grad is not None
        self.master.grad.zero_()

    def snapshot(self, *, masters: bool) -> dict[str, Tensor]:
        """Name -> a copy on the CPU, of the masters or of what the model computes with."""
        values: Mapping[str, Tensor] = self._masters if masters else self.working
        return {name: value.detach().to("cpu", copy=True) for name, value in values.items()}


def _hand_over(master_gradient: Tensor, parameter: Tensor) -> None:
    """Add a complete gradient to the master's, and free it."""
    assert parameter.grad is not None
    master_gradient.add_(parameter.grad)
    parameter.grad = None
