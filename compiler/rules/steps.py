"""Optimizer steps: counted in updates, not in epochs."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise
from fewtune.compiler.weighing import first

LEAST = 60
"""Updates below which a small model has not learnt the task (M-001)."""
EPOCHS = 3
PREFERRING = 30
"""Updates on preferences, at the least: so many moved the margin of 40 pairs (tests/bench/preference.md); fewer are not
measured."""


def steps(s: RecipeSituation) -> Choice:
    """Three epochs, but at least sixty updates; of preferences one epoch, but at least thirty."""
    batch = int(s.settled["batch_size"])
    if s.arm.preference is not None:
        return _preferring(s, batch)
    if s.arm.contrastive:
        return _pairs(s, batch)
    three = -(-EPOCHS * s.level.train // batch)
    value = max(LEAST, three)
    epochs = value * batch / s.level.train
    few = value > three
    if few:
        because = f"{LEAST} updates of {batch}: three epochs of {s.level.train} examples would be only {three}"
    else:
        because = f"three epochs of {s.level.train} examples are {three} updates of {batch}"
    return Choice(
        value=value,
        because=f"{because} ({epochs:.1f} epochs)",
        rule=first(s, "R-054", "R-056") if few else "R-056",
        alternatives=(otherwise(three, "the default of common tools: too few updates at this n", "R-056"),)
        if value != three
        else (),
        flips_when=f"more than {LEAST * batch // EPOCHS} training examples" if value == LEAST else "fewer examples",
    )


def _preferring(s: RecipeSituation, batch: int) -> Choice:
    one = -(-s.level.train // batch)
    value = max(PREFERRING, one)
    what = f"one epoch of {s.level.train} rows is {one} updates of {batch}"
    return Choice(
        value=value,
        because=f"{what}: after it, what was preferred is learnt by heart"
        if value == one
        else f"{what}; {PREFERRING} moved the margin of 40 pairs, and go {value / one:.0f} times over these",
        rule=first(s, "R-121") if value == one else "design",
        alternatives=(otherwise(one, "as published for tens of thousands of pairs"),) if value != one else (),
        flips_when=f"more than {PREFERRING * batch} training examples" if value != one else "fewer examples",
    )


def _pairs(s: RecipeSituation, batch: int) -> Choice:
    one = -(-s.examples // batch)
    return Choice(
        value=one,
        because=f"one pass over {s.examples} pairs is {one} updates of {batch}",
        rule=first(s, "R-022"),
        alternatives=(otherwise(2 * one, "two passes: the same texts in the same pairs once more"),),
        flips_when="methods.pin.pair_iterations is given, or more labels",
    )
