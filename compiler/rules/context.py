"""What a teacher sees before each text."""

from fewtune.compiler.situation import ArmSituation, Choice


def context(s: ArmSituation) -> Choice:
    """Demonstrations: the labelled examples that the in-context arm of the same seed would show."""
    return Choice(
        value=None,
        because="the labelled examples as demonstrations, those of the in-context arm with the same seed",
        rule="design",
        flips_when="methods.pin.context is given",
    )
