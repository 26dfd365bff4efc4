"""Weight of the labels beside the teacher."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise


def label_weight(s: ArmSituation) -> Choice:
    """Half where the labelled texts are learnt from; none where the texts have no labels."""
    if s.objective == "few-shot-distillation":
        return Choice(
            value=0.5,
            because="labels and teacher count alike",
            rule="R-078",
            alternatives=(otherwise(0.0, "the teacher alone: its errors would stay", "R-077"),),
            flips_when="methods.pin.label_weight is given",
        )
    return Choice(
        value=0.0,
        because="the texts have no labels: the student learns what the context makes of the base, and nothing else",
        rule="design",
        alternatives=(otherwise(0.5, "the labelled texts would be learnt from, too", "R-078"),),
        flips_when="methods.pin.label_weight is given",
    )
