"""What a situation's smallest trial takes, before any trial is planned."""

from fewtune.compiler.cost import scoring_seconds, writing_seconds
from fewtune.compiler.memory import Load, limit_bytes, lora_parameters, peak_bytes
from fewtune.compiler.situation import Situation
from fewtune.specs.methods import Adaptation

LATENCY_OVERHEAD = 0.03
"""Seconds of one prediction that do not depend on its tokens."""

TOP = 6
"""The share of the blocks that an arm of the top layers moves, as one over this."""


def item_seconds(s: Situation, prompt_tokens: int = 0) -> float:
    """Predicted seconds for one text of usual length; a cached prompt is attended to, not read again."""
    tokens = s.usual_length + 16 + prompt_tokens / 8
    seconds = LATENCY_OVERHEAD + scoring_seconds(s.facts.model, s.facts.device, s.precision, tokens)
    return seconds + writing_seconds(s.facts.model, s.facts.device, s.precision, 1, s.usual_target)


def fits(s: Situation, adaptation: Adaptation) -> bool:
    """Whether the smallest trial of this adaptation fits into the memory."""
    return least_bytes(s, adaptation) <= limit_bytes(s.experiment, s.facts.device)


def least_bytes(s: Situation, adaptation: Adaptation) -> int:
    """Predicted peak of the smallest trial of this adaptation."""
    model, device = s.facts.model, s.facts.device
    tokens = min(512, (s.lengths[-1] if s.lengths else 1) + 64 + s.usual_target)
    every = tuple(linear.name for linear in model.linears)
    small = lora_parameters(model, 8, every) if adaptation != "none" else 0
    trainable = {"full": model.parameters, "top": model.block_parameters // TOP}.get(adaptation, small)
    return peak_bytes(model, device, Load(adaptation, s.precision, trainable, 1, tokens))
