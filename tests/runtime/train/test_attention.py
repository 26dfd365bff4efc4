"""Rows end to end give what they give alone."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fewtune.runtime.train.attention import Segments, end_to_end_attention
from fewtune.runtime.train.model import load
from fewtune.runtime.train.reading import Reader

LENGTHS = (3, 5, 18, 20, 60)


def reference(query: Tensor, key: Tensor, value: Tensor, prefix: int, window: int | None = None) -> Tensor:
    """Attention row by row, by the formula, with repeated key heads: (1, T, H, D)."""
    share = query.shape[1] // key.shape[1]
    key, value = (x.repeat_interleave(share, dim=1) for x in (key, value))
    outputs, start = [], 0
    for length in LENGTHS:
        own = slice(prefix + start, prefix + start + length)
        keys, values = (torch.cat([x[:, :, :prefix], x[:, :, own]], dim=2) for x in (key, value))
        scores = query[:, :, start : start + length] @ keys.transpose(2, 3) / query.shape[-1] ** 0.5
        place = torch.arange(prefix + length)
        seen = place[None] <= place[prefix:, None]
        if window is not None:
            seen &= place[None] > place[prefix:, None] - window
        outputs.append(scores.masked_fill(~seen, -torch.inf).softmax(-1) @ values)
        start += length
    return torch.cat(outputs, dim=2).transpose(1, 2)


def heads(count: int, tokens: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, tokens, count, 8, generator=generator, dtype=torch.float64)
    return x.transpose(1, 2).requires_grad_()


@pytest.mark.parametrize(("window", "prefix"), [(None, 0), (None, 7), (4, 0), (4, 7)])
def test_output_is_the_formulas(window: int | None, prefix: int) -> None:
    tokens = sum(LENGTHS)
    query, key, value = heads(6, tokens, 0), heads(2, prefix + tokens, 1), heads(2, prefix + tokens, 2)
    segments = Segments(LENGTHS, torch.device("cpu"), prefix=prefix)
    with torch.no_grad():
        ours, _ = end_to_end_attention(
            torch.nn.Identity(), query, key, value, None, segments=segments, sliding_window=window
        )
        torch.testing.assert_close(ours, reference(query, key, value, prefix, window))


def test_gradients_are_the_formulas() -> None:
    tokens = sum(LENGTHS)
    inputs = heads(6, tokens, 0), heads(2, tokens, 1), heads(2, tokens, 2)
    probe = torch.randn(1, tokens, 6, 8, dtype=torch.float64)
    ours, _ = end_to_end_attention(torch.nn.Identity(), *inputs, None, segments=Segments(LENGTHS, torch.device("cpu")))
    expected = torch.autograd.grad((reference(*inputs, 0) * probe).sum(), inputs)
    for mine, theirs in zip(torch.autograd.grad((ours * probe).sum(), inputs), expected, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_tail_gives_nothing_and_gets_nothing() -> None:
    tokens, tail = sum(LENGTHS), 6
    inputs = heads(6, tokens + tail, 0), heads(2, tokens + tail, 1), heads(2, tokens + tail, 2)
    segments = Segments(LENGTHS, torch.device("cpu"), tail=tail)
    ours, _ = end_to_end_attention(torch.nn.Identity(), *inputs, None, segments=segments)
    torch.testing.assert_close(ours[:, :tokens], reference(*inputs, 0))
    assert not ours[:, tokens:].any()
    for gradient in torch.autograd.grad(ours.square().sum(), inputs):
        assert gradient[:, :, :tokens].any()
        assert not gradient[:, :, tokens:].any()


@pytest.mark.parametrize("lengths", [(1,), (4, 4, 4), (1, 100), (50, 20, 5), tuple(range(1, 40))])
def test_groups_cover_every_token_once(lengths: tuple[int, ...]) -> None:
    groups = Segments(lengths, torch.device("cpu")).groups
    assert sum(group.rows for group in groups) == len(lengths)
    tokens = torch.cat([group.source.index_select(0, group.places) for group in groups])
    assert tokens.tolist() == list(range(sum(lengths)))
    assert sum(len(group.source) for group in groups) <= 1.25 * sum(lengths) + 24 * len(lengths)


@pytest.mark.parametrize("strange", [{"softcap": 30.0}, {"s_aux": torch.zeros(2)}, {"segments": None}])
def test_what_it_does_not_know_it_refuses(strange: dict[str, object]) -> None:
    query, key, value = heads(2, 8, 0), heads(2, 8, 1), heads(2, 8, 2)
    given = {"segments": Segments((8,), torch.device("cpu"))} | strange
    with pytest.raises(ValueError, match="does not have"):
        end_to_end_attention(torch.nn.Identity(), query, key, value, None, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "opt", "gpt_neox"])
def test_models_read_rows_alone_padded_end_to_end_and_after_a_shared_beginning(
    architecture: str, models: Callable[..., Path]
) -> None:
    from transformers import AutoModelForCausalLM

    folder = models(architecture)
    base = load(str(folder), "fp32", "cpu")
    assert base.end_to_end
    assert base.shares_beginnings
    generator = torch.Generator().manual_seed(0)
    beginning = torch.randint(500, (20,), generator=generator).tolist()
    rows = [beginning + torch.randint(500, (n,), generator=generator).tolist() for n in (1, 2, 9, 30, 41)]
    plain = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.inference_mode():
        alone = torch.cat([plain.base_model(torch.tensor([row])).last_hidden_state[:, -1] for row in rows])
        padded = Reader(plain.base_model, end_to_end=False, device=torch.device("cpu"))
        for reader in (padded, base.reader(base.model)):
            torch.testing.assert_close(reader.read(rows), alone, atol=1e-5, rtol=1e-4)
            shared = reader.prefix(beginning)
            rests = [row[20:] for row in rows]
            for _ in range(2):  # reading leaves the shared beginning as it was
                torch.testing.assert_close(reader.read(rests, shared), alone, atol=1e-5, rtol=1e-4)
