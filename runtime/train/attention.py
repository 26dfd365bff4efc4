"""Causal attention for rows that lie end to end, so that nothing else in the model sees a token of padding.

Eager attention on a padded batch makes every linear layer work on padding too (a quarter to a half of the tokens, with
short texts) and goes over the scores seven times; torch's fused CPU kernel has a slow backward pass. Here the rows are
padded inside the attention only, in groups of similar length, key heads are never repeated, and scale and mask ride on
the product. Registered with transformers' attention interface, which hands the keyword `segments` through the model.

A GPU takes padded rows, by torch's fused kernels: there, `causal_attention` spares transformers making a mask, for
which it asks the device what rows look like, and waits.

Shapes: N rows of a group, L its longest row, T tokens of all rows, P tokens of a cached beginning that all rows share,
H query heads, K key heads, S = H / K query heads for each key head, D width of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

NAME = "fewtune_end_to_end"
CAUSAL = "fewtune_causal"
SIMILAR = 0.8
"""A group's shortest row is at least this share of its longest ..."""
SLACK = 16
"""... less so many tokens: a group has a fixed cost, too."""
STEP = 8
"""Lengths of groups are rounded up to a multiple: oneDNN compiles a kernel for each new shape, and keeps it."""


@dataclass(frozen=True)
class Group:
    """Neighbouring rows of similar length, padded to one length L for one batched product."""

    rows: int
    longest: int
    """L."""
    source: Tensor
    """(N * L,): the token that fills each padded place; a row's last token fills its rest."""
    places: Tensor
    """(tokens,): the padded place of each token."""


