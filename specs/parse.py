"""From the bytes of a spec to a plain tree with positions, or to the faults that forbid it.

Anyone may have written the bytes, a program above all, so every limit is checked before the text reaches a
parser that recurses. TOML values are tomllib's, the positions our own; JSON is read here as a whole, because
the standard library keeps no positions, lets the last of two equal keys win and takes NaN.
"""

import json
import re
import tomllib
from bisect import bisect_right
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from typing import Any, Literal

from fewtune.specs.position import (
    JSON_ESCAPES,
    MAX_SLIPS,
    STRINGS,
    Positions,
    Scanner,
    Slip,
    SlipKind,
    StoppedError,
    child,
    toml_positions,
)
from fewtune.specs.slips import MAX_BYTES, MAX_DIGITS, MAX_LINE_BYTES, WORDS

Format = Literal["toml", "json"]


@dataclass(frozen=True, kw_only=True)
class ParseFault:
    """One reason why a text is not a spec; line and column count characters from 1."""

    code: str
    message: str
    line: int
    column: int
    remedy: str
    pointer: str = ""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text that was read: `text` is without BOM and with LF line ends, as `positions` count it."""

    tree: dict[str, Any]
    positions: Positions
    format: Format
    text: str


_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
_DIGITS = r"[0-9](?:_?[0-9])*+"
_NUMBERS: Mapping[Format, re.Pattern[str]] = {  # groups take part only in floats
    "toml": re.compile(
        r"0x[0-9a-fA-F](?:_?[0-9a-fA-F])*+|0o[0-7](?:_?[0-7])*+|0b[01](?:_?[01])*+"
        rf"|[+-]?(?:0|[1-9](?:_?[0-9])*+)(\.{_DIGITS})?([eE][+-]?{_DIGITS})?"
    ),
    "json": re.compile(r"-?(?:0|[1-9][0-9]*+)(\.[0-9]++)?([eE][+-]?[0-9]++)?"),
}
_MISWRITTEN: tuple[tuple[SlipKind, re.Pattern[str]], ...] = (
    ("no-value", re.compile("")),
    ("python-bool", re.compile(r"(?i:true|false)")),
    ("null-word", re.compile(r"(?i:none|null|nil)")),
    ("not-finite", re.compile(r"[+-]?(?i:inf|infinity|nan)")),
    ("date", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ].*)?|[0-9]{2}:[0-9]{2}(?::[0-9.]+)?")),
    ("bad-number", re.compile(r"[+-]?[0-9.,_][0-9.,_eE+-]*|[+-]?0[xXoObB][0-9a-fA-F_]*")),
    ("curly-quotes", re.compile(r"[“”„‘’].*")),
    ("extra-equals", re.compile(r".*=.*")),
    ("unquoted", re.compile(r".*")),
)


def literal(token: str, format: Format) -> tuple[bool | float | None, SlipKind | None]:
    """The value of a token outside quotes, and what is wrong with it.

    >>> literal("1_000", "toml"), literal("1_000", "json")
    ((1000, None), (None, 'bad-number'))
    """
    if match := _NUMBERS[format].fullmatch(token):
        return _number(token, is_float=match.lastindex is not None)
    if token in ("true", "false"):
        return token == "true", None
    if token == "null" and format == "json":
        return None, None
    return None, next(kind for kind, pattern in _MISWRITTEN if pattern.fullmatch(token))


def _number(token: str, is_float: bool) -> tuple[float, SlipKind | None]:
    if len(token) > MAX_DIGITS:
        is_decimal = token[1:2] not in ("x", "o", "b")
        digits = re.sub("[^0-9]", "", token) if is_decimal else token[2:].replace("_", "")
        if len(digits.lstrip("0")) > MAX_DIGITS:
            return 0, "digits"
    if not is_float:
        return int(token, 0), None
    number = float(token)
    if not isfinite(number):
        return number, "not-finite"
    return number, "too-small" if number == 0 and re.match("[^eE]*[1-9]", token) else None


class _JsonReader(Scanner):
    """Reads a JSON text (RFC 8259) into values, going on after the slips people make most."""

    is_json = True
    escapes = JSON_ESCAPES

    _blanks = re.compile(r"[ \t\n]*+")
    _comment = re.compile(r"(?:#|//)[^\n]*+|/\*[\s\S]*?\*/")
    _token = re.compile(r"""(?:[^,:\[\]{}"'/#\n]|/(?![/*]))++""")
    _member = re.compile(r'"[^"\n]*"[ \t]*:')

    def document(self) -> dict[str, Any]:
        at = self.gap(0)
        if not self.text.startswith("{", at):
            self.stop("root", at)
        tree, end = self.members(at, "")
        self.spans[""] = (None, at, end)
        after = self.gap(end)
        if after < len(self.text):
            self.stop("extra-content", after)
        return tree

    def gap(self, at: int) -> int:
        at = self.past(self._blanks, at)
        while comment := self._comment.match(self.text, at):
            self.note("comment", at)
            at = self.past(self._blanks, comment.end())
        return at

    def left_open(self, at: int) -> bool:
        return self._member.match(self.text, at) is not None

    def value(self, at: int, key: int | None, pointer: str) -> tuple[Any, int]:
        self.check_value(at, pointer)
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

        def read(at: int) -> int:
            name, end = self.name(at, pointer)
            below = child(pointer, name)
            if name in first:
                self.note("duplicate", at, below, below, first[name])
            first.setdefault(name, at)
            colon = self.gap(end)
            if not self.text.startswith(":", colon):
                self.stop("no-colon", colon, below, name)
            tree[name], end = self.value(self.gap(colon + 1), at, below)
            return end

        return tree, self.series(opener, pointer, "}", read)

    def name(self, at: int, pointer: str) -> tuple[str, int]:
        if self.text[at] in STRINGS:
            name, end = self.string(at, pointer)
        elif match := self._token.match(self.text, at):
            name, end = match.group().rstrip(), match.end()
            self.note("unquoted-key", at, child(pointer, name), name)
        else:
            self.stop("no-key", at, pointer)
        self.key_count += 1
        return name, end

    def items(self, opener: int, pointer: str) -> tuple[list[Any], int]:
        tree: list[Any] = []

        def read(at: int) -> int:
            item, end = self.value(at, None, f"{pointer}/{len(tree)}")
            tree.append(item)
            return end

        return tree, self.series(opener, pointer, "]", read)

    def string(self, at: int, pointer: str) -> tuple[str, int]:
        quote = self.text[at]
        match = STRINGS[quote].match(self.text, at)
        if match is None:
            self.stop("unclosed-string", at, pointer, '"')
        written, end = match.group(), match.end()
        if "\t" in written:
            self.note("tab", at + written.index("\t"), pointer)
        if quote == "'":
            self.note("single-quotes", at, pointer, written[1:-1])
        elif "\\" in written and self.check_escapes(at, end, pointer):
            return json.loads(written, strict=False), end
        return written[1:-1], end

    def bare(self, at: int, pointer: str) -> tuple[bool | float | None, int]:
        token = self.text[at : self.past(self._token, at)].rstrip()
        value, slip = literal(token, "json")
        if slip == "no-value":
            self.stop("no-value", at, pointer)
        if slip:
            self.note(slip, at, pointer, token)
        return value, at + len(token)


def format_of(name: str) -> Format | None:
    """The format that a file name's suffix tells, if it does."""
    suffix = name.rpartition(".")[2].lower()
    return "toml" if suffix == "toml" else "json" if suffix == "json" else None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What was read of a text, and what slipped; of a text that is no text, the slips alone."""

    text: str
    format: Format
    positions: Positions
    tree: dict[str, Any]
    slips: tuple[Slip, ...]
    """In the order of the text."""
    is_text: bool = True

    @property
    def document(self) -> Document:
        """The document, where nothing slipped."""
        return Document(tree=self.tree, positions=self.positions, format=self.format, text=self.text)


def parse(content: bytes, format: Format | None = None) -> Document | tuple[ParseFault, ...]:
    """Read a spec; without a format, a text that starts with a brace is JSON and any other TOML."""
    found = attempt(content, format)
    return tuple(fault_of(slip, found.positions) for slip in found.slips) if found.slips else found.document


def attempt(content: bytes, format: Format | None = None) -> Attempt:
    """Read as much of a spec as can be read."""
    if len(content) > MAX_BYTES:
        return _no_text("", [Slip(kind="too-large", offset=0, detail=f"{len(content):,}")], format)
    body = content.removeprefix(BOM_UTF8)
    readable = body.decode(errors="replace")
    slips = list(_unreadable(body, readable))
    if slips:
        return _no_text(readable, slips, format)
    return attempt_text(readable.replace("\r\n", "\n"), format)


def attempt_text(text: str, format: Format | None = None) -> Attempt:
    """Read as much as can be read of a text with LF line ends."""
    format = format or ("json" if text.lstrip().startswith("{") else "toml")
    tree, positions, slips = _json(text) if format == "json" else _toml(text)
    return Attempt(text=text, format=format, positions=positions, tree=tree, slips=_ordered(slips))


def _no_text(readable: str, slips: list[Slip], format: Format | None) -> Attempt:
    return Attempt(text=readable, format=format or "toml", positions=Positions(readable, {}), tree={},
                   slips=_ordered(slips), is_text=False)  # fmt: skip


def _ordered(slips: list[Slip]) -> tuple[Slip, ...]:
    return tuple(sorted(slips, key=lambda slip: slip.offset)[:MAX_SLIPS])


def _unreadable(body: bytes, readable: str) -> Iterator[Slip]:
    start = 0
    for line in body.split(b"\n"):
        if len(line) > MAX_LINE_BYTES:
            detail = f"{len(line):,}"
            yield Slip(kind="long-line", offset=len(body[:start].decode(errors="replace")), detail=detail)
        start += len(line) + 1
    try:
        body.decode()
    except UnicodeDecodeError as error:
        yield Slip(kind="bytes", offset=len(body[: error.start].decode()))
        return
    for match in islice(_CONTROL.finditer(readable), MAX_SLIPS):
        yield Slip(kind="control", offset=match.start(), detail=f"U+{ord(match.group()):04X}")


def _json(text: str) -> tuple[dict[str, Any], Positions, list[Slip]]:
    reader = _JsonReader(text)
    tree: dict[str, Any] = {}
    with suppress(StoppedError):
        tree = reader.document()
    return tree, Positions(text, reader.spans), reader.slips


def _toml(text: str) -> tuple[dict[str, Any], Positions, list[Slip]]:
    positions, walked, statements = toml_positions(text)
    slips = list(walked)
    for pointer, offset, token in positions.tokens(text):
        if kind := literal(token, "toml")[1]:
            slips.append(Slip(kind=kind, offset=offset, pointer=pointer, detail=token))
    tree: dict[str, Any] = {}
    if all(slip.kind in ("not-finite", "too-small", "control-escape") for slip in slips):
        try:
            tree = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            slips.append(_refused_by_tomllib(str(error), text, positions, statements))
    return tree, positions, slips


def _refused_by_tomllib(message: str, text: str, positions: Positions, statements: tuple[tuple[int, str], ...]) -> Slip:
    """What tomllib alone finds: a table that two statements define in ways that do not go together."""
    reason, _, place = message.partition(" (at ")
    numbers = [int(number) for number in re.findall(r"\d+", place)]
    offset = positions.offset(*numbers) if numbers else len(text)
    if not reason.startswith(("Cannot", "Duplicate")):
        return Slip(kind="other", offset=offset, detail=reason)
    index = bisect_right(statements, (offset, "")) - 1
    start, pointer = statements[index]
    earlier = statements[:index]
    below = (at for at, other in earlier if f"{other}/".startswith(f"{pointer}/"))
    above = max((len(other), at) for at, other in [(-1, ""), *earlier] if pointer.startswith(f"{other}/"))
    first = next(below, above[1])
    kind: SlipKind = "self-conflict" if first < 0 else "redefined"
    return Slip(kind=kind, offset=start, pointer=pointer, detail=pointer, other=first)


def fault_of(slip: Slip, positions: Positions) -> ParseFault:
    """What is said about a slip."""
    code, message, remedy = WORDS[slip.kind]
    place, other = positions.place(slip.offset), positions.place(max(slip.other, 0))
    detail = _shown(slip.detail)
    return ParseFault(
        code=code,
        message=message.format(detail=detail, line=other.line, column=other.column),
        line=place.line,
        column=place.column,
        remedy=remedy.format(detail=detail),
        pointer=slip.pointer,
    )


def _shown(text: str) -> str:
    """A piece of the spec that is safe to print: short, and without characters that steer a terminal."""
    cut = text if len(text) <= 60 else f"{text[:59]}…"
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)
