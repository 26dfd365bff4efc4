"""Rank of the low-rank update."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import fires, first


def lora_rank(s: ArmSituation) -> Choice:
    """Eight below 500 labels or under a forgetting limit, sixteen above: within this range the rank hardly matters."""
    forgetting = s.experiment.constraints.forgetting
    if fires(s, "R-138"):
        return Choice(
            value=4,
            because=f"at most {forgetting:g} forgetting is allowed: a low rank moves the model least",
            rule="R-138",
            alternatives=(otherwise(8, "forgets slightly more", "R-138"),),
            flips_when="constraints.forgetting is 0.05 or more",
        )
    few = s.largest_n < 500
    return Choice(
        value=8 if few else 16,
        because=f"n = {s.largest_n}: "
        + ("ranks from 4 to 128 differ little; " if fires(s, "R-036") else "more than was studied; ")
        + ("the low end also trains fastest" if few else "sixteen is the usual start"),
        rule=first(s, "R-036", "R-034"),
        alternatives=(otherwise(4, "no gain known"), otherwise(64, "no gain below 100k examples", "R-036", "R-037")),
        flips_when="n >= 500" if few else "n < 500",
    )
