"""What share of a text's words is changed in a copy."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

FEW = 2_000
"""Labels up to which texts are changed less."""


def eda_alpha(s: RecipeSituation) -> Choice:
    """One word in twenty; of many labels one in ten."""
    value, other = (0.05, 0.1) if s.level.n <= FEW else (0.1, 0.05)
    return Choice(
        value=value,
        because=f"{s.level.n} labels: {100 * value:g} % of the words are changed, one at least",
        rule="R-104",
        alternatives=(otherwise(other, f"for {'more' if s.level.n <= FEW else 'fewer'} labels", "R-104"),),
        flips_when="augmentation.eda_alpha is given",
    )
