"""The training loop that anyone would write: padded batches with a mask, all at once, one learning rate a step."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from fewtune.compiler.arm import Recipe
from fewtune.runtime.train.loop import Example
from fewtune.runtime.train.order import batches
from fewtune.runtime.train.schedule import factor

Logits = Callable[[Tensor, Tensor], Tensor]
"""(ids, mask), both (B, L), to the labels' logits, (B, labels)."""


def train(
    parameters: Sequence[Tensor],
    logits: Logits,
    recipe: Recipe,
    data: Sequence[Example],
    seed: int,
    factors: Sequence[float] | None = None,
) -> list[float]:
    """Train by AdamW, each parameter with its factor of the rate; returns the loss of each step."""
    return list(steps(parameters, logits, recipe, data, seed, factors))


def steps(
    parameters: Sequence[Tensor],
    logits: Logits,
    recipe: Recipe,
    data: Sequence[Example],
    seed: int,
    factors: Sequence[float] | None = None,
) -> Iterator[float]:
    """The same, a step at a time."""
    each = zip(parameters, factors or [1.0] * len(parameters), strict=True)
    groups = [{"params": [parameter], "factor": factor} for parameter, factor in each]
    optimizer = torch.optim.AdamW(groups, weight_decay=recipe.weight_decay, lr=0.0)
    stream = batches(len(data), recipe.batch_size, seed)
    for step in range(recipe.steps):
        batch = [data[place] for place in next(stream)]
        longest = max(len(example.tokens) for example in batch)
        ids = torch.tensor([[*example.tokens, *[0] * (longest - len(example.tokens))] for example in batch])
        mask = torch.tensor([[place < len(example.tokens) for place in range(longest)] for example in batch]).long()
        loss = functional.cross_entropy(logits(ids, mask), torch.tensor([example.label for example in batch]))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = (
                group["factor"]
                * recipe.learning_rate
                * factor(recipe.schedule, step, recipe.steps, recipe.warmup_steps)
            )
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def last(x: Tensor, mask: Tensor) -> Tensor:
    """What stands at each row's last token: (B, L, ...) -> (B, ...)."""
    return x[torch.arange(len(x)), mask.sum(1) - 1]
