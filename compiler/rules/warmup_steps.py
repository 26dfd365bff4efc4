"""Steps over which the learning rate rises."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

RATIO = 0.05


def warmup_steps(s: RecipeSituation) -> Choice:
    """Five per cent of the steps, rounded up."""
    steps = int(s.settled["steps"])
    value = min(steps - 1, -(-steps * 5 // 100))
    return Choice(
        value=value,
        because=f"{RATIO:.0%} of {steps} steps",
        rule="R-062",
        alternatives=(otherwise(round(0.1 * steps), "ten per cent is an encoder's recipe", "R-053"),),
        flips_when="methods.pin.warmup_ratio is given",
    )
