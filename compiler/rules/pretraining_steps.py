"""Steps of continued pre-training on texts without labels, before the labels are learnt from."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise
from fewtune.compiler.weighing import fires

USUAL = 100


def pretraining_steps(s: RecipeSituation) -> Choice:
    """None unless it is asked for: its gain is small, and a replication lost it."""
    if not fires(s, "R-086"):
        return Choice(value=0, because="there are no texts without labels", rule="design", flips_when="data.unlabelled")
    return Choice(
        value=0,
        because="a gain of 0.5 to 4.4 points that a replication at n = 500 lost, for as much time as training takes",
        rule="R-088",
        alternatives=(otherwise(USUAL, "pays from 25,000 tokens on, for encoders", "R-083", "R-086", "R-089"),),
        flips_when="methods.pin.pretraining_steps is given",
    )
