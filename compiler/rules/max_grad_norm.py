"""Norm to which gradients are clipped."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise


def max_grad_norm(s: RecipeSituation) -> Choice:
    """One."""
    return Choice(
        value=1.0,
        because="the usual bound; nobody has justified another",
        rule="R-062",
        alternatives=(otherwise(0.3, "QLoRA's", "R-063"),),
        flips_when="methods.pin.max_grad_norm is given",
    )
