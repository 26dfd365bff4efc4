"""Alpha, which scales the low-rank update by alpha / rank."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise


def lora_alpha(s: ArmSituation) -> Choice:
    """Twice the rank: the scale is 2 at every rank, so a learning rate carries over from one rank to another."""
    return Choice(
        value=2.0 * s.rank,
        because="alpha = 2 r keeps the update's scale at 2 for every rank; only the learning rate is tuned",
        evidence=("R-040", "R-034"),
        alternatives=(otherwise(16.0, "the same at r = 8; the scale would move with the rank", "R-034"),),
        flips_when="methods.pin.alpha is given",
    )
