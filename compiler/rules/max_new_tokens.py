"""Tokens after which a written text ends in any case."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise

CEILING = 256
"""Tokens beyond which a small model repeats itself, and each costs a pass over all weights."""
STEP = 8


def max_new_tokens(s: ArmSituation) -> Choice:
    """Enough for the longest target of the training rows and the token that ends it, up to 256."""
    longest = s.target_lengths[-1]
    limit = min(CEILING, s.facts.model.max_positions // 2)
    value = min(limit, -(-(longest + 1) // STEP) * STEP)
    cut = sum(tokens >= value for tokens in s.target_lengths)
    return Choice(
        value=value,
        because=f"targets have {s.usual_target} tokens in the middle and {longest} at most"
        + (f"; {cut} of {len(s.target_lengths)} are cut" if cut else ", and one token ends each"),
        rule="fact",
        alternatives=(otherwise(CEILING, "only for texts that do not end: time without use"),),
        flips_when="longer targets, or methods.pin.max_new_tokens",
    )
