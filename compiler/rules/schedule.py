"""How the learning rate moves after the warm-up."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise


def schedule(s: RecipeSituation) -> Choice:
    """Linear decay to zero."""
    return Choice(
        value="linear",
        because="linear decay to zero: the last state of a fixed schedule is a settled one",
        rule="R-062",
        alternatives=(otherwise("constant", "ties in controlled runs, but the last state is noisier", "R-063"),
                      otherwise("cosine", "no difference known", "R-062")),
        flips_when="methods.pin.schedule is given",
    )  # fmt: skip
