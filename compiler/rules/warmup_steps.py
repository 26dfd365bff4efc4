"""Steps over which the learning rate rises."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise
from fewtune.compiler.weighing import first

RATIO = 0.05
ENCODERS = 0.1
"""The share of an encoder's recipe."""


def warmup_steps(s: RecipeSituation) -> Choice:
    """Five per cent of the steps, of an encoder's ten, rounded up."""
    steps = int(s.settled["steps"])
    ratio = ENCODERS if s.arm.encoded else RATIO
    value = min(steps - 1, -(-steps * round(100 * ratio) // 100))
    return Choice(
        value=value,
        because=f"{ratio:.0%} of {steps} steps",
        rule=first(s, "R-053") if s.arm.encoded else "R-062",
        alternatives=(otherwise(round(0.1 * steps), "ten per cent is an encoder's recipe", "R-053"),)
        if not s.arm.encoded
        else (),
        flips_when="methods.pin.warmup_ratio is given",
    )
