"""What is done to label probabilities of a model that was not trained, a teacher among them."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise


def calibration(s: ArmSituation) -> Choice:
    """Nothing: the probabilities are the model's own."""
    return Choice(
        value="none",
        because="the model's own probabilities: what it answers as it is",
        rule="design",
        alternatives=(otherwise("contextual", "divides by what texts without content get (arXiv 2102.09690)"),),
        flips_when="methods.pin.calibration is given",
    )
