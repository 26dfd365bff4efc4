"""Examples for one optimizer step."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

SMALL = 8
LARGE = 16


def batch_size(s: RecipeSituation) -> Choice:
    """Eight, sixteen from a thousand labels on, never more than there are training examples."""
    if s.arm.contrastive:
        return _pairs(s)
    usual = LARGE if s.level.train >= 1000 else SMALL
    value = min(usual, s.level.train)
    return Choice(
        value=value,
        because=f"{s.level.train} training examples: small batches, below the 32 that LoRA tolerates"
        if value == usual
        else f"only {s.level.train} training examples",
        rule="R-060",
        alternatives=(otherwise(32, "fewer updates from the same examples", "R-060"),),
        flips_when=f"{1000} training examples or more" if usual == SMALL else "fewer than 1000 training examples",
    )


def _pairs(s: RecipeSituation) -> Choice:
    value = min(LARGE, s.examples)
    return Choice(
        value=value,
        because=f"{value} pairs, of which a text in several is read once: what contrastive tuning was published with",
        rule="design",
        alternatives=(otherwise(SMALL, "what arms on single texts have: twice the updates of half the pairs"),),
        flips_when="methods.pin.batch_size is given",
    )
