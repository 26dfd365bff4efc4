"""The order of the training examples: shuffled epochs without end, each a pure function of seed and epoch number.

Python's own generator, seeded with text, gives the same permutation on every platform and needs no torch.
"""

import random
from collections.abc import Iterator, Sequence
from itertools import count, islice


def permutation(rows: int, seed: int, epoch: int) -> list[int]:
    """The order of one epoch."""
    order = list(range(rows))
    random.Random(f"order {seed} {epoch}").shuffle(order)
    return order


def batches(rows: int, size: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Batches of `size` row positions from an endless stream of epochs; they run across the borders of epochs."""
    stream = (row for epoch in count() for row in permutation(rows, seed, epoch))
    while True:
        yield tuple(islice(stream, size))


def balanced(labels: Sequence[int], seed: int) -> list[int]:
    """All row positions in rounds of one row of each label, so that every beginning is as balanced as can be.

    >>> balanced([0, 0, 0, 1, 1, 2], seed=1)
    [2, 5, 3, 1, 4, 0]
    """
    shuffled = permutation(len(labels), seed, 0)
    seen: dict[int, int] = {}
    rounds = []
    for row in shuffled:
        label = labels[row]
        rounds.append((seen.setdefault(label, 0), row))
        seen[label] += 1
    return [row for _, row in sorted(rounds, key=lambda place: place[0])]