class Segments:
    """Where each row begins and ends."""

    def __init__(self, lengths: Sequence[int], device: torch.device, *, prefix: int = 0, tail: int = 0) -> None:
        """Sort neighbouring rows into groups.

        Args:
            lengths: tokens of each row.
            device: of the model.
            prefix: P.
            tail: tokens after the last row that belong to none and attend to nothing.
        """
        self.prefix = prefix
        self.tail = tail
        self.device = device
        self.groups: list[Group] = []
        self._masks: dict[tuple[int, int, int | None], Tensor] = {}
        first, start = 0, 0
        for row in range(1, len(lengths) + 1):
            inside = lengths[first:row]
            last = row == len(lengths)
            if last or min(*inside, lengths[row]) < SIMILAR * max(*inside, lengths[row]) - SLACK:
                self.groups.append(self._group(inside, start))
                first, start = row, start + sum(inside)

    def _group(self, lengths: Sequence[int], start: int) -> Group:
        longest = -(-max(lengths) // STEP) * STEP
        source: list[int] = []
        places: list[int] = []
        for row, length in enumerate(lengths):
            source += [*range(start, start + length), *[start + length - 1] * (longest - length)]
            places += range(row * longest, row * longest + length)
            start += length
        return Group(
            rows=len(lengths),
            longest=longest,
            source=torch.tensor(source, device=self.device),
            places=torch.tensor(places, device=self.device),
        )

    def mask(self, group: Group, share: int, window: int | None, dtype: torch.dtype) -> Tensor:
        """Additive mask (S * L, P + L): a token sees the shared beginning, itself and what came before it."""
        key = (group.longest, share, window)
        if key not in self._masks:
            at = torch.arange(group.longest, device=self.device)[:, None] + self.prefix
            seen = torch.arange(self.prefix + group.longest, device=self.device)[None]
            hidden = (seen > at) if window is None else (seen > at) | (seen <= at - window)
            mask = torch.zeros(hidden.shape, dtype=dtype, device=self.device)
            self._masks[key] = mask.masked_fill_(hidden, torch.finfo(dtype).min).repeat(share, 1)
        return self._masks[key]


def _by_head(x: Tensor, group: Group, share: int) -> Tensor:
    """(N * L, K * S, D) -> (N * K, S * L, D)."""
    _, heads, width = x.shape
    x = x.view(group.rows, group.longest, heads // share, share, width)
    return x.permute(0, 2, 3, 1, 4).reshape(-1, share * group.longest, width)


def _padded(x_THD: Tensor, group: Group, share: int) -> Tensor:
    """(T, K * S, D) -> (N * K, S * L, D)."""
    return _by_head(x_THD.index_select(0, group.source), group, share)


def _unpadded(x: Tensor, group: Group, share: int) -> Tensor:
    """(N * K, S * L, D) -> (tokens, K * S, D)."""
    width = x.shape[-1]
    x = x.view(group.rows, -1, share, group.longest, width).permute(0, 3, 1, 2, 4)
    return x.reshape(group.rows * group.longest, -1, width).index_select(0, group.places)


def _joined(parts: list[Tensor], tail: int) -> Tensor:
    """The groups' (tokens, heads, D) one after the other, then zeros for the tail: (1, T, heads, D)."""
    if tail:
        parts = [*parts, parts[0].new_zeros(tail, *parts[0].shape[1:])]
    return torch.cat([part[None] for part in parts], dim=1)  # no view: models may write to it


def _with_prefix(x: Tensor, prefix_PKD: Tensor, rows: int) -> Tensor:
    """Put the cached beginning before each row's keys or values: (N * K, L, D) -> (N * K, P + L, D)."""
    first = prefix_PKD.transpose(0, 1).expand(rows, -1, -1, -1).flatten(0, 1)
    return torch.cat([first, x], dim=1)


def _of_prefix(d: Tensor, group: Group, tokens: int) -> Tensor:
    """The gradient of a beginning that all rows of a group share: (N * K, P + L, D) -> (1, K, P, D)."""
    return d[:, :tokens].reshape(group.rows, -1, tokens, d.shape[-1]).sum(0, keepdim=True)


class _EndToEnd(torch.autograd.Function):
    """softmax(scale Q K^T + mask) V by group; keeps the padded inputs and the weights for the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, segments: Segments, scale: float, window: int | None
    ) -> Tensor:
        """(1, H, T, D) and twice (1, K, P + T, D) -> (1, T, H, D)."""
        q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))
        share, prefix = q.shape[1] // k.shape[1], segments.prefix
        outputs, kept = [], []
        for group in segments.groups:
            qg, kg, vg = _padded(q, group, share), _padded(k[prefix:], group, 1), _padded(v[prefix:], group, 1)
            if prefix:
                kg, vg = _with_prefix(kg, k[:prefix], group.rows), _with_prefix(vg, v[:prefix], group.rows)
            mask = segments.mask(group, share, window, q.dtype)
            weights = torch.baddbmm(mask, qg, kg.transpose(1, 2), alpha=scale).softmax(dim=-1)
            outputs.append(_unpadded(torch.bmm(weights, vg), group, share))
            kept += [qg, kg, vg, weights]
        ctx.save_for_backward(*kept)
        ctx.segments, ctx.scale, ctx.share = segments, scale, share
        return _joined(outputs, segments.tail)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """With dP = dO V^T and dS = P * (dP - sum(P * dP)): dQ = dS K, dK = dS^T Q, dV = P^T dO."""
        segments, scale, share, kept = ctx.segments, ctx.scale, ctx.share, ctx.saved_tensors
        dq, dk, dv, start = [], [], [], 0
        before_k, before_v = [], []
        for place, group in enumerate(segments.groups):
            qg, kg, vg, weights = kept[4 * place : 4 * place + 4]
            tokens = len(group.places)
            padded = gradients[0].new_zeros(group.rows * group.longest, *gradients[0].shape[2:])
            padded.index_copy_(0, group.places, gradients[0][0, start : start + tokens])
            do = _by_head(padded, group, share)
            dweights = torch.bmm(do, vg.transpose(1, 2))
            dscores = torch.ops.aten._softmax_backward_data(dweights, weights, -1, weights.dtype).mul_(scale)
            dq.append(_unpadded(torch.bmm(dscores, kg), group, share))
            dkg, dvg = torch.bmm(dscores.transpose(1, 2), qg), torch.bmm(weights.transpose(1, 2), do)
            if segments.prefix:
                before_k.append(_of_prefix(dkg, group, segments.prefix))
                before_v.append(_of_prefix(dvg, group, segments.prefix))
                dkg, dvg = dkg[:, segments.prefix :], dvg[:, segments.prefix :]
            dk.append(_unpadded(dkg, group, 1))
            dv.append(_unpadded(dvg, group, 1))
            start += tokens
        dq_, dk_, dv_ = (_joined(parts, segments.tail).transpose(1, 2) for parts in (dq, dk, dv))
        if segments.prefix:
            dk_, dv_ = (
                torch.cat([torch.stack(before).sum(0), d], dim=2) for before, d in ((before_k, dk_), (before_v, dv_))
            )
        return dq_, dk_, dv_, None, None, None


def end_to_end_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    segments: Segments | None = None,
    sliding_window: int | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it; dropout is never on, because the base is always in evaluation mode.

    Raises:
        ValueError: for what this attention does not know (another mask, capped scores, sinks, no `segments`).
    """
    _check(module, attention_mask, more | ({} if segments else {"no segments": True}))
    assert segments is not None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    attended: Tensor = _EndToEnd.apply(  # type: ignore[no-untyped-call]
        query, key, value, segments, scale, sliding_window
    )
    return attended, None


def causal_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """Each token attends to itself and to what came before it: (N, H, L, D), twice (N, K, P + L, D) -> (N, L, H, D).

    Raises:
        ValueError: for what this attention does not know (another mask, capped scores, sinks).
    """
    _check(module, attention_mask, more)
    queries, keys = query.shape[2], key.shape[2]
    mask = None
    if queries < keys or (sliding_window is not None and keys > sliding_window):
        at = torch.arange(keys - queries, keys, device=query.device)[:, None]
        seen = torch.arange(keys, device=query.device)[None]
        mask = (seen <= at) if sliding_window is None else (seen <= at) & (seen > at - sliding_window)
        mask = mask[None, None]
    causal = mask is None
    attended, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, is_causal=causal)
    return attended, None


def _check(module: nn.Module, attention_mask: Tensor | None, more: dict[str, Any]) -> None:
    known = {"dropout", "position_ids", "use_cache", "past_key_values", "is_causal"}
    known |= {"output_attentions", "output_hidden_states"}
    strange = [name for name, value in more.items() if value is not None and name not in known]
    if attention_mask is not None or strange:
        raise ValueError(f"{type(module).__name__} asks for attention that fewtune does not have: {strange}")


AttentionInterface.register(NAME, end_to_end_attention)
AttentionInterface.register(CAUSAL, causal_attention)
