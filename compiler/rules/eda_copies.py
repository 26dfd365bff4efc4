"""How many changed copies of each example there are."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

COPIES = ((500, 16), (2_000, 8))
"""(labels, copies of each up to so many)."""
FEWEST = 4


def eda_copies(s: RecipeSituation) -> Choice:
    """Fewer, the more examples there are."""
    value = next((copies for labels, copies in COPIES if s.level.n <= labels), FEWEST)
    return Choice(
        value=value,
        because=f"{s.level.n} labels: {value} copies of each; little is to be expected with a pretrained model",
        rule="R-104",
        alternatives=(otherwise(1, "one copy of each: nearer to the data, and less varied"),),
        flips_when="augmentation.eda_copies is given",
    )
