"""How many different samples of labelled examples (or fold assignments) each arm is run on."""

from fewtune.compiler.situation import Choice, Situation, otherwise
from fewtune.compiler.weighing import fires, first

PREFERRED = 5
FLOOR = 3


def data_seeds(s: Situation) -> Choice:
    """Five; three for cross-validation (each seed is a whole set of folds) and for many labels."""
    many = not fires(s, "R-129")
    value = PREFERRED if s.folds is None and not many else FLOOR
    because = "results at this n move with the sample: five are preferred, three the least"
    if s.folds is not None:
        because = f"each seed is a new assignment to {s.folds} folds, so three give {3 * s.folds} trainings"
    elif many:
        because = f"n = {s.largest_n}: one sample is much like the next; three show that it is"
    return Choice(
        value=value,
        because=because,
        rule=first(s, "R-129"),
        alternatives=(otherwise(1, "an interval from one sample covers the test items only", "R-129"),
                      otherwise(10, "tighter intervals for twice the time", "R-129")),
        flips_when="a budget that holds fewer; never below three for the chosen arm",
    )  # fmt: skip
