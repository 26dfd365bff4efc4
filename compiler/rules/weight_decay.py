"""AdamW's decoupled weight decay."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise


def weight_decay(s: RecipeSituation) -> Choice:
    """None."""
    return Choice(
        value=0.0,
        because="none for few-shot training",
        rule="R-064",
        alternatives=(otherwise(0.01, "optional for full fine-tuning on more data", "R-064"),),
        flips_when="methods.pin.weight_decay is given",
    )
