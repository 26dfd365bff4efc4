"""Where each key and value of a spec stands in its text.

No TOML or JSON library keeps positions, and a fault that cannot name its line sends its reader searching. Both
scanners here work on character offsets and leave lines and columns to the moment someone asks: a spec has
thousands of characters and a handful of faults. A scanner says *what* slipped and where; `parse` has the words.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, Literal, NoReturn

MAX_DEPTH = 16  # steps from the root to a value; the language itself needs 6, and recursion stays shallow
MAX_KEY_PARTS = 8  # tomllib takes quadratic time in the parts of one dotted key
MAX_KEY_CHARS = 100  # every value below a key repeats it in its pointer: 8,192 pointers stay under 30 MB
MAX_DIGITS = 20  # the longest repr of a double is 17 digits and a 3-digit exponent; 64-bit integers have 19
MAX_VALUES = 8_192  # bounds the time of a 64 KiB document made of one-character values
MAX_SLIPS = 50  # nobody repairs more in one go, and a wrong guess about the format makes thousands

SlipKind = Literal[
    "bad-escape", "bad-number", "colon", "comment", "control-escape", "curly-quotes", "date", "digits",
    "duplicate", "extra-content", "header", "inline-newline", "json-as-toml", "key-chars", "key-expected",
    "key-parts", "missing-comma", "no-colon", "no-equals", "no-value", "not-a-table", "not-finite", "null-word",
    "python-bool", "single-quotes", "surrogate", "tab-in-string", "too-deep", "too-many", "too-small",
    "trailing-comma", "trailing-text", "unclosed", "unclosed-string", "unquoted", "unquoted-key",
]  # fmt: skip
RawSpan = tuple[int | None, int, int]  # offsets of key, value start, value end


@dataclass(frozen=True, kw_only=True)
class Place:
    """A character of the text; line and column count from 1."""

    line: int
    column: int


@dataclass(frozen=True, kw_only=True)
class Span:
    """Where a key and its value stand; `end` is the place just after the value.

    Array items and the root have no key. A `[table]` or `[[table]]` spans its header, a table that exists only
    through a dotted key spans that part of the key.
    """

    key: Place | None
    value: Place
    end: Place


@dataclass(frozen=True, kw_only=True)
class Slip:
    """Something refused: its kind, its offset, and what a message about it needs."""

    kind: SlipKind
    offset: int
    pointer: str = ""
    detail: str = ""
    other: int | None = None  # offset of the opening bracket or of the first definition


class Positions(Mapping[str, Span]):
    """JSON pointer (RFC 6901) to span, for every value of one document."""

    def __init__(self, text: str, spans: Mapping[str, RawSpan]) -> None:
        self._spans = spans
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def __getitem__(self, pointer: str) -> Span:
        key, value, end = self._spans[pointer]
        return Span(
            key=None if key is None else self.place(key),
            value=self.place(value),
            end=self.place(end),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self._spans)

    def __len__(self) -> int:
        return len(self._spans)

    def place(self, offset: int) -> Place:
        """The line and column of a character offset."""
        line = bisect_right(self._line_starts, offset)
        return Place(line=line, column=offset - self._line_starts[line - 1] + 1)

    def offset(self, place: Place) -> int:
        """The character offset of a line and column."""
        return self._line_starts[place.line - 1] + place.column - 1

    def at(self, pointer: str) -> Span:
        """The span at a pointer, or of its nearest parent that exists (a missing field has no place)."""
        while pointer and pointer not in self._spans:
            pointer = pointer.rpartition("/")[0]
        return self[pointer]


@dataclass(frozen=True, kw_only=True)
class Scan:
    """What a scanner saw.

    Attributes:
        positions: Complete only where there are no slips.
        slips: In reading order; empty for a text without faults.
        tree: The value of a JSON text; TOML values are left to tomllib.
        statements: Offset and pointer of each TOML header and key-value line, in reading order.
    """

    positions: Positions
    slips: tuple[Slip, ...]
    tree: dict[str, Any]
    statements: tuple[tuple[int, str], ...] = ()


def child(pointer: str, part: str) -> str:
    """The pointer one key below another.

    >>> child("/data", "a/b")
    '/data/a~1b'
    """
    return f"{pointer}/{part.replace('~', '~0').replace('/', '~1')}"


class _StoppedError(Exception):
    """The rest of the text cannot be read; the slip that says why is noted."""


# Possessive quantifiers: an unclosed string fails in one pass.
_BASIC = re.compile(r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"')
_LITERAL = re.compile(r"'[^'\n]*+'")
_LONG_BASIC = re.compile(r'"""[^"\\]*+(?:(?:\\[\s\S]|"{1,2}(?!"))[^"\\]*+)*+"{3,5}')
_LONG_LITERAL = re.compile(r"'''[^']*+(?:'{1,2}(?!')[^']*+)*+'{3,5}")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPE = re.compile(
    r"\\(?:u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
    r"|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([ \t]*\n[ \t\n]*)|(.))"
)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ].*)?|[0-9]{2}:[0-9]{2}(?::[0-9.]+)?")
_DIGITS = r"[0-9](?:_?[0-9])*+"
_TOML_NUMBER = re.compile(
    r"0x[0-9a-fA-F](?:_?[0-9a-fA-F])*+|0o[0-7](?:_?[0-7])*+|0b[01](?:_?[01])*+"
    rf"|[+-]?(?:0|[1-9](?:_?[0-9])*+)(\.{_DIGITS})?([eE][+-]?{_DIGITS})?"
)
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][+-]?[0-9]++)?")
_MISWRITTEN: tuple[tuple[SlipKind, re.Pattern[str]], ...] = (
    ("python-bool", re.compile(r"(?i:true|false)")),
    ("null-word", re.compile(r"(?i:none|null|nil)")),
    ("not-finite", re.compile(r"[+-]?(?i:inf|infinity|nan)")),
    ("date", _DATE),
    ("bad-number", re.compile(r"[+-]?[0-9.,_][0-9.,_eE+-]*|[+-]?0[xXoObB][0-9a-fA-F_]*")),
    ("curly-quotes", re.compile(r"[“”„‘’].*")),
    ("unquoted", re.compile(r".*")),
)


