"""What a trained arm learns from: the labels, a teacher, or preferences."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import fires, first

ASKS = {
    "R-074": ("soft labels", "an ensemble of patterns would label the texts without labels; not to be had yet"),
    "R-110": ("self-training", "the texts without labels would be labelled and filtered; not to be had yet"),
    "R-075": ("context-distillation", "a prompted teacher would answer the texts without labels; nobody asked for it"),
}
"""Row -> what it would learn from instead, and why that is not done."""


def objective(s: ArmSituation) -> Choice:
    """The labels, or preferences where the method compares texts: distillation needs a teacher that beats zero-shot."""
    if s.arm.preference is not None:
        return Choice(
            value="preference",
            because="the method compares texts: which are preferred is what it learns",
            rule="design",
            alternatives=(otherwise("supervised", "the preferred texts alone; an arm of its own"),),
            flips_when="another method",
        )
    if s.arm.contrastive:
        return Choice(
            value="contrastive",
            because="pairs of texts: whether their labels are the same is what the embeddings learn",
            rule=first(s, "R-022"),
            alternatives=(otherwise("supervised", "a classification head on the same encoder; an arm of its own"),),
            flips_when="another method",
        )
    asked = [row for row in ASKS if fires(s, row)]
    because = "there are labels, and no teacher that is known to beat zero-shot"
    if s.facts.data.ood:
        because = "there are labels; no case is known for distillation where other domains are scored, too"
    if asked:
        because += f"; {', '.join(asked)} would use the texts without labels"
    return Choice(
        value="supervised",
        because=because,
        rule="R-077",
        alternatives=tuple(otherwise(*ASKS[row], row) for row in asked),
        flips_when="methods.pin.objective is given",
    )
