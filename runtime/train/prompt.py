"""From rows to tokens: a pattern is filled, encoded as one string, and the text shortened until the whole fits.

What is shortened is always a text field, from its end, never the pattern; of a pair the longer field first. Encoding
the whole string costs a second look at the pattern for each row and gives the tokens that the model will see in use.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tokenizers import Encoding, Tokenizer

from fewtune.runtime.job import Corpus, Row, RowRef

REMEMBERED = 8
"""Templates whose encodings are kept: the arms of a plan share a few patterns."""
Fields = Mapping[str, str]


@dataclass(frozen=True)
class Template:
    """A pattern with all that is the same for every row."""

    pattern: str
    options: str = ""
    """What {labels} stands for."""
    opening: str = ""
    """Text before the pattern: demonstrations."""

    @property
    def gap(self) -> str:
        """What stands between the pattern and what continues it: a space, nothing after a line break."""
        return "" if self.pattern[-1:].isspace() else " "

    def filled(self, fields: Fields) -> str:
        """The prompt of one row. All fields are replaced in one pass, so braces in a text mean nothing."""
        known = {"labels": self.options, **fields}
        names = "|".join(map(re.escape, known))
        return self.opening + re.sub(rf"\{{({names})\}}", lambda found: known[found[1]], self.pattern)


def load_tokenizer(path: str) -> Tokenizer:
    """A tokenizer file, with whatever padding and truncation it has switched off."""
    tokenizer = Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class Encoder:
    """Encodes prompts, and remembers the rows of the templates it used last."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._memory: OrderedDict[tuple[Template, int], dict[tuple[str, int], list[int]]] = OrderedDict()

    def rows(self, template: Template, limit: int, corpus: Corpus, ref: RowRef) -> list[list[int]]:
        """Token ids of each row of `ref`, at most `limit` of them."""
        known = self._memory.setdefault((template, limit), {})
        self._memory.move_to_end((template, limit))
        if len(self._memory) > REMEMBERED:
            self._memory.popitem(last=False)
        split = corpus.splits[ref.split]
        for row in ref.rows:
            if (ref.split, row) not in known:
                known[ref.split, row] = self.encode(template, split[row], limit)
        return [*(known[ref.split, row] for row in ref.rows), *(self.encode(template, row, limit) for row in ref.added)]

    def encode(self, template: Template, row: Row, limit: int) -> list[int]:
        """Token ids of one row's prompt."""
        return self.fitting(template, row.fields, limit)[1]

    def fitting(self, template: Template, fields: Fields, limit: int) -> tuple[Fields, list[int]]:
        """The fields, shortened as far as needed, and the prompt's tokens.

        Raises:
            ValueError: if the pattern alone is longer than `limit`.
        """
        ids = self.ids(template.filled(fields))
        if len(ids) <= limit:
            return fields, ids
        used = {name: text for name, text in fields.items() if f"{{{name}}}" in template.pattern}
        pieces = {name: self.tokenizer.encode(text, add_special_tokens=False) for name, text in used.items()}
        room, short = sum(map(len, pieces.values())), dict[str, str]()
        while len(ids) > limit and room > 0:
            room = max(0, room - (len(ids) - limit))
            kept = shares([len(piece) for piece in pieces.values()], room)
            short = {name: _beginning(used[name], pieces[name], n) for name, n in zip(pieces, kept, strict=True)}
            ids = self.ids(template.filled({**fields, **short}))
        if len(ids) > limit:
            raise ValueError(
                f"the pattern alone takes {len(ids)} tokens, and {limit} are allowed: {template.pattern!r}"
            )
        return {**fields, **short}, ids

    def continuation(self, text: str) -> list[int]:
        """Token ids of a text that continues another one."""
        ids: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, with the special tokens that the tokenizer adds; an empty one is read as a newline."""
        ids: list[int] = self.tokenizer.encode(text).ids or self.tokenizer.encode("\n").ids
        return ids


def shares(lengths: Sequence[int], room: int) -> list[int]:
    """Cut lengths down to `room` in sum, the longest first.

    >>> shares([10, 4], 9)
    [5, 4]
    >>> shares([10, 9], 7)
    [4, 3]
    """
    kept = list(lengths)
    while sum(kept) > room:
        longest = max(kept)
        others = [length for length in kept if length < longest]
        equals = [place for place, length in enumerate(kept) if length == longest]
        excess = sum(kept) - room
        each = min(longest - max(others, default=0), -(-excess // len(equals)))
        for place in reversed(equals):
            cut = min(each, excess)
            kept[place], excess = kept[place] - cut, excess - cut
    return kept


def _beginning(text: str, encoding: Encoding, tokens: int) -> str:
    """The part of a text that its first tokens cover."""
    return text[: encoding.offsets[tokens - 1][1]] if tokens else ""


def shared_beginning(rows: Iterable[Sequence[int]]) -> int:
    """Tokens that all rows begin with.

    >>> shared_beginning([[1, 2, 3], [1, 2, 4, 5]])
    2
    """
    ordered = sorted(map(list, rows))
    first, last = ordered[0], ordered[-1]  # the most different of all, in dictionary order
    same = (place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b)
    return next(same, min(len(first), len(last)))