class _Scanner:
    """Notes slips and spans; the parts that TOML and JSON share."""

    literals: ClassVar[Mapping[str, bool | None]]
    letters: ClassVar[Mapping[str, str]]
    number: ClassVar[re.Pattern[str]]
    is_json: ClassVar[bool]

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans: dict[str, RawSpan] = {"": (None, 0, len(text))}
        self.slips: list[Slip] = []

    def note(
        self, kind: SlipKind, offset: int, pointer: str = "", detail: str = "", other: int | None = None
    ) -> None:
        self.slips.append(Slip(kind=kind, offset=offset, pointer=pointer, detail=detail, other=other))
        if len(self.slips) >= MAX_SLIPS:
            raise _StoppedError

    def stop(
        self, kind: SlipKind, offset: int, pointer: str = "", detail: str = "", other: int | None = None
    ) -> NoReturn:
        self.note(kind, offset, pointer, detail, other)
        raise _StoppedError

    def check_limits(self, offset: int, pointer: str) -> None:
        if pointer.count("/") > MAX_DEPTH:
            self.stop("too-deep", offset, pointer)
        if len(self.spans) > MAX_VALUES:
            self.stop("too-many", offset, pointer)

    def check_key(self, name: str, offset: int) -> None:
        if len(name) > MAX_KEY_CHARS:
            self.stop("key-chars", offset, detail=name)

    def scalar(self, token: str, offset: int, pointer: str) -> bool | float | None:
        """The value of an unquoted token; a token that means nothing is noted and read as None."""
        if match := self.number.fullmatch(token):
            if match.lastindex is None and len(token) <= MAX_DIGITS:
                return int(token, 0)
            return self.finite(token, offset, pointer, is_float=match.lastindex is not None)
        if token not in self.literals:
            kind = next(kind for kind, pattern in _MISWRITTEN if pattern.fullmatch(token))
            self.note(kind, offset, pointer, token)
        return self.literals.get(token)

    def finite(self, token: str, offset: int, pointer: str, is_float: bool) -> float | None:
        digits = token[2:].replace("_", "") if token[1:2] in ("x", "o", "b") else re.sub("[^0-9]", "", token)
        if len(digits) > MAX_DIGITS:
            self.note("digits", offset, pointer, token)
            return None
        if not is_float:
            return int(token, 0)
        number = float(token)
        if not isfinite(number):
            self.note("not-finite", offset, pointer, token)
        elif number == 0 and re.match(r"[^eE]*[1-9]", token):
            self.note("too-small", offset, pointer, token)
        return number

    def unescape(self, start: int, end: int, pointer: str) -> str:
        """The characters that a quoted text stands for; refused escapes are noted."""
        raw = self.text[start:end]
        if "\\" not in raw:
            return raw
        return _ESCAPE.sub(lambda match: self.escaped(match, start + match.start(), pointer), raw)

    def escaped(self, match: re.Match[str], offset: int, pointer: str) -> str:
        high, low, four, eight, fold, letter = match.groups()
        if fold is not None and not self.is_json:
            return ""
        if high and self.is_json:
            return chr(0x10000 + (int(high, 16) - 0xD800) * 0x400 + int(low, 16) - 0xDC00)
        code = int(high or four or eight or "0", 16)
        if letter and letter in self.letters:
            code = ord(self.letters[letter])
        elif letter or fold or (eight and self.is_json):
            self.note("bad-escape", offset, pointer, match.group()[:2])
            return ""
        if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
            self.note("surrogate", offset, pointer, match.group()[:10])
            return ""
        if code < 0x20 and chr(code) not in "\t\n\r" or 0x7F <= code < 0xA0:
            self.note("control-escape", offset, pointer, match.group())
        return chr(code)


