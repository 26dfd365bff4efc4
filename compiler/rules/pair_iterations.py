"""Pairs that contrastive tuning draws for each labelled text."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise
from fewtune.compiler.weighing import first

USUAL = 20
"""R of arXiv 2209.11055, section 3.1, as its released code has it: so many pairs of each kind for every text."""
FEW = 16
"""Labels a class up to which this many are drawn: above, there are other pairs enough (R-022's end)."""


def pair_iterations(s: RecipeSituation) -> Choice:
    """Twenty of each kind up to sixteen labels a class; above, as many pairs in all as at sixteen."""
    each = s.level.train / len(s.label_names)
    value = USUAL if each <= FEW else max(1, round(USUAL * FEW / each))
    pairs = 2 * value * s.level.train
    return Choice(
        value=value,
        because=f"{each:g} labels a class: {value} pairs of the same label and {value} of another for each of "
        f"{s.level.train} texts, {pairs} in all",
        rule=first(s, "R-022"),
        alternatives=(otherwise(1, "each text in one pair of each kind: too few updates at this n"),)
        if value != 1
        else (),
        flips_when=f"more than {FEW} labels a class" if value == USUAL else "fewer labels",
    )
