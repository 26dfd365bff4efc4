"""Temperature of distillation."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise


def temperature(s: ArmSituation) -> Choice:
    """Two: below one nothing but the label is passed on, far above two the answers are nearly equal."""
    return Choice(
        value=2.0,
        because="at 2 the teacher's doubts count, too; above, training was unstable, and below 1 little was passed on",
        rule="R-078",
        alternatives=(otherwise(1.0, "the teacher's answers as they are"),),
        flips_when="methods.pin.temperature is given",
    )
