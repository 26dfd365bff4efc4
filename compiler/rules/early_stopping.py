"""Whether and how often validation may stop the training."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

LOOKS = 6
PATIENCE = 3


def early_stopping(s: RecipeSituation) -> Choice:
    """Six looks at the validation rows, three without a better one end it; nothing without validation rows.

    The value is the steps between looks and the patience, or null.
    """
    if s.arm.contrastive:
        return Choice(
            value=None,
            because="there is no classifier until the pairs are learnt: nothing to look at on the way",
            rule="design",
            alternatives=(otherwise("on the pairs' loss", "it falls whether the labels separate or not", "R-128"),),
            flips_when="another method",
        )
    if s.level.validation == 0:
        return Choice(
            value=None,
            because="no validation rows: the last state of the fixed schedule is kept",
            rule="design",
            alternatives=(otherwise("on training loss", "it falls whether the model learns or memorises", "R-128"),),
            flips_when="validation rows",
        )
    steps = int(s.settled["steps"])
    return Choice(
        value={"evaluate_every": max(1, -(-steps // LOOKS)), "patience": PATIENCE},
        because=f"{LOOKS} looks at {s.level.validation} validation rows; the best state is kept",
        rule="R-128",
        alternatives=(otherwise(None, "the last state may be past the best", "R-128"),),
        flips_when="no validation rows, or methods.pin.early_stopping = false",
    )
