"""Cross-fitting: no row is predicted by what saw it."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from fewtune.compiler.facts import SplitFacts
from fewtune.runtime.train.cross_fit import LEAST, cross_fitted, effort


def split(groups: Sequence[str], labels: Sequence[int]) -> SplitFacts:
    keys = tuple(groups)
    return SplitFacts(
        name="train", place="train", text_keys=keys, groups=keys, labels=tuple(labels), tokens=(1,) * len(keys)
    )


@pytest.mark.parametrize("rows", [5, 40, 700, 2500])
def test_each_row_is_left_out_once_in_each_draw_and_its_copies_with_it(rows: int) -> None:
    made = split([f"text {row // 2}" for row in range(rows)], [row % 3 for row in range(rows)])
    seen = Counter[int]()

    def fold(fitted: Sequence[int], left: Sequence[int]) -> list[tuple[float, ...]]:
        seen.update(left)
        assert sorted([*fitted, *left]) == list(range(rows))
        assert not {made.groups[at] for at in fitted} & {made.groups[at] for at in left}
        return [(0.5, 0.25, 0.25)] * len(left)

    found = cross_fitted(made, range(rows), 3, fold)
    assert set(seen.values()) == {effort(rows)[1]}
    np.testing.assert_allclose(found, np.log([[0.5, 0.25, 0.25]] * rows))


def test_places_count_along_the_rows_that_are_asked_for() -> None:
    made = split([f"text {row}" for row in range(20)], [row % 2 for row in range(20)])
    rows = range(10, 20)

    def fold(fitted: Sequence[int], left: Sequence[int]) -> list[tuple[float, ...]]:
        return [((at + 1) / 100, 0.0) for at in left]

    found = cross_fitted(made, rows, 2, fold)
    np.testing.assert_allclose(found[:, 0], [math.log((at + 1) / 100) for at in range(10)])
    np.testing.assert_allclose(found[:, 1], math.log(LEAST))
