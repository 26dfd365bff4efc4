"""Which metric arms are chosen and compared by."""

from fewtune.compiler.situation import Choice, Situation, otherwise

IMBALANCED = 0.6
"""Share of the largest class from which accuracy misleads; CoLA's is 0.70."""


def metric(s: Situation) -> Choice:
    """Accuracy, unless one label dominates the training pool."""
    counts = [s.facts.data.train.labels.count(index) for index in range(len(s.label_names))]
    share = max(counts) / max(1, sum(counts))
    if share < IMBALANCED:
        return Choice(
            value="accuracy",
            because=f"the largest of {len(counts)} labels has {share:.0%} of the rows: accuracy does not mislead",
            evidence=("R-132",),
            alternatives=(otherwise("macro_f1", "reported beside it"), otherwise("mcc", "reported beside it")),
            flips_when=f"one label has {IMBALANCED:.0%} of the rows or more",
        )
    value = "mcc" if len(counts) == 2 else "macro_f1"
    return Choice(
        value=value,
        because=f"one label has {share:.0%} of the rows: always answering it would score well by accuracy",
        evidence=("R-132",),
        alternatives=(otherwise("accuracy", f"the majority class alone reaches {share:.2f}", "R-132"),),
        flips_when=f"the largest label falls below {IMBALANCED:.0%}",
    )
