"""Whether the low-rank update is scaled by alpha / sqrt(rank) (rsLoRA) instead of alpha / rank."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise

HIGH_RANK = 64
"""Rank from which alpha / rank is said to hold the update back."""


def rslora(s: ArmSituation) -> Choice:
    """From rank 64 on, unless the spec gives an alpha: that one was written for alpha / rank."""
    high, own = s.rank >= HIGH_RANK, s.arm.pins.alpha is not None
    if high and not own:
        return Choice(
            value=True,
            because=f"r = {s.rank}: from {HIGH_RANK} on, alpha / sqrt(r) keeps the gradients' size at every rank",
            rule="R-041",
            alternatives=(otherwise(False, "the learning rates' own scaling; at r = 64 it gives the same", "R-049"),),
            flips_when=f"a rank below {HIGH_RANK}, or methods.pin.alpha",
        )
    return Choice(
        value=False,
        because=f"alpha = {s.arm.pins.alpha:g} is pinned, and alpha / r is what it usually stands for"
        if high
        else f"r = {s.rank}: the learning rates that are known belong to alpha / r",
        rule="design" if high else "R-049",
        alternatives=(otherwise(True, "made for high ranks", "R-041"),),
        flips_when="methods.pin.rslora is given" if high else f"a rank of {HIGH_RANK} or more",
    )
