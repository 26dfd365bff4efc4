"""Low-rank updates beside layers that stay as they are."""

import pytest
import torch
from torch import nn

from fewtune.runtime.train.lora import LowRankLinear, initial


@pytest.mark.parametrize("bias", [False, True])
def test_output_and_gradients_are_the_formulas(bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(6, 9, bias=bias).double().requires_grad_(False)
    a, b = (
        torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in ((2, 6), (9, 2))
    )
    x = torch.randn(3, 5, 6, generator=generator, dtype=torch.float64).requires_grad_()
    site = LowRankLinear(linear, a, b, 1.5)
    torch.testing.assert_close(site(x), linear(x) + 1.5 * (x @ a.T @ b.T))
    assert torch.autograd.gradcheck(site, (x,))
    assert torch.autograd.gradcheck(lambda a, b: LowRankLinear(linear, a, b, 1.5)(x.detach()), (a, b))


def test_the_first_layers_input_gets_no_gradient() -> None:
    linear = nn.Linear(6, 9).requires_grad_(False)
    a, b = torch.randn(2, 6).requires_grad_(), torch.randn(9, 2).requires_grad_()
    x = torch.randn(4, 6)
    LowRankLinear(linear, a, b, 1.0)(x).sum().backward()
    assert x.grad is None
    assert a.grad is not None
    assert linear.weight.grad is None


def test_starts_as_peft_does() -> None:
    from peft import LoraConfig, get_peft_model

    net = nn.Sequential(nn.Linear(64, 1000))
    theirs = get_peft_model(net, LoraConfig(r=400, target_modules=["0"])).base_model.model[0]
    a, b = initial(nn.Linear(64, 1000), 400, torch.Generator().manual_seed(3))
    expected = theirs.lora_A["default"].weight
    assert a.shape == expected.shape
    for quantile in (0.0, 0.1, 0.5, 0.9, 1.0):
        ours, wanted = (x.detach().flatten().quantile(quantile) for x in (a, expected))
        assert abs(ours - wanted) < 0.005
    assert torch.equal(b, theirs.lora_B["default"].weight)
    assert torch.equal(a, initial(nn.Linear(64, 1000), 400, torch.Generator().manual_seed(3))[0])