class _TomlScanner(_Scanner):
    """Walks a TOML 1.0 text line by line.

    Stricter texts than tomllib's would turn away good specs, laxer ones would leave faults to tomllib's terse
    messages: the tests hold the two to the same answer on every text but the limits above.
    """

    literals: ClassVar[Mapping[str, bool | None]] = {"true": True, "false": False}
    letters: ClassVar[Mapping[str, str]] = dict(zip('btnfr"\\', '\b\t\n\f\r"\\', strict=True))
    number = _TOML_NUMBER
    is_json = False

    _blanks = re.compile(r"[ \t]*+")
    _gaps = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
    _outer_token = re.compile(r"[^#\n]*+")
    _inner_token = re.compile(r"[^,\]}#\n]*+")
    _statement = re.compile(r"[\w.-]+[ \t]*=|\[{1,2}[A-Za-z_][\w.-]*\]")

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lengths: dict[str, int] = {}  # of arrays of tables
        self.declared: dict[str, int] = {}  # pointer to the offset of the key that may come only once
        self.statements: list[tuple[int, str]] = []

    def document(self) -> None:
        table, at = "", self.gap(0)
        if self.text.startswith("{", at):
            self.stop("json-as-toml", at)
        while at < len(self.text):
            if self.text[at] == "[":
                table, at = self.header(at)
            else:
                at = self.pair(at, table, inner=False)
            at = self.gap(self.line_end(at))

    def blank(self, at: int) -> int:
        return self._blanks.match(self.text, at).end()  # type: ignore[union-attr]

    def gap(self, at: int) -> int:
        return self._gaps.match(self.text, at).end()  # type: ignore[union-attr]

    def line_end(self, at: int) -> int:
        at = self.blank(at)
        if at == len(self.text) or self.text[at] in "#\n":
            return at
        end = self._outer_token.match(self.text, at).end()  # type: ignore[union-attr]
        rest = self.text[at:end].rstrip()
        self.note("trailing-comma" if rest == "," else "trailing-text", at, detail=rest)
        return self.skippable(at, end)

    def skippable(self, at: int, end: int) -> int:
        """Reading can go on after a faulty stretch only if nothing opens inside it."""
        if re.search(r"[\[\]{}\"']", self.text[at:end]):
            raise _StoppedError
        return end

    def key(self, at: int) -> tuple[list[tuple[str, int, int]], int]:
        """The parts of a dotted key, each with its start and end, and where the key ends."""
        parts: list[tuple[str, int, int]] = []
        while True:
            at = self.blank(at)
            name, end = self.key_part(at)
            self.check_key(name, at)
            parts.append((name, at, end))
            if len(parts) > MAX_KEY_PARTS:
                self.stop("key-parts", parts[0][1])
            at = self.blank(end)
            if not self.text.startswith(".", at):
                return parts, at
            at += 1

    def key_part(self, at: int) -> tuple[str, int]:
        if match := _BARE_KEY.match(self.text, at):
            return match.group(), match.end()
        if match := _BASIC.match(self.text, at):
            return self.unescape(at + 1, match.end() - 1, ""), match.end()
        if match := _LITERAL.match(self.text, at):
            return match.group()[1:-1], match.end()
        found = self.text[at : at + 1]
        self.stop("unclosed-string" if found and found in "\"'" else "key-expected", at, detail=found)

    def header(self, at: int) -> tuple[str, int]:
        """The pointer of the table that a header opens, and where the header ends."""
        closer = "]]" if self.text.startswith("[[", at) else "]"
        parts, end = self.key(at + len(closer))
        if not self.text.startswith(closer, end):
            self.stop("header", at, detail=closer)
        end += len(closer)
        pointer = ""
        for name, start, stop in parts[:-1]:
            pointer = self.last_item(child(pointer, name), (start, start, stop))
        pointer = child(pointer, parts[-1][0])
        span = (parts[-1][1], at, end)
        if closer == "]]":
            self.spans.setdefault(pointer, span)
            self.lengths[pointer] = self.lengths.get(pointer, 0) + 1
            pointer = self.last_item(pointer, span)
            span = (None, at, end)
        else:
            self.declare(pointer, parts[-1][1])
        self.check_limits(at, pointer)
        self.statements.append((at, pointer))
        self.spans[pointer] = span
        return pointer, end

    def last_item(self, pointer: str, span: RawSpan) -> str:
        """A header reaches into the newest item of an array of tables, and makes the tables it passes."""
        if pointer in self.lengths:
            return f"{pointer}/{self.lengths[pointer] - 1}"
        self.spans.setdefault(pointer, span)
        return pointer

    def declare(self, pointer: str, at: int) -> None:
        if pointer in self.declared:
            self.note("duplicate", at, pointer, pointer, self.declared[pointer])
        self.declared.setdefault(pointer, at)

    def pair(self, at: int, table: str, inner: bool) -> int:
        """Where a `key = value` below a table ends."""
        parts, equals = self.key(at)
        pointer = table
        for name, start, stop in parts[:-1]:
            pointer = child(pointer, name)
            self.spans.setdefault(pointer, (start, start, stop))
        name, start, stop = parts[-1]
        pointer = child(pointer, name)
        self.declare(pointer, start)
        if not inner:
            self.statements.append((at, pointer))
        if self.text.startswith("=", equals):
            return self.value(self.blank(equals + 1), start, pointer, inner)
        if self.text.startswith(":", equals):
            return self.after_colon(equals, start, pointer, inner)
        self.note("no-equals", equals, pointer, self.text[at:stop])
        return self.skippable(equals, self._outer_token.match(self.text, equals).end())  # type: ignore[union-attr]

    def after_colon(self, at: int, key: int, pointer: str, inner: bool) -> int:
        """Where the value after a colon ends; the colon is fault enough for one line."""
        self.note("colon", at, pointer, self.text[key:at].rstrip())
        noted = len(self.slips)
        end = self.value(self.blank(at + 1), key, pointer, inner)
        del self.slips[noted:]
        return end

    def value(self, at: int, key: int | None, pointer: str, inner: bool) -> int:
        self.check_limits(at, pointer)
        match self.text[at : at + 1]:
            case "[":
                end = self.array(at, pointer)
            case "{":
                end = self.inline_table(at, pointer)
            case '"' | "'":
                end = self.string(at, pointer)
            case _:
                end = self.bare(at, pointer, self._inner_token if inner else self._outer_token)
        self.spans[pointer] = (key, at, end)
        return end

    def string(self, at: int, pointer: str) -> int:
        quote = self.text[at]
        is_long = self.text.startswith(quote * 3, at)
        basic, literal = (_LONG_BASIC, _LONG_LITERAL) if is_long else (_BASIC, _LITERAL)
        match = (basic if quote == '"' else literal).match(self.text, at)
        if match is None:
            self.stop("unclosed-string", at, pointer, quote * (3 if is_long else 1))
        if quote == '"':
            self.unescape(at, match.end(), pointer)
        return match.end()

    def bare(self, at: int, pointer: str, pattern: re.Pattern[str]) -> int:
        token = pattern.match(self.text, at).group().rstrip()  # type: ignore[union-attr]
        if not token:
            self.note("no-value", at, pointer)
            return at
        noted = len(self.slips)
        self.scalar(token, at, pointer)
        end = at + len(token)
        return end if len(self.slips) == noted else self.skippable(at, end)

    def array(self, opener: int, pointer: str) -> int:
        at, index, noted = self.gap(opener + 1), 0, len(self.slips)
        while not self.text.startswith("]", at):
            if at < len(self.text):
                at = self.gap(self.value(at, None, f"{pointer}/{index}", inner=True))
            index += 1
            if self.text.startswith(",", at):
                at = self.gap(at + 1)
            elif not self.text.startswith("]", at):
                self.unended_array(opener, at, pointer, noted)
        return at + 1

    def unended_array(self, opener: int, at: int, pointer: str, noted: int) -> NoReturn:
        if at < len(self.text) and not self._statement.match(self.text, at):
            self.stop("missing-comma", at, pointer, "]", opener)
        del self.slips[noted:]  # what follows an unclosed array was misread as its items
        self.stop("unclosed", opener, pointer, "]")

    def inline_table(self, opener: int, pointer: str) -> int:
        at = self.blank(opener + 1)
        while not self.text.startswith("}", at):
            self.same_line(at, opener, pointer)
            at = self.blank(self.pair(at, pointer, inner=True))
            self.same_line(at, opener, pointer)
            if self.text.startswith(",", at):
                comma, at = at, self.blank(at + 1)
                if self.text.startswith("}", at):
                    self.note("trailing-comma", comma, pointer)
            elif not self.text.startswith("}", at):
                self.stop("missing-comma", at, pointer, "}", opener)
        return at + 1

    def same_line(self, at: int, opener: int, pointer: str) -> None:
        if at == len(self.text):
            self.stop("unclosed", opener, pointer, "}")
        if self.text[at] in "#\n":
            self.stop("inline-newline", at, pointer, other=opener)


