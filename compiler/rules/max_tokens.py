"""The longest input."""

from fewtune.compiler.situation import ArmSituation, Choice, otherwise

COVERED = 0.99
"""Share of the training texts that are not cut."""
CEILING = 512
"""Tokens beyond which a label's evidence is rarely new and the cost of a step is."""
STEP = 8


def max_tokens(s: ArmSituation) -> Choice:
    """Enough for 99 % of the training texts with their pattern, up to 512 and the model's own limit."""
    fixed = s.facts.model.pattern_tokens.get(s.arm.pattern or "", 0)
    lengths = sorted(s.facts.data.train.tokens[row] for row in s.pool)
    covering = lengths[min(len(lengths) - 1, int(COVERED * len(lengths)))] + fixed + 2
    limit = min(CEILING, s.facts.model.max_positions)
    value = min(limit, -(-covering // STEP) * STEP)
    cut = sum(length + fixed > value for length in lengths)
    return Choice(
        value=value,
        because=f"training texts have {lengths[len(lengths) // 2]} tokens in the middle and {lengths[-1]} at most, "
        f"the pattern {fixed}; {cut} of {len(lengths)} texts are cut",
        evidence=("fact",),
        alternatives=(otherwise(s.facts.model.max_positions, "the model's limit; longer batches only pad"),),
        flips_when="longer training texts",
    )
