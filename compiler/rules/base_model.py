"""Which base model is tuned."""

from fewtune.compiler.situation import Choice, Situation
from fewtune.compiler.weighing import first


def base_model(s: Situation) -> Choice:
    """The embedded one where the spec names none."""
    rule = first(s, "R-007")
    few = "; with few labels a larger one is neither better nor steadier for its own sake"
    return Choice(
        value=s.facts.model.place,
        because="the spec names none: the one that is at hand" + ("" if rule == "design" else few),
        rule=rule,
        flips_when="model.name or model.path is given",
    )
