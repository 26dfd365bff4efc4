"""The learning rate's course: a pure function of the step, so that a resumed or packed trial needs no state for it."""

import math

from fewtune.specs.methods import Schedule


def factor(schedule: Schedule, step: int, steps: int, warmup: int) -> float:
    """Share of the peak learning rate at one optimizer step.

    Rises as (s + 1) / (W + 1), so that no step is spent at zero, then falls from 1 at s = W to 0 at s = S.

    Args:
        schedule: the fall: linear, half a cosine, or none.
        step: s, from 0.
        steps: S, all optimizer steps.
        warmup: W, the first steps, over which the rate rises.

    >>> [round(factor("linear", s, 6, 2), 2) for s in range(6)]
    [0.33, 0.67, 1.0, 0.75, 0.5, 0.25]
    >>> factor("constant", 5, 6, 0)
    1.0
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    done = (step - warmup) / max(1, steps - warmup)
    return 1.0 - done if schedule == "linear" else 0.5 * (1.0 + math.cos(math.pi * done))
