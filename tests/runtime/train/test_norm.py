"""The faster norm."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from fewtune.runtime.train.norm import RootMeanSquareNorm, accelerate, no_further


def norm(kind: type[nn.Module], dtype: torch.dtype) -> nn.Module:
    module = kind(48, eps=1e-5).to(dtype)
    with torch.no_grad():
        module.weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(0))  # type: ignore[operator, union-attr]
    return module


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_bits_and_the_same_gradients(dtype: torch.dtype) -> None:
    theirs = norm(LlamaRMSNorm, dtype)
    holder = nn.ModuleDict({"norm": theirs})
    assert accelerate(holder) == 1
    ours = holder["norm"]
    assert isinstance(ours, RootMeanSquareNorm)
    assert ours.weight is theirs.weight
    x = torch.randn(3, 7, 48, generator=torch.Generator().manual_seed(1)).to(dtype).requires_grad_()
    probe = torch.randn(3, 7, 48, generator=torch.Generator().manual_seed(2)).to(dtype)
    assert torch.equal(ours(x), theirs(x))
    mine = torch.autograd.grad((ours(x) * probe).sum(), [x, ours.weight])
    expected = torch.autograd.grad((theirs(x) * probe).sum(), [x, theirs.weight])  # type: ignore[list-item]
    for ours_, theirs_ in zip(mine, expected, strict=True):
        torch.testing.assert_close(ours_, theirs_, atol=2e-2 if dtype == torch.bfloat16 else 1e-5, rtol=2e-2)


def test_what_computes_something_else_stays() -> None:
    class OddRMSNorm(LlamaRMSNorm):
        def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
            return super().forward(hidden_states) * 1.001

    holder = nn.ModuleList([norm(GemmaRMSNorm, torch.float32), norm(OddRMSNorm, torch.float32), nn.LayerNorm(48)])
    before = list(holder)
    assert accelerate(holder) == 0
    assert list(holder) == before


@pytest.mark.parametrize(
    ("change", "dtype", "taken"),
    [
        (lambda n, _: n, torch.float32, True),
        (lambda n, _: n, torch.bfloat16, True),
        (lambda n, _: 1.001 * n, torch.float32, False),
        (lambda n, w: n + n / w, torch.float32, False),
        (lambda n, w: n + n / w, torch.bfloat16, False),
    ],
)
def test_a_fused_norm_takes_the_place_of_the_same_norm_only(
    change: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], dtype: torch.dtype, taken: bool
) -> None:
    """Gemma's is (1 + w) n."""
    theirs = norm(LlamaRMSNorm, dtype)
    ours = RootMeanSquareNorm(theirs.weight, 1e-5)  # type: ignore[arg-type]
    x = torch.randn(64, 48, generator=torch.Generator().manual_seed(1)).to(dtype)
    fused = nn.functional.rms_norm(x, (48,), ours.weight, 1e-5)
    changed = change(theirs(x).double(), ours.weight.double()).to(dtype)
    assert no_further(fused, changed, ours.exact(x)) is taken
