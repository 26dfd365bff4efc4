"""Dropout of the inputs of LoRA's A."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import fires


def lora_dropout(s: ArmSituation) -> Choice:
    """A twentieth for bases of 7B to 13B, as QLoRA's authors found; none below, where few short steps regularise."""
    if fires(s, "R-046"):
        return Choice(
            value=0.05,
            because=f"{s.facts.model.parameters / 1e9:.0f}B parameters: some dropout helped there",
            rule="R-046",
            alternatives=(otherwise(0.0, "the small models' value"),),
            flips_when="methods.pin.dropout is given",
        )
    return Choice(
        value=0.0,
        because="nothing is known in favour of it at this size, and masks take time",
        rule="design",
        alternatives=(otherwise(0.05, "found for bases of 7B to 13B", "R-046"),),
        flips_when="a base of 6B to 33B, or methods.pin.dropout is given",
    )
