"""What an answer costs: cross-entropy with its label or labels, and the divergence from a teacher's answer."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

NO_LABEL = -1
"""Label of a row that has none."""


@dataclass(frozen=True)
class Soft:
    """A teacher's answer to one row."""

    probabilities: tuple[float, ...]
    """Of the labels, at the temperature."""
    temperature: float
    label_weight: float
    """Weight of the label's own loss."""


def answer_losses(scores: Tensor, labels: Tensor, softs: Sequence[Soft | None]) -> Tensor:
    """The loss of each answer: (answers,).

    With a teacher's answer p at temperature T, the student's q = softmax(scores / T) and the labels' weight w:
    w CE(label) + (1 - w) T^2 KL(p | q), as arXiv 1503.02531 section 2 scales it.

    Args:
        scores: (answers, labels) logits.
        labels: (answers,) indices; NO_LABEL costs nothing.
        softs: of each answer; None: only its label counts.
    """
    hard = functional.cross_entropy(scores, labels, reduction="none", ignore_index=NO_LABEL)
    if not any(softs):
        return hard
    taught = [place for place, soft in enumerate(softs) if soft is not None]
    told = [soft for soft in softs if soft is not None]
    places = torch.tensor(taught, device=scores.device)

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=scores.dtype, device=scores.device)

    heat, weight = column([soft.temperature for soft in told]), column([soft.label_weight for soft in told])
    p = torch.tensor([soft.probabilities for soft in told], dtype=scores.dtype, device=scores.device)
    log_q = functional.log_softmax(scores[places] / heat[:, None], dim=-1)
    divergence = functional.kl_div(log_q, p, reduction="none").sum(-1) * heat.square()
    return hard.index_copy(0, places, weight * hard[places] + (1 - weight) * divergence)


def set_losses(scores: Tensor, sets: Sequence[Sequence[int]]) -> Tensor:
    """The loss of each set of labels: the mean of its labels' binary cross-entropies, as in BCEWithLogitsLoss.

    Args:
        scores: (rows, labels) logits.
        sets: the right labels of each row.

    Returns:
        (rows,)
    """
    wanted = torch.zeros_like(scores)
    for place, labels in enumerate(sets):
        wanted[place, list(labels)] = 1.0
    return functional.binary_cross_entropy_with_logits(scores, wanted, reduction="none").mean(-1)
