"""Which rows of the pool are the labelled ones."""

from fewtune.compiler.situation import Choice, Situation, otherwise
from fewtune.compiler.weighing import first


def sampling(s: Situation) -> Choice:
    """At random by each data seed, labels in proportion, each label at least once where n allows."""
    rule = first(s, "R-109")
    why = "below about 1,000 labels no choice of rows is better than chance"
    if rule == "design":
        why = "the pool is labelled already: choosing what to label next is not asked"
    return Choice(
        value="stratified",
        because=f"at random, labels in proportion, anew for each data seed; {why}",
        rule=rule,
        alternatives=(otherwise("active", "a model would have to be asked which rows to label; not done here"),),
        flips_when="never yet: rows are always drawn at random",
    )
