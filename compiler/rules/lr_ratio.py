"""Learning rate of LoRA's B over that of A."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise

USUAL = 16.0


def lr_ratio(s: ArmSituation) -> Choice:
    """One: LoRA+ is said to gain 1 to 2 % on wide models whose rate was tuned."""
    return Choice(
        value=1.0,
        because="LoRA+ gains 1 to 2 % where the rate was tuned for it, which takes labels that are not there",
        rule="R-043",
        alternatives=(otherwise(USUAL, "LoRA+; its trials share no steps", "R-043"),),
        flips_when="methods.pin.lr_ratio is given",
    )
