"""Which sets of label words a search tries: the user's alternatives, or other spellings and usual words."""

from itertools import islice, product
from math import prod

from fewtune.compiler.arm import Verbalizer
from fewtune.compiler.rules.verbalizer import first_tokens, single, synonyms
from fewtune.compiler.situation import Situation
from fewtune.compiler.wording import word_forms

MOST = 64
"""Sets of label words that a search may try: each is scored on every labelled text."""


def wanted(s: Situation) -> int:
    """How many sets the user's alternatives make."""
    return prod(len(words) for words in s.experiment.task.alternatives.values())


def verbalizers(s: Situation) -> tuple[Verbalizer, ...]:
    """The sets in which no two labels begin with the same token, the usual one first."""
    own = s.experiment.task.alternatives
    each = islice(product(*own.values()), MOST) if own else ()
    sets = [dict(zip(own, words, strict=True)) for words in each] if own else _spellings(s)
    usual = [s.verbalizer] if s.verbalizer is not None else []
    made = [Verbalizer(words=words, tokens=tokens) for words in sets if (tokens := first_tokens(s, words))]
    found: dict[tuple[tuple[str, int], ...], Verbalizer] = {}
    for one in (*usual, *made):
        found.setdefault(tuple(sorted(one.tokens.items())), one)
    return tuple(found.values())


def _spellings(s: Situation) -> list[dict[str, str]]:
    """The labels' names in lower case and capitalised, and their synonyms; each word one token."""
    plain = {label: word_forms(label)[-1] for label in s.label_names}
    sets = [{label: word.lower() for label, word in plain.items()},
            {label: word.capitalize() for label, word in plain.items()}, synonyms(s)]  # fmt: skip
    return [words for words in sets if words and single(s, words)]
