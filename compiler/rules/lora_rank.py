"""Rank of the low-rank update."""

from fewtune.compiler.memory import lora_parameters
from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import fires, first

USUAL = 16
LARGER = (32, 64, 128, 256)
"""Ranks that are taken where there is more to learn than the usual one holds."""


def _answered(s: ArmSituation) -> int:
    """Tokens that carry the loss: of the targets, or one for each label."""
    lengths = s.target_lengths
    return round(s.largest_n * (sum(lengths) / len(lengths) + 1)) if lengths else s.largest_n


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
    tokens, each = _answered(s), lora_parameters(s.facts.model, 1, tuple(site.name for site in s.facts.model.linears))
    if tokens > (8 if few else USUAL) * each:
        value = next((rank for rank in LARGER if rank * each >= tokens), LARGER[-1])
        return Choice(
            value=value,
            because=f"{tokens / 1e6:.1f}M tokens of targets: as many parameters to hold them, {each:,} for each rank",
            rule="R-038",
            alternatives=(otherwise(USUAL, "holds fewer numbers than there are tokens to learn", "R-036", "R-038"),),
            flips_when=f"{USUAL * each / 1e6:.1f}M tokens of targets or fewer",
        )
    return Choice(
        value=8 if few else USUAL,
        because=f"n = {s.largest_n}: "
        + ("ranks from 4 to 128 differ little; " if fires(s, "R-036") else "more than was studied; ")
        + ("the low end also trains fastest" if few else "sixteen is the usual start"),
        rule=first(s, "R-036", "R-034"),
        alternatives=(otherwise(4, "no gain known"), otherwise(64, "no gain below 100k examples", "R-036", "R-037")),
        flips_when="n >= 500" if few else "n < 500",
    )
