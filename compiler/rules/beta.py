"""How strongly a preference loss holds to the base, or scales its rewards."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import first

LEASH = 0.1
"""DPO's and KTO's: the upper end of 0.01 to 0.1, for few pairs move far."""
SCALE = 2.0
"""SimPO's: of rewards that are means over tokens, and so are small."""


def beta(s: ArmSituation) -> Choice:
    """0.1 for DPO and KTO, 2 for SimPO, whose rewards are means of log-probabilities instead of sums."""
    if s.arm.preference == "simpo":
        return Choice(
            value=SCALE,
            because="the reward is a mean over tokens: 2 is the low end of what its authors search",
            rule=first(s, "R-125"),
            alternatives=(otherwise(10.0, "the other end, found on large instruction-tuned models"),),
            flips_when="methods.pin.beta is given",
        )
    return Choice(
        value=LEASH,
        because="the upper end of the usual range: the leash to the base is short, for there are few rows",
        rule=first(s, "R-117", "R-118"),
        alternatives=(otherwise(0.01, "lets the model go far from its base"),),
        flips_when="methods.pin.beta is given",
    )
