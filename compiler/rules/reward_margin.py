"""By how much SimPO wants the preferred text ahead."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import first


def reward_margin(s: ArmSituation) -> Choice:
    """Half of beta."""
    return Choice(
        value=s.beta / 2,
        because=f"half of beta = {s.beta:g}, as its authors advise",
        rule=first(s, "R-125"),
        alternatives=(otherwise(0.0, "the preferred text need not be ahead by anything"),),
        flips_when="methods.pin.reward_margin or methods.pin.beta is given",
    )
