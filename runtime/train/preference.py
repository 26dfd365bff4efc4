"""Losses on preferences, as pure functions of log-probabilities: DPO, ORPO, KTO and SimPO.

A log-probability of a text is the sum over its tokens, in nats, unless it is said to be a mean. Shapes: (pairs,) for
what compares two texts, (texts,) for what judges one by one. `base` is the frozen model before training.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def dpo(preferred: Tensor, rejected: Tensor, base_preferred: Tensor, base_rejected: Tensor, beta: float) -> Tensor:
    """Direct preference optimisation, arXiv 2305.18290 eq. 7: (pairs,).

    -log sigmoid(beta ((log p(y_w) - log p_base(y_w)) - (log p(y_l) - log p_base(y_l)))).
    """
    ahead = (preferred - base_preferred) - (rejected - base_rejected)
    return -logsigmoid(beta * ahead)


def orpo(preferred: Tensor, rejected: Tensor, odds_weight: float) -> Tensor:
    """Odds ratio preference optimisation, arXiv 2403.07691 eq. 6 with eq. 2, 4 and 7: (pairs,).

    -m_w + lambda (-log sigmoid(log odds(y_w) - log odds(y_l))), where m is the mean log-probability of a token and
    odds = exp(m) / (1 - exp(m)). The likelihood is that of the answer, not of the prompt, and of each pair alike.

    Args:
        preferred: mean log-probabilities, below 0.
        rejected: the same.
        odds_weight: lambda.
    """
    ratio = log_odds(preferred) - log_odds(rejected)
    return -preferred - odds_weight * logsigmoid(ratio)


def log_odds(mean: Tensor) -> Tensor:
    """Log of p / (1 - p) for p = exp(mean); a mean of nothing but certain tokens is taken as just below 0."""
    below = mean.clamp_max(-torch.finfo(mean.dtype).eps)
    return below - torch.log(-torch.expm1(below))


def simpo(preferred: Tensor, rejected: Tensor, beta: float, reward_margin: float) -> Tensor:
    """Simple preference optimisation, arXiv 2405.14734 eq. 6: (pairs,).

    -log sigmoid(beta (m_w - m_l) - gamma), where m is the mean log-probability of a token.
    """
    return -logsigmoid(beta * (preferred - rejected) - reward_margin)


def kto(rewards: Tensor, liked: Tensor, divergence: Tensor, weights: Tensor, beta: float) -> Tensor:
    """Kahneman-Tversky optimisation, arXiv 2402.01306 eq. 8: (texts,).

    weight (1 - sigmoid(beta (r - z))) for a text that was liked, weight (1 - sigmoid(beta (z - r))) for another.

    Args:
        rewards: r = log p(y) - log p_base(y).
        liked: whether each text was.
        divergence: z, see `divergence_of`.
        weights: lambda_D or lambda_U of each text.
        beta: how strongly the model is held to the base.
    """
    ahead = torch.where(liked, rewards - divergence, divergence - rewards)
    return weights * (1 - torch.sigmoid(beta * ahead))


def divergence_of(rewards: Tensor) -> Tensor:
    """KTO's reference point: the divergence from the base, estimated on answers to other prompts; no gradient.

    max(0, mean of log p(y') - log p_base(y')), where y' was written for another row's prompt: section 4.1 of the paper.

    Args:
        rewards: of these strays, one for each text of the batch.
    """
    return rewards.detach().mean().clamp_min(0.0)


def balance(liked: int, others: int) -> tuple[float, float]:
    """Weights of liked and other texts with which both kinds weigh alike, 1 in the mean: (lambda_D, lambda_U).

    The paper's section 4.2 asks for lambda_D n_D / (lambda_U n_U) from 1 to 4/3.

    >>> balance(30, 10)
    (0.6666666666666666, 2.0)
    """
    both = liked + others
    return (both / (2 * liked) if liked else 0.0), (both / (2 * others) if others else 0.0)
