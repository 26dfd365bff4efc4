"""Where each key and value of a spec stands in its text.

No TOML or JSON library keeps positions, and a fault that cannot name its line sends its reader searching. A
scanner works on character offsets and leaves lines and columns to the moment someone asks: a spec has many
characters and a handful of faults. It says what slipped and where; `parse` judges literals and has the words.
"""

import re
import tomllib
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Literal, NoReturn

MAX_DEPTH = 16  # steps from the root to a value; the language needs 6, and recursion stays shallow
MAX_KEY_PARTS = 8  # tomllib takes quadratic time in the parts of one dotted key
MAX_POINTER_CHARS = 256  # a key is repeated in the pointer of all that lies below it
MAX_NODES = 6_000  # keys and values, at some 9 microseconds each: 64 KiB of the densest text take 60 ms
MAX_SLIPS = 50  # nobody repairs more in one go, and a wrong guess about the format makes thousands

SlipKind = Literal[
    "bad-escape", "bad-number", "bytes", "colon", "comment", "control", "control-escape", "curly-quotes",
    "date", "digits", "duplicate", "extra-content", "extra-equals", "header", "inline-newline", "json-as-toml",
    "key-parts", "long-line", "long-pointer", "missing-comma", "no-colon", "no-equals", "no-key", "no-value",
    "not-finite", "null-word", "other", "python-bool", "redefined", "root", "self-conflict", "single-quotes",
    "surrogate", "tab", "too-deep", "too-large", "too-many", "too-small", "trailing-comma", "trailing-text",
    "unclosed", "unclosed-string", "unquoted", "unquoted-key",
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

    Array items and the root have no key. A `[table]` or `[[table]]` spans its header, a table that exists
    only through a dotted key spans its part of that key.
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
    other: int = -1  # offset of the opening bracket or of the first definition


class Positions(Mapping[str, Span]):
    """JSON pointer (RFC 6901) to span, for every value of one document."""

    def __init__(self, text: str, spans: Mapping[str, RawSpan]) -> None:
        self.raw = spans
        self._line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def __getitem__(self, pointer: str) -> Span:
        key, value, end = self.raw[pointer]
        return Span(
            key=None if key is None else self.place(key),
            value=self.place(value),
            end=self.place(end),
        )

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def place(self, offset: int) -> Place:
        """The line and column of a character offset."""
        line = bisect_right(self._line_starts, offset)
        return Place(line=line, column=offset - self._line_starts[line - 1] + 1)

    def offset(self, line: int, column: int) -> int:
        """The character offset of a line and column."""
        return self._line_starts[line - 1] + column - 1

    def at(self, pointer: str) -> Span:
        """The span at a pointer, or at its nearest parent that exists (a missing field has no place)."""
        while pointer and pointer not in self.raw:
            pointer = pointer.rpartition("/")[0]
        return self[pointer]

    def tokens(self, text: str) -> Iterator[tuple[str, int, str]]:
        """Pointer, offset and text of each value that is neither quoted nor in brackets."""
        for pointer, (key, start, end) in self.raw.items():
            if pointer and key != start and text[start : start + 1] not in ("[", "{", '"', "'"):
                yield pointer, start, text[start:end]


def child(pointer: str, part: str) -> str:
    """The pointer one key below another.

    >>> child("/data", "a/b")
    '/data/a~1b'
    """
    return f"{pointer}/{part.replace('~', '~0').replace('/', '~1')}"


# By opening quotes. Possessive quantifiers: an unclosed string fails in one pass.
STRINGS = {
    '"': re.compile(r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"'),
    "'": re.compile(r"'[^'\n]*+'"),
    '"""': re.compile(r'"""[^"\\]*+(?:(?:\\[\s\S]|"{1,2}(?!"))[^"\\]*+)*+"{3,5}'),
    "'''": re.compile(r"'''[^']*+(?:'{1,2}(?!')[^']*+)*+'{3,5}"),
}
_BLANKS = re.compile(r"[ \t]*+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HEX = "[0-9a-fA-F]"
_ESCAPE_KINDS: Mapping[str, SlipKind] = {"control": "control-escape", "half": "surrogate", "bad": "bad-escape"}


def _escapes(plain: str, pair: str, sound: str) -> re.Pattern[str]:
    """Runs of text with the plain escapes, or one other escape, in a named group if it is refused."""
    control = rf"[bf]|(?:u|U0000)(?={_HEX}{{4}})00(?:0[0-8bcefBCEF]|1.|7[fF]|[89].)"
    half = rf"(?:u|U0000)[dD][89a-fA-F]{_HEX}{{2}}|U(?!000|0010){_HEX}{{8}}"
    return re.compile(
        rf"(?:[^\\]|\\(?:{plain}))++|\\(?:{pair}|(?P<control>{control})|(?P<half>{half})|{sound}|(?P<bad>.?))"
    )


TOML_ESCAPES = _escapes(r'["\\tnr]|[ \t]*+\n', "(?!)", f"u{_HEX}{{4}}|U{_HEX}{{8}}")
JSON_ESCAPES = _escapes(r'["\\/tnr]', rf"u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}", f"u{_HEX}{{4}}")


class StoppedError(Exception):
    """The rest of the text cannot be read; the slip that says why is noted."""


class Scanner(ABC):
    """What reading TOML and reading JSON share: noting slips, items between commas, and escapes."""

    is_json: ClassVar[bool]
    escapes: ClassVar[re.Pattern[str]]

    def __init__(self, text: str) -> None:
        self.text = text
        self.spans: dict[str, RawSpan] = {"": (None, 0, len(text))}
        self.slips: list[Slip] = []
        self.key_count = 0

    def note(self, kind: SlipKind, offset: int, at: str = "", detail: str = "", other: int = -1) -> None:
        """Note a slip and read on."""
        self.slips.append(Slip(kind=kind, offset=offset, pointer=at, detail=detail, other=other))
        if len(self.slips) >= MAX_SLIPS:
            raise StoppedError

    def stop(self, kind: SlipKind, offset: int, at: str = "", detail: str = "", other: int = -1) -> NoReturn:
        """Note a slip after which nothing can be told."""
        self.note(kind, offset, at, detail, other)
        raise StoppedError

    def past(self, pattern: re.Pattern[str], at: int) -> int:
        """Where the longest run of a pattern ends."""
        match = pattern.match(self.text, at)
        return match.end() if match else at

    def check_value(self, offset: int, pointer: str) -> None:
        """Stop at a value too deep, too far down a path of long keys, or one too many."""
        if pointer.count("/") > MAX_DEPTH:
            self.stop("too-deep", offset, pointer)
        if len(pointer) > MAX_POINTER_CHARS:
            self.stop("long-pointer", offset, pointer)
        if len(self.spans) + self.key_count > MAX_NODES:
            self.stop("too-many", offset, pointer)

    def blank(self, at: int) -> int:
        """Where spaces and tabs end."""
        return self.past(_BLANKS, at)

    @abstractmethod
    def gap(self, at: int) -> int:
        """Where blanks, line ends and comments end."""

    @abstractmethod
    def left_open(self, at: int) -> bool:
        """Whether what stands here shows that an array was never closed."""

    def series(self, opener: int, pointer: str, closer: str, read: Callable[[int], int]) -> int:
        """Where a bracket ends whose items stand between commas."""
        gap = self.blank if closer == "}" and not self.is_json else self.gap
        at = gap(opener + 1)
        while not self.text.startswith(closer, at):
            self.check_open(opener, at, pointer, closer)
            at = read(at)
            if not self.text.startswith((",", closer), at):
                at = gap(at)
            if self.text.startswith(",", at):
                comma, at = at, gap(at + 1)
                if self.text.startswith(closer, at) and (self.is_json or closer == "}"):
                    self.note("trailing-comma", comma, pointer)
            elif not self.text.startswith(closer, at):
                self.check_open(opener, at, pointer, closer)
                self.note("missing-comma", at, pointer, closer, opener)
        return at + 1

    def check_open(self, opener: int, at: int, pointer: str, closer: str) -> None:
        """Stop where neither an item nor a comma can stand."""
        found = self.text[at : at + 1]
        if found and found in "#\n":
            self.stop("inline-newline", at, pointer, other=opener)
        if not found or found in "]}" or (closer == "]" and self.left_open(at)):
            self.stop("unclosed", opener, pointer, closer, at)

    def check_escapes(self, start: int, end: int, pointer: str = "") -> bool:
        """Note the refused escapes of a text in double quotes; say whether there were none."""
        noted = len(self.slips)
        for match in self.escapes.finditer(self.text, start, end):
            if match.lastgroup:
                self.note(_ESCAPE_KINDS[match.lastgroup], match.start(), pointer, match.group())
        return len(self.slips) == noted


class _TomlScanner(Scanner):
    """Walks a TOML 1.0 text line by line.

    A stricter walk would turn away good specs, a laxer one would leave faults to tomllib's terse messages:
    the tests hold the two to one answer on every text within the limits above.
    """

    is_json = False
    escapes = TOML_ESCAPES
    _gaps = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
    _opening = re.compile(r"[\[\]{}\"']")
    _outer_token = re.compile(r"[^#\n]*+")
    _inner_token = re.compile(r"[^,\]}#\n]*+")
    _statement = re.compile(
        r"""(?:[\w.-]++|"[^"\n]*"|'[^'\n]*')[ \t]*=|\[{1,2}(?!true|false|inf|nan)[A-Za-z_][\w.-]*\]"""
    )

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lengths: dict[str, int] = {}  # of arrays of tables
        self.declared: dict[str, int] = {}  # offset of each key that may come only once
        self.statements: list[tuple[int, str]] = []

    def gap(self, at: int) -> int:
        return self.past(self._gaps, at)

    def left_open(self, at: int) -> bool:
        line = self.text.rfind("\n", 0, at) + 1
        return not self.text[line:at].strip() and self._statement.match(self.text, at) is not None

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

    def line_end(self, at: int) -> int:
        at = self.blank(at)
        end = self.past(self._outer_token, at)
        if at == end:
            return at
        rest = self.text[at:end].rstrip()
        self.note("trailing-comma" if rest == "," else "trailing-text", at, detail=rest)
        return self.skippable(at, end)

    def skippable(self, at: int, end: int) -> int:
        """Reading can go on after a faulty stretch only if nothing opens inside it."""
        if self._opening.search(self.text, at, end):
            raise StoppedError
        return end

    def key(self, at: int) -> tuple[list[tuple[str, int, int]], int]:
        """The parts of a dotted key, each with its start and end, and where the key ends."""
        parts: list[tuple[str, int, int]] = []
        while len(parts) < MAX_KEY_PARTS:
            at = self.blank(at)
            name, end = self.key_part(at)
            parts.append((name, at, end))
            at = self.blank(end)
            if not self.text.startswith(".", at):
                self.key_count += len(parts)
                return parts, at
            at += 1
        self.stop("key-parts", parts[0][1])

    def key_part(self, at: int) -> tuple[str, int]:
        quote = self.text[at : at + 1]
        if match := STRINGS.get(quote, _BARE_KEY).match(self.text, at):
            written = match.group()
            if quote == '"' and "\\" in written and self.check_escapes(at, match.end()):
                return tomllib.loads(f"x={written}")["x"], match.end()
            return written[1:-1] if quote in STRINGS else written, match.end()
        self.stop("unclosed-string" if quote in STRINGS else "no-key", at, detail=quote)

    def header(self, at: int) -> tuple[str, int]:
        """The pointer of the table that a header opens, and where the header ends."""
        closer = "]]" if self.text.startswith("[[", at) else "]"
        parts, end = self.key(at + len(closer))
        if not self.text.startswith(closer, end):
            self.stop("header", at, detail=closer)
        end += len(closer)
        pointer = ""
        for name, start, stop in parts[:-1]:
            pointer = self.newest(child(pointer, name), (start, start, stop))
        name, start, _ = parts[-1]
        pointer = child(pointer, name)
        if closer == "]]":
            self.lengths[pointer] = self.lengths.get(pointer, 0) + 1
            self.spans.setdefault(pointer, (start, at, end))
            pointer = self.newest(pointer, (start, at, end))
        else:
            self.declare(pointer, start)
        self.check_value(at, pointer)
        self.statements.append((at, pointer))
        self.spans[pointer] = (start if closer == "]" else None, at, end)
        return pointer, end

    def newest(self, pointer: str, span: RawSpan) -> str:
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
        for name, start, stop in parts[:-1]:
            table = child(table, name)
            self.spans.setdefault(table, (start, start, stop))
        name, start, stop = parts[-1]
        pointer = child(table, name)
        self.declare(pointer, start)
        if not inner:
            self.statements.append((at, pointer))
        if self.text.startswith("=", equals):
            return self.value(self.blank(equals + 1), start, pointer, inner)
        slip: SlipKind = "colon" if self.text.startswith(":", equals) else "no-equals"
        self.note(slip, equals, pointer, self.text[at:stop])
        return self.skippable(equals, self.past(self._outer_token, equals))

    def value(self, at: int, key: int | None, pointer: str, inner: bool) -> int:
        self.check_value(at, pointer)
        match self.text[at : at + 1]:
            case "[":
                index = count()
                end = self.series(
                    at, pointer, "]", lambda at: self.value(at, None, f"{pointer}/{next(index)}", inner=True)
                )
            case "{":
                end = self.series(at, pointer, "}", lambda at: self.pair(at, pointer, inner=True))
            case '"' | "'":
                end = self.string(at, pointer)
            case _:
                token = self.text[at : self.past(self._inner_token if inner else self._outer_token, at)]
                end = at + len(token.rstrip())
                self.spans[pointer] = (key, at, end)
                return self.skippable(at, end)
        self.spans[pointer] = (key, at, end)
        return end

    def string(self, at: int, pointer: str) -> int:
        quotes = self.text[at] * (3 if self.text.startswith(self.text[at] * 3, at) else 1)
        match = STRINGS[quotes].match(self.text, at)
        if match is None:
            self.stop("unclosed-string", at, pointer, quotes)
        if quotes[0] == '"':
            self.check_escapes(at, match.end(), pointer)
        return match.end()


def toml_positions(text: str) -> tuple[Positions, tuple[Slip, ...], tuple[tuple[int, str], ...]]:
    """The places in a TOML text with LF line ends, its slips, and offset and pointer of each statement."""
    scanner = _TomlScanner(text)
    with suppress(StoppedError):
        scanner.document()
    return Positions(text, scanner.spans), tuple(scanner.slips), tuple(scanner.statements)
