"""Spans of words in BIO tags, as the CoNLL shared tasks read them."""

from collections.abc import Sequence

OUTSIDE = "O"
BEGIN, INSIDE = "B-", "I-"

Span = tuple[str, int, int]
"""Name, first word, word behind the last one."""


def is_tag(text: str) -> bool:
    """Whether it is a BIO tag.

    >>> is_tag("O"), is_tag("B-DRUG"), is_tag("I-"), is_tag("DRUG")
    (True, True, False, False)
    """
    return text == OUTSIDE or (text[:2] in (BEGIN, INSIDE) and len(text) > 2)


def spans(tags: Sequence[str]) -> set[Span]:
    """The spans of one text.

    B- begins a span; so does I- behind O, at the beginning, or behind another name: conlleval's rule (Tjong Kim Sang
    and Buchholz 2000, CoNLL-2000), which seqeval follows by default.

    >>> sorted(spans(["B-A", "I-A", "O", "I-B", "I-A", "B-A"]))
    [('A', 0, 2), ('A', 4, 5), ('A', 5, 6), ('B', 3, 4)]
    """
    found, name, first = set[Span](), "", 0
    for place, tag in enumerate([*tags, OUTSIDE]):
        own = "" if tag == OUTSIDE else tag[2:]
        if own == name and not tag.startswith(BEGIN):
            continue
        if name:
            found.add((name, first, place))
        name, first = own, place
    return found
