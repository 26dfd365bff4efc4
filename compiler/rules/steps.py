"""Optimizer steps: counted in updates, not in epochs."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

LEAST = 60
"""Updates below which a small model has not learnt the task (M-001)."""
EPOCHS = 3


def steps(s: RecipeSituation) -> Choice:
    """Three epochs, but at least sixty updates."""
    batch = int(s.settled["batch_size"])
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
        evidence=_evidence(s, few),
        alternatives=(otherwise(three, "the default of common tools: too few updates at this n", "R-056"),)
        if value != three
        else (),
        flips_when=f"more than {LEAST * batch // EPOCHS} training examples" if value == LEAST else "fewer examples",
    )


def _evidence(s: RecipeSituation, few: bool) -> tuple[str, ...]:
    """M-001 is about labels."""
    if s.writes:
        return ("R-054", "R-056") if few else ("R-056", "R-054")
    return ("R-054", "M-001", "R-056", "R-052") if few else ("R-056", "R-054", "M-001")
