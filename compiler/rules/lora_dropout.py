"""Dropout of the inputs of LoRA's A."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import fires


def lora_dropout(s: ArmSituation) -> Choice:
    """None: masks cost time on every device, and keep a GPU's steps from being recorded."""
    asked = "R-046" if fires(s, "R-046") else "R-034"
    why_not = "found at 7B to 13B, without a comparison" if asked == "R-046" else "a folklore default"
    return Choice(
        value=0.0,
        because="masks cost time, on a GPU that of recorded steps, too; no comparison shows what they gain",
        rule="design",
        alternatives=(otherwise(0.05, why_not, asked),),
        flips_when="methods.pin.dropout is given",
    )
