"""Alpha, which scales the low-rank update by alpha / rank (rsLoRA: by alpha / sqrt(rank))."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import first

FIXED = 16.0
"""Alpha of rank-stabilised updates: their scale is 2 at rank 64, as that of 2 r is at every rank."""


def lora_alpha(s: ArmSituation) -> Choice:
    """Twice the rank: the scale is 2 at every rank, so a learning rate carries over from one rank to another."""
    if s.rslora:
        return Choice(
            value=FIXED,
            because="rank-stabilised: one alpha for all ranks; 16 / sqrt(r) is 2 at r = 64, as 2 r / r is",
            rule=first(s, "R-041"),
            alternatives=(otherwise(2.0 * s.rank, f"the scale would be {2 * s.rank**0.5:.0f}", "R-040"),),
            flips_when="methods.pin.alpha is given, or rslora = false",
        )
    return Choice(
        value=2.0 * s.rank,
        because="alpha = 2 r keeps the update's scale at 2 for every rank; only the learning rate is tuned",
        rule="R-040",
        alternatives=(otherwise(16.0, "the same at r = 8; the scale would move with the rank", "R-034"),),
        flips_when="methods.pin.alpha is given",
    )
