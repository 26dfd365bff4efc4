"""How the task is put into words."""

from fewtune.compiler.situation import Choice, Situation, otherwise
from fewtune.compiler.wording import default_pattern


def patterns(s: Situation) -> Choice:
    """One short pattern that ends where the label's word follows."""
    chosen = default_pattern(s.experiment, s.label_names)
    return Choice(
        value=[chosen],
        because="one short pattern, the same for training, evaluation and use"
        + ("" if s.validated else "; choosing among several needs validation labels, which this n does not have"),
        evidence=("R-013", "R-071"),
        alternatives=(otherwise("three patterns", "give task.patterns to compare your own; each is an arm", "R-071"),),
        flips_when="task.patterns or task.question is given",
    )
