"""The L2 penalty of a logistic regression on frozen features."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

STRONG = 100.0


def penalty(s: RecipeSituation) -> Choice:
    """A strong one: there are many more features than labelled examples."""
    return Choice(
        value=STRONG,
        because=f"{s.level.train} examples and hundreds of standardised features: the direction matters, not the fit",
        rule="M-004",
        alternatives=(otherwise(1.0, "scikit-learn's default is the same within a point", "M-004"),),
    )
