"""Which labelled examples stand in the prompt."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise


def demonstrations_by(s: ArmSituation) -> Choice:
    """Balanced over the labels and the same for every text, so that they are read once."""
    return Choice(
        value="balanced",
        because="the same examples for every text are read once for all of them",
        rule="design",
        alternatives=(otherwise("nearest", "every text has its own prompt, which is read in full (arXiv 2101.06804)"),),
        flips_when="methods.pin.demonstrations_by is given",
    )
