"""The order of the training examples."""

from collections import Counter
from itertools import islice

import pytest

from fewtune.runtime.train.order import balanced, batches, permutation


@pytest.mark.parametrize(("rows", "size"), [(10, 4), (8, 8), (3, 8), (1, 5)])
def test_every_epoch_holds_every_row_once_across_batch_borders(rows: int, size: int) -> None:
    drawn = [row for batch in islice(batches(rows, size, seed=7), 30) for row in batch]
    assert len(drawn) == 30 * size
    for start in range(0, len(drawn) - rows, rows):
        assert sorted(drawn[start : start + rows]) == list(range(rows))


def test_order_depends_on_seed_and_epoch_only() -> None:
    assert permutation(50, 1, 0) == permutation(50, 1, 0)
    assert len({tuple(permutation(50, seed, epoch)) for seed in range(5) for epoch in range(5)}) == 25


def test_the_order_is_the_same_on_every_platform() -> None:
    assert permutation(10, 3, 0) == [1, 2, 0, 9, 6, 3, 7, 8, 4, 5]


def test_every_beginning_is_balanced() -> None:
    labels = [0] * 20 + [1] * 20 + [2] * 4
    order = balanced(labels, seed=3)
    assert sorted(order) == list(range(44))
    for count in range(1, 13):
        counts = Counter(labels[row] for row in order[:count])
        assert max(counts.values()) - min(counts.get(label, 0) for label in range(3)) <= 1
    assert balanced(labels, seed=4) != order
