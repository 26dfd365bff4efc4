"""Share of general texts in continued pre-training."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

USUAL = 0.1


def replay(s: RecipeSituation) -> Choice:
    """A tenth where there are such texts."""
    if not s.settled.get("pretraining_steps"):
        return Choice(value=0.0, because="there is no continued pre-training", rule="design")
    if "replay" not in s.facts.data.splits:
        return Choice(
            value=0.0,
            because="there are no general texts",
            rule="design",
            alternatives=(otherwise(USUAL, "decoders forget: general texts beside those of the task", "R-090"),),
            flips_when="data.replay is given",
        )
    return Choice(
        value=USUAL,
        because="decoders forget in continued pre-training: a tenth of general texts",
        rule="R-090",
        alternatives=(otherwise(0.0, "forgets more", "R-090"),),
        flips_when="methods.pin.replay is given",
    )
