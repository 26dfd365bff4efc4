"""Weight of ORPO's odds ratio beside the likelihood of the preferred text."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise


def odds_weight(s: ArmSituation) -> Choice:
    """0.1, its authors' value: the likelihood leads, the odds follow."""
    return Choice(
        value=0.1,
        because="arXiv 2403.07691 trains with 0.1 to 0.25: the preferred text is learnt first, the worse one unlearnt",
        rule="design",
        alternatives=(otherwise(1.0, "the odds ratio would weigh as much as the likelihood"),),
        flips_when="methods.pin.odds_weight is given",
    )
