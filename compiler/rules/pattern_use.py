"""What becomes of several patterns."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise


def pattern_use(s: ArmSituation) -> Choice:
    """An arm of each: one prompt format for training, evaluation and use."""
    return Choice(
        value="each",
        because="one prompt format for training, evaluation and use; several patterns are compared as arms",
        rule="R-013",
        alternatives=(
            otherwise("search", "more forward passes, and labels that choose wording", "R-071"),
            otherwise("ensemble", "each text is read once for each pattern", "R-071"),
        ),
        flips_when="methods.pin.pattern_use is given",
    )