class _JsonScanner(_Scanner):
    """Reads a JSON text (RFC 8259) into values, going on after the slips people make most."""

    literals: ClassVar[Mapping[str, bool | None]] = {"true": True, "false": False, "null": None}
    letters: ClassVar[Mapping[str, str]] = dict(zip('"\\/bfnrt', '"\\/\b\f\n\r\t', strict=True))
    number = _JSON_NUMBER
    is_json = True

    _blanks = re.compile(r"[ \t\n\r]*+")
    _comment = re.compile(r"(?:#|//)[^\n]*+|/\*[\s\S]*?\*/")
    _token = re.compile(r"""(?:[^,:\[\]{}"'/#\n]|/(?![/*]))++""")

    def document(self) -> dict[str, Any]:
        at = self.gap(0)
        if not self.text.startswith("{", at):
            self.stop("not-a-table", at, detail=self.text[at : at + 1])
        tree, end = self.members(at, "")
        self.spans[""] = (None, at, end)
        after = self.gap(end)
        if after < len(self.text):
            self.stop("extra-content", after, other=at)
        return tree

    def gap(self, at: int) -> int:
        at = self._blanks.match(self.text, at).end()  # type: ignore[union-attr]
        while comment := self._comment.match(self.text, at):
            self.note("comment", at)
            at = self._blanks.match(self.text, comment.end()).end()  # type: ignore[union-attr]
        return at

    def value(self, at: int, key: int | None, pointer: str) -> tuple[Any, int]:
        self.check_limits(at, pointer)
        value: Any
        match self.text[at : at + 1]:
            case "{":
                value, end = self.members(at, pointer)
            case "[":
                value, end = self.items(at, pointer)
            case '"' | "'":
                value, end = self.string(at, pointer)
            case _:
                value, end = self.bare(at, pointer)
        self.spans[pointer] = (key, at, end)
        return value, end

    def members(self, opener: int, pointer: str) -> tuple[dict[str, Any], int]:
        tree: dict[str, Any] = {}
        first: dict[str, int] = {}
        at = self.gap(opener + 1)
        while not self.text.startswith("}", at):
            name, end = self.name(at, opener, pointer)
            below = child(pointer, name)
            if name in first:
                self.note("duplicate", at, below, below, first[name])
            first.setdefault(name, at)
            colon = self.gap(end)
            if not self.text.startswith(":", colon):
                self.stop("no-colon", colon, below, name)
            tree[name], end = self.value(self.gap(colon + 1), at, below)
            at = self.comma(end, opener, pointer, "}")
        return tree, at + 1

    def name(self, at: int, opener: int, pointer: str) -> tuple[str, int]:
        found = self.text[at : at + 1]
        if not found or found in "[]{":
            self.stop("unclosed", opener, pointer, "}")
        if found in "\"'":
            name, end = self.string(at, pointer)
        elif match := self._token.match(self.text, at):
            name, end = match.group().rstrip(), match.end()
            self.note("unquoted-key", at, pointer, name)
        else:
            self.stop("key-expected", at, pointer, found)
        self.check_key(name, at)
        return name, end

    def items(self, opener: int, pointer: str) -> tuple[list[Any], int]:
        tree: list[Any] = []
        at = self.gap(opener + 1)
        while not self.text.startswith("]", at):
            item, end = self.value(at, None, f"{pointer}/{len(tree)}")
            tree.append(item)
            at = self.comma(end, opener, pointer, "]")
        return tree, at + 1

    def comma(self, at: int, opener: int, pointer: str, closer: str) -> int:
        """Where the next member, or the closing bracket, starts."""
        at = self.gap(at)
        if self.text.startswith(",", at):
            after = self.gap(at + 1)
            if self.text.startswith(closer, after):
                self.note("trailing-comma", at, pointer)
            return after
        found = self.text[at : at + 1]
        if not found or found in "]}" and found != closer:
            self.stop("unclosed", opener, pointer, closer)
        if found != closer:
            self.note("missing-comma", at, pointer, closer, opener)
        return at

    def string(self, at: int, pointer: str) -> tuple[str, int]:
        quote = self.text[at]
        match = (_BASIC if quote == '"' else _LITERAL).match(self.text, at)
        if match is None:
            self.stop("unclosed-string", at, pointer, quote)
        if quote == "'":
            self.note("single-quotes", at, pointer, match.group()[1:-1])
        if "\t" in match.group():
            self.note("tab-in-string", at + match.group().index("\t"), pointer)
        return self.unescape(at + 1, match.end() - 1, pointer), match.end()

    def bare(self, at: int, pointer: str) -> tuple[bool | float | None, int]:
        match = self._token.match(self.text, at)
        if match is None:
            self.stop("no-value", at, pointer)
        token = match.group().rstrip()
        return self.scalar(token, at, pointer), at + len(token)


def toml_positions(text: str) -> Scan:
    """Find every key and value of a TOML text (line ends must be LF)."""
    scanner = _TomlScanner(text)
    try:
        scanner.document()
    except _StoppedError:
        pass
    return Scan(
        positions=Positions(text, scanner.spans),
        slips=tuple(scanner.slips),
        tree={},
        statements=tuple(scanner.statements),
    )


def json_positions(text: str) -> Scan:
    """Read a JSON text and find every key and value of it."""
    scanner = _JsonScanner(text)
    tree: dict[str, Any] = {}
    try:
        tree = scanner.document()
    except _StoppedError:
        pass
    return Scan(positions=Positions(text, scanner.spans), slips=tuple(scanner.slips), tree=tree)
