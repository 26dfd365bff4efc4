"""What a worker gets together."""

from typing import Any

import pytest
from situations import compiled

from fewtune.compiler.plan import Compiled
from fewtune.compiler.price import Packing
from fewtune.runtime.batches import Batches, Work
from fewtune.runtime.families import families


def ready(made: Compiled, *methods: str) -> list[Work]:
    """Everything of these methods, none of it done."""
    found = families(made.plan).values()
    return [(family, family.scores, family.fit is not None) for family in found
            if family.arm.method in methods and not (family.fit and family.fit.kind == "refit")]  # fmt: skip


def made(slots: int, **tables: Any) -> Compiled:
    """A plan whose LoRA arms share their steps as told."""
    found = compiled({"methods": {"pin": {"rank": [2, 8]}}, "evaluation": {"data_seeds": 3}, **tables})
    packing = tuple(group.model_copy(update={"slots": slots}) for group in found.estimate.packing)
    return found.model_copy(update={"estimate": found.estimate.model_copy(update={"packing": packing})})


@pytest.mark.parametrize(
    ("slots", "workers", "sizes"), [(4, 1, [6]), (4, 2, [3, 2, 1]), (4, 4, [2, 1, 1, 1, 1]), (1, 2, [1] * 6)]
)
def test_a_worker_takes_its_share_of_what_is_left(slots: int, workers: int, sizes: list[int]) -> None:
    """However many are idle at the moment: who comes later finds something, and all end at about the same time."""
    left = ready(made(slots), "pattern+lora")
    got = []
    while left:
        mine, together = Batches(made(slots)).first(left, set(), workers=workers)
        assert together == min(slots, len(mine))
        got.append(len(mine))
        left = [work for work in left if work not in mine]
    assert got == sizes


def test_formulations_do_not_mix() -> None:
    found = made(8)
    mine, _ = Batches(found).first(ready(found, "pattern+lora", "head+lora"), set(), workers=1)
    assert {family.arm.formulation for family, _, _ in mine} == {"pattern"}


def test_the_operators_number_counts() -> None:
    found = made(4)
    left = ready(found, "pattern+lora")
    assert Batches(found, slots=1).first(left, set(), workers=1) == (left[:1], 1)
    assert Batches(found, slots=3).first(left, set(), workers=1) == (left, 3)


def test_what_went_wrong_goes_alone() -> None:
    found = made(4)
    left = ready(found, "pattern+lora")
    first, second = left[0][0].id, left[1][0].id
    assert Batches(found).first(left, {first}, workers=1) == (left[:1], 1)
    mine, _ = Batches(found).first(left, {second}, workers=1)
    assert second not in {family.id for family, _, _ in mine}


def test_probes_read_together() -> None:
    found = made(1)
    left = ready(found, "probe", "encoder", "tfidf")
    mine, slots = Batches(found).first([work for work in left if work[0].arm.method != "tfidf"], set(), workers=2)
    assert (len(mine), slots) == (3, 1)
    assert len({family.arm.method for family, _, _ in mine}) == 1


def test_what_only_scores_is_no_training() -> None:
    found = made(4)
    left = [(family, scores, False) for family, scores, _ in ready(found, "pattern+lora")]
    assert Batches(found).first(left, set(), workers=1) == (left[:1], 1)


def test_the_plan_says_why() -> None:
    (group, *_) = compiled().estimate.packing
    assert isinstance(group, Packing)
    assert "tokens" in group.because
    assert group.packed_seconds <= group.alone_seconds
