"""Labelled examples in the prompt of an in-context arm."""

from fewtune.compiler.situation import Choice, RecipeSituation, otherwise

MOST = 16
CONTEXT = 1024
"""Tokens of demonstrations that a small model still uses, and that a processor reads in a second or two."""


def demonstrations(s: RecipeSituation) -> Choice:
    """A few (of each label), as many as fit into 1,024 tokens, at most sixteen and never more than there are."""
    each = s.usual_length + s.fixed_tokens + s.usual_target + 3
    room = min(CONTEXT, s.facts.model.max_positions - s.max_tokens - s.max_new_tokens) // each
    labels = s.facts.data.strata
    most = max(1, min(MOST, room, s.level.train))
    value = most if most < labels else most // labels * labels
    return Choice(
        value=value,
        because=f"{value} demonstrations of about {each} tokens"
        + (", with their targets" if s.writes else f", balanced over {labels} labels"),
        rule="design",
        alternatives=(otherwise(s.level.train, "all labelled examples: longer than a small model uses"),),
        flips_when="longer texts or fewer labels",
    )
