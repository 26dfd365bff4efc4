"""How many of the last blocks move."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise

SHARE = 6
"""Two of twelve blocks, as in the published comparison."""


def top_layers(s: ArmSituation) -> Choice:
    """A sixth of the blocks."""
    layers = s.facts.model.layers
    value = max(1, round(layers / SHARE))
    return Choice(
        value=value,
        because=f"{value} of {layers} blocks, the share of the published comparison (2 of 12)",
        rule="R-094",
        alternatives=(otherwise(layers, "every block: full fine-tuning but for the embeddings"),),
        flips_when="methods.pin.top_layers is given",
    )
