"""What is added to inputs and loss beside the labelled examples."""

from typing import Any

from fewtune.compiler.arm import Regularisation
from fewtune.compiler.decision import Alternative
from fewtune.compiler.situation import ArmSituation, Choice, otherwise
from fewtune.compiler.weighing import fires, first

ASKS: dict[str, tuple[dict[str, Any], str]] = {
    "R-065": ({"prompt_loss": 0.01}, "asked for with long prompts; this engine's loss is of the answer alone"),
    "R-139": ({"replay": 0.05}, "asked for where little may be forgotten; there is no replay of general data yet"),
    "R-143": ({"replay": 0.05}, "asked for of a general assistant; there is no replay of general data yet"),
}
"""Row -> what it would add, and why that is not done."""


def regularisation(s: ArmSituation) -> Choice:
    """Nothing: no noise, loss on the prompt, leash to the base or replay.

    The value has a number for each, all of them zero; rows that ask for more are named with the alternatives.
    """
    asked = [row for row in ASKS if fires(s, row)]
    because = "labels alone: noise on embeddings and a leash to the base are no defaults"
    if asked:
        because += f"; {', '.join(asked)} would add more"
    return Choice(
        value=Regularisation().model_dump(),
        because=because,
        rule=first(s, "R-142", "R-066"),
        alternatives=tuple(_other(row) for row in asked),
        flips_when="never yet: nothing of it can be trained with",
    )


def _other(row: str) -> Alternative:
    value, why_not = ASKS[row]
    return otherwise({**Regularisation().model_dump(), **value}, why_not, row)
