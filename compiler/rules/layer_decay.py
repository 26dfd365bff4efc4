"""Factor of the learning rate from each block to the one below."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise

USUAL = 0.95


def layer_decay(s: ArmSituation) -> Choice:
    """Falling rates where only the last blocks move; one rate for a whole decoder."""
    if s.arm.adaptation == "top":
        return Choice(
            value=USUAL,
            because="lower blocks hold what is general: their rates fall by 0.95 a block, as for small encoders",
            rule="R-141",
            alternatives=(otherwise(1.0, "one rate: what the published comparison's code came to", "R-094"),),
            flips_when="methods.pin.layer_decay is given",
        )
    return Choice(
        value=1.0,
        because="one rate for all blocks: falling rates are known to help encoders at few labels only",
        rule="design",
        alternatives=(otherwise(USUAL, "known of encoders below 10,000 labels", "R-141"),),
        flips_when="methods.pin.layer_decay is given",
    )
