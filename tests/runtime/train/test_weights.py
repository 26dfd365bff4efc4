"""Masters and what the model computes with."""

import pytest
import torch

from fewtune.runtime.train.weights import Weights, alone

CPU = torch.device("cpu")


def made(dtype: torch.dtype) -> Weights:
    return alone({"w": torch.full((2, 3), 1 / 3), "score": torch.ones(4)}, dtype, CPU, exact={"score"})


def test_a_narrow_model_gets_rounded_copies_and_a_wide_one_the_masters() -> None:
    narrow, wide = made(torch.bfloat16), made(torch.float32)
    assert narrow.count == wide.count == 10
    assert narrow.working["w"].dtype == torch.bfloat16
    assert narrow.working["score"].dtype == torch.float32
    for weights in (narrow, wide):
        weights.master.data += 1 / 3
        weights.publish()
        assert torch.equal(weights.working["w"], torch.full((2, 3), 2 / 3).to(weights.working["w"].dtype))
        assert torch.equal(weights.working["score"], torch.full((4,), 4 / 3))
    assert wide.working["w"].untyped_storage().data_ptr() == wide.master.untyped_storage().data_ptr()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_gradients_are_summed_in_the_masters_precision(dtype: torch.dtype) -> None:
    weights = made(dtype)
    for _ in range(300):  # a sum in bf16 would stand still at 256
        (weights.working["w"].sum() + 2 * weights.working["score"].sum()).backward()
    assert weights.master.grad is not None
    assert weights.master.grad.tolist() == [300.0] * 6 + [600.0] * 4
    weights.publish()
    assert not weights.master.grad.any()


def test_a_snapshot_is_a_copy() -> None:
    weights = made(torch.bfloat16)
    masters, working = weights.snapshot(masters=True), weights.snapshot(masters=False)
    weights.master.data.zero_()
    weights.publish()
    assert torch.equal(masters["w"], torch.full((2, 3), 1 / 3))
    assert torch.equal(working["w"], torch.full((2, 3), 1 / 3).bfloat16())
    assert torch.equal(working["score"], torch.ones(4))
