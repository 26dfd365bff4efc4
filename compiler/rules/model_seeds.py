"""How many initialisations and data orders each sample is trained with."""

from fewtune.compiler.situation import Choice, Situation, otherwise


def model_seeds(s: Situation) -> Choice:
    """One for each sample, a different one for each: both sources of variance are in the spread over seeds."""
    return Choice(
        value=1,
        because="each sample gets its own initialisation and order, so one is enough for an interval over both",
        rule="R-129",
        alternatives=(otherwise(2, "separates the two variances at twice the time"),),
        flips_when="evaluation.model_seeds is given",
    )
