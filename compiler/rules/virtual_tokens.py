"""Length of a prefix or of a soft prompt."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise

USUAL = 20


def virtual_tokens(s: ArmSituation) -> Choice:
    """Twenty: more gain little, and every one costs time in use."""
    return Choice(
        value=USUAL,
        because="beyond 20 tokens the published gains are marginal, and each costs time in use",
        rule="design",
        alternatives=(otherwise(100, "the longest that were studied; slower in use", "R-026"),),
        flips_when="methods.pin.virtual_tokens is given",
    )
