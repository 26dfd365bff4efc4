"""The longest input."""

from bisect import bisect_right

from fewtune.compiler.situation import ArmSituation, Choice, otherwise

COVERED = 0.99
"""Share of the training texts that are not cut."""
CEILING = 512
"""Tokens beyond which a label's evidence is rarely new and the cost of a step is."""
CEILING_WRITING = 1024
"""The same where a text is to be written: what it needs may stand anywhere."""
STEP = 8


def max_tokens(s: ArmSituation) -> Choice:
    """Enough for 99 % of the training texts with their pattern, up to 512 (to write from: 1024) or the model's end."""
    fixed = s.facts.model.pattern_tokens.get(s.arm.pattern or "", 0)
    count = len(s.lengths)
    covering = s.lengths[min(count - 1, int(COVERED * count))] + fixed + 2
    ceiling = CEILING_WRITING if s.arm.generates else CEILING
    most = s.facts.model.max_positions - s.max_new_tokens
    limit = min(ceiling, most)
    value = min(limit, -(-covering // STEP) * STEP)
    cut = count - bisect_right(s.lengths, value - fixed)
    return Choice(
        value=value,
        because=f"training texts have {s.usual_length} tokens in the middle and {s.lengths[-1]} at most, "
        f"the pattern {fixed}; {cut} of {count} texts are cut",
        rule="fact",
        alternatives=(otherwise(most, "the model's limit; longer batches only pad"),),
        flips_when="longer training texts",
    )
