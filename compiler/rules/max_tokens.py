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
OWN_TOKENS = 2
"""Tokens of an encoder for one of the language model."""
SPECIAL = 4
"""Tokens that an encoder puts around a text or a pair."""


def max_tokens(s: ArmSituation) -> Choice:
    """Enough for 99 % of the training texts with their pattern, up to 512 (to write from: 1024) or the model's end.

    Where each word has a tag: for the longest text of all splits, for a word that is cut off gets none.
    """
    if s.arm.encoded:
        return _of_encoder(s)
    fixed = s.fixed_tokens
    count = len(s.lengths)
    most = s.facts.model.max_positions - s.max_new_tokens
    if s.marks == "tags":
        return _of_words(s, fixed, most)
    covering = s.lengths[min(count - 1, int(COVERED * count))] + fixed + 2
    ceiling = CEILING_WRITING if s.arm.generates else CEILING
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


def _of_words(s: ArmSituation, fixed: int, most: int) -> Choice:
    data = s.facts.data
    longest = max(max(split.tokens, default=0) for split in (data.train, *data.splits.values()))
    value = min(most - s.virtual_tokens, -(-(longest + fixed + 2) // STEP) * STEP)
    return Choice(
        value=value,
        because=f"every word is to be read, and the longest text has {longest} tokens"
        + ("" if longest + fixed <= value else "; what is behind the model's last position is outside of all spans"),
        rule="fact",
        flips_when="longer texts",
    )


def _of_encoder(s: ArmSituation) -> Choice:
    """Lengths are known in the language model's tokens; an encoder's own tokenizer may need more, hardly twice as many.

    A batch is only as long as its longest text, so room that is not needed costs nothing.
    """
    most = min(CEILING, s.facts.model.max_positions)
    value = min(most, -(-(OWN_TOKENS * s.lengths[-1] + SPECIAL) // STEP) * STEP)
    return Choice(
        value=value,
        because=f"{s.facts.model.place} reads {s.facts.model.max_positions} tokens; texts have {s.lengths[-1]} of the "
        "language model's at most, and are given twice as many",
        rule="fact",
        alternatives=(otherwise(most, "the most that is read"),) if value != most else (),
        flips_when="longer training texts",
    )
