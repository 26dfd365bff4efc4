"""How the labels are spent: all on training, or a part on stopping and choosing."""

from fewtune.compiler.situation import Choice, Situation, otherwise

ENOUGH = 96
"""Labels from which a fifth (about 20) can be spared for validation."""
FRACTION = 0.2
LEAST = 16
"""Fewer validation rows than this choose by chance: their accuracy moves by 12 points."""


def validation(s: Situation, n: int) -> Choice:
    """A fixed schedule below 96 labels, a fifth held out from there on, the user's split where there is one.

    The value is the scheme and the number of validation rows.
    """
    split = s.facts.data.splits.get("validation")
    if split is not None:
        return Choice(
            value={"scheme": "validation-split", "rows": len(split)},
            because=f"a separate validation split is given; its {len(split)} labels are not counted in the budget",
            rule="fact",
            flips_when="data.validation is left out",
        )
    if n < ENOUGH:
        return Choice(
            value={"scheme": "fixed-schedule", "rows": 0},
            because=f"{n} labels: all of them train, a fixed number of steps; a held-out part of a fifth would have "
            f"{int(n * FRACTION)} rows and choose by chance",
            rule="design",
            alternatives=(otherwise("held-out", f"{int(n * FRACTION)} rows are too few to choose by", "R-136"),),
            flips_when=f"n >= {ENOUGH}, or data.validation is given",
        )
    rows = max(LEAST, s.facts.data.strata, round(n * FRACTION))
    return Choice(
        value={"scheme": "held-out", "rows": rows},
        because=f"{n} labels: {rows} are held out to stop training and to choose among arms; they count in the budget",
        rule="R-128",
        alternatives=(otherwise("fixed-schedule", "gives up early stopping and choosing by validation", "R-128"),),
        flips_when=f"n < {ENOUGH}",
    )
