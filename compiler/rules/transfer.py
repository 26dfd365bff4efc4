"""How many texts without labels a teacher answers."""

from fewtune.compiler.sample import transferable
from fewtune.compiler.situation import Choice, RecipeSituation, otherwise


def transfer(s: RecipeSituation) -> Choice:
    """As many as the steps see, each once; fewer where there are not so many."""
    if s.objective != "context-distillation":
        return Choice(value=0, because="the labelled texts are learnt from", rule="design")
    there, seen = len(transferable(s.facts.data)), int(s.settled["steps"]) * int(s.settled["batch_size"])
    return Choice(
        value=min(there, seen),
        because=f"{s.settled['steps']} steps of {s.settled['batch_size']} see {seen} texts, and there are {there}: "
        "the student sees each once"
        if there >= seen
        else f"all {there}, seen {seen / max(1, there):.1f} times",
        rule="design",
        alternatives=(otherwise(there, "the teacher would answer texts that no step sees"),) if there > seen else (),
        flips_when="other steps, or more texts",
    )
