"""Width of a bottleneck adapter."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise

SHARE = 8
"""The hidden size over this, and down to a power of two: adapters behind both sublayers are some 3 % of the network."""


def adapter_width(s: ArmSituation) -> Choice:
    """The power of two at or below an eighth of the hidden size."""
    hidden = s.facts.model.hidden
    value = 1 << max(0, (hidden // SHARE).bit_length() - 1)
    return Choice(
        value=value,
        because=f"hidden size {hidden}: several per cent of the parameters, narrow adapters hold the result back",
        rule="R-033",
        alternatives=(otherwise(max(1, value // 8), "an eighth of the parameters; too narrow", "R-033"),),
        flips_when="another hidden size",
    )
