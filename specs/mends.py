"""A slip of the text -> the few characters that mend it.

Each rule looks at the place where the reader stumbled and writes what was meant; where nothing is clearly meant, it
says nothing. A comment is kept in TOML, which has them; JSON has none. Nothing here removes a key or a value, but a
`null` where TOML has no word for it, and a key that says the same a second time. Of two values of one key it says how
each would stay.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fewtune.specs.parse import attempt_text
from fewtune.specs.position import Slip, SlipKind

Applicability = Literal["safe", "likely", "choose"]


@dataclass(frozen=True)
class Change:
    """Other characters in the place of some; offsets count in the text that slipped."""

    start: int
    end: int
    new: str
    title: str
    applicability: Applicability = "likely"


@dataclass(frozen=True)
class Stumble:
    """A text, and what slipped in it."""

    text: str
    slip: Slip
    is_json: bool

    @property
    def at(self) -> int:
        """Where it slipped."""
        return self.slip.offset

    @property
    def line(self) -> tuple[int, int]:
        """Where its line begins and ends."""
        end = self.text.find("\n", self.at)
        return self.text.rfind("\n", 0, self.at) + 1, len(self.text) if end < 0 else end

    def instead(self, length: int, new: str, title: str, how: Applicability = "likely", skip: int = 0) -> Change:
        """Other characters behind the place."""
        return Change(self.at + skip, self.at + skip + length, new, title, how)


def mend(text: str, slip: Slip, is_json: bool) -> Change | None:
    """What mends a slip; None where that is not clear."""
    rule = RULES.get(slip.kind)
    return rule(Stumble(text, slip, is_json)) if rule else None


def _comma(s: Stumble) -> Change | None:
    return s.instead(1, "", "remove the comma", "safe") if s.text.startswith(",", s.at) else None


def _missing_comma(s: Stumble) -> Change | None:
    before = s.text[: s.at].rstrip()
    begin = before.rfind("\n") + 1
    at = s.at if not s.is_json and "#" in before[begin:] else len(before)
    return Change(at, at, "," if at < s.at else ", ", "put a comma between the two")


COMMENT = re.compile(r"(?:#|//)[^\n]*|/\*[\s\S]*?\*/")
LEADERS = ("//", "--", ";", "/*", "%")
"""How a comment begins elsewhere."""


def _comment(s: Stumble) -> Change | None:
    found = COMMENT.match(s.text, s.at)
    return s.instead(len(found.group()), "", "take the comment out: JSON has none") if found else None


def _trailing(s: Stumble) -> Change | None:
    if s.slip.detail == ";":
        return s.instead(1, "", "remove the semicolon", "safe")
    if s.slip.detail.startswith(LEADERS):
        return s.instead(0, "# ", "write the comment behind a #", "safe")
    return None


def _no_key(s: Stumble) -> Change | None:
    start, end = s.line
    line = s.text[start:end].strip()
    if s.is_json or start + len(s.text[start:end]) - len(s.text[start:end].lstrip()) != s.at:
        return None
    if line.startswith(LEADERS):
        return s.instead(0, "# ", "write the comment behind a #", "safe")
    return None


def _single_quotes(s: Stumble) -> Change:
    inner = s.slip.detail
    return s.instead(len(inner) + 2, json.dumps(inner, ensure_ascii=False), "use double quotes", "safe")


def _bare_key(s: Stumble) -> Change:
    name = s.slip.detail
    return s.instead(len(name), _quoted(name.strip("“”„‘’'\"")), "put the key in double quotes", "safe")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


CURLY = re.compile(r"[“„‘]([^“”„‘’\n]*)[”’]")
PLAIN_VALUE = re.compile(r"true|false|[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def _unquoted(s: Stumble) -> Change | None:
    token = s.slip.detail
    kept = token.rstrip(";,").rstrip()
    if PLAIN_VALUE.fullmatch(kept) and kept != token:
        return s.instead(len(token) - len(kept), "", "remove what follows the value", "safe", skip=len(kept))
    if not s.is_json and re.fullmatch(r"[+-]?[\d.]+(?: +[+-]?[\d.eE-]+)+", kept):
        return s.instead(len(token), re.sub(" +", ", ", kept), "put commas between the numbers")
    if curly := CURLY.match(s.text, s.at):
        return s.instead(len(curly.group()), _quoted(curly[1]), "use straight quotes", "safe")
    inner = kept.strip("“”„‘’")
    return s.instead(len(token), _quoted(inner), f"write {_quoted(inner)[:60]}") if "\n" not in token else None


def _bad_number(s: Stumble) -> Change | None:
    token = s.slip.detail
    kept = token.rstrip(",;")
    number = kept.removeprefix("+").replace("_", "")
    number = re.sub(r"(?<=\d),(?=\d{1,2}$)", ".", number)
    number = re.sub(r",(?=\d{3}\b)", "", number)
    number = re.sub(r"^(-?)\.", r"\g<1>0.", number)
    number = re.sub(r"\.(?=$|[eE])", ".0", number)
    number = re.sub(r"^(-?)0+(?=\d)", r"\1", number)
    if not PLAIN_VALUE.fullmatch(number):
        return None
    return s.instead(len(token), number, f"write {number}", "safe" if "," not in kept else "likely")


def _bool(s: Stumble) -> Change:
    token = s.slip.detail
    return s.instead(len(token), token.lower(), f"write {token.lower()}", "safe")


def _null(s: Stumble) -> Change | None:
    if s.is_json:
        return s.instead(len(s.slip.detail), "null", "write null", "safe")
    start, end = s.line
    alone = re.fullmatch(r"\s*[\w.\"-]+\s*=\s*\w+\s*(?:#.*)?", s.text[start:end])
    return Change(start, min(end + 1, len(s.text)), "", "leave it out: the rules decide") if alone else None


ENDLESS = ("/constraints/trials", "/constraints/forgetting")
"""Limits that are numbers."""


def _not_finite(s: Stumble) -> Change | None:
    """A limit without an end is none."""
    found = re.match(r"\+?(?:inf|infinity)\b", s.text[s.at :], re.IGNORECASE)
    if found is None or s.slip.pointer not in ENDLESS:
        return None
    if s.is_json:
        return s.instead(len(found.group()), "null", "leave it out: there is no limit")
    return _null(s)


def _date(s: Stumble) -> Change:
    return s.instead(len(s.slip.detail), _quoted(s.slip.detail), "put it in quotes")


def _equals(s: Stumble) -> Change | None:
    start, end = s.line
    line = s.text[start:end]
    if line.lstrip().startswith(LEADERS):
        place = start + len(line) - len(line.lstrip())
        return Change(place, place, "# ", "write the comment behind a #", "safe")
    if s.slip.kind == "colon":
        return s.instead(1, " =", "write = after the key")
    return Change(s.at, s.at, "= ", "write = after the key") if s.text[s.at : end].strip() else None


def _extra_equals(s: Stumble) -> Change | None:
    found = re.match(r"=\s*", s.text[s.at :])
    return s.instead(len(found.group()), "", "write one =", "safe") if found else None


def _header(s: Stumble) -> Change | None:
    found = re.match(r"(\[{1,2}[^\]#\n]*)(\]*)", s.text[s.at :])
    if found is None:
        return None
    name = len(found[1].rstrip())
    return s.instead(len(found.group()) - name, s.slip.detail, "close the header", "safe", skip=name)


def _text_end(s: Stumble) -> Change | None:
    """The quote that closes a text: at the end of its line."""
    _, end = s.line
    rest = s.text[s.at : end].rstrip()
    quote = s.text[s.at]
    if len(s.slip.detail) == 3 or rest.startswith(quote * 3):
        return None
    if quote == "'" and rest.endswith('"') and len(rest) > 1:
        return s.instead(1, '"', "use one kind of quotes", "safe")
    if s.is_json and rest.endswith(","):
        rest = rest[:-1]
    return Change(s.at + len(rest), s.at + len(rest), quote, "close the text")


def _bracket(s: Stumble) -> Change | None:
    """The bracket that closes what was open where nothing else could stand."""
    at = len(s.text[: s.slip.other].rstrip())
    if s.slip.other < 0 or (not s.is_json and "#" in s.text[s.text.rfind("\n", 0, at) + 1 : at]):
        return None
    return Change(
        at, at, f"\n{s.slip.detail}" if s.is_json and at > 0 else s.slip.detail, f"close it with {s.slip.detail}"
    )


def _inline(s: Stumble) -> Change | None:
    before, after = s.text[: s.at].rstrip(), s.text[s.at :].lstrip()
    if s.text[s.at] != "\n":
        return None
    if before.endswith((",", "{")) or after.startswith(("}", ",")):
        length = len(s.text) - s.at - len(after)
        return s.instead(length, " ", "keep the table on one line", "safe")
    return s.instead(0, " }", "close it with }")


def _colon(s: Stumble) -> Change | None:
    if s.text.startswith("=", s.at):
        return s.instead(1, ":", "write a colon after the key", "safe")
    return s.instead(0, ": ", "write a colon after the key") if s.at < len(s.text) else None


def _empty_value(s: Stumble) -> Change | None:
    return s.instead(0, "null", "write null: the rules decide") if s.is_json and s.at < len(s.text) else None


def _behind(s: Stumble) -> Change | None:
    rest = s.text[s.at :]
    return s.instead(len(rest), "\n", "remove it") if re.fullmatch(r"[\s}\];,`]*", rest) else None


def _tab(s: Stumble) -> Change:
    return s.instead(1, r"\t", r"write \t", "safe")


def _escape(s: Stumble) -> Change | None:
    return s.instead(1, r"\\", "write the backslash twice") if s.text.startswith("\\", s.at) else None


def _twice(s: Stumble) -> Change | None:
    """Two lines that say the same."""
    (start, end), first = s.line, s.slip.other
    if first < 0:
        return None
    begin, stop = s.text.rfind("\n", 0, first) + 1, s.text.find("\n", first)
    one, two = (text.strip().removesuffix(",") for text in (s.text[begin:stop], s.text[start:end]))
    if one != two or not re.match(r"[\w\"'-]", two) or two.startswith("["):
        return None
    last = s.is_json and not s.text[start:end].rstrip().endswith(",")
    if last:
        begin, stop, start, end = start, end, begin, stop  # the one that a comma follows goes
    return Change(start, min(end + 1, len(s.text)), "", "say it once", "safe")


@dataclass(frozen=True)
class Way:
    """Which of two values of one key stays, and what takes the other one away."""

    kept: Any
    change: Change


def ways(text: str, slip: Slip, is_json: bool) -> tuple[Way, ...]:
    """The two ways out of a key with two values, each on a line of its own; none where it is not so plain."""
    if slip.kind != "duplicate" or slip.other < 0:
        return ()
    stumble, begin = Stumble(text, slip, is_json), text.rfind("\n", 0, slip.other) + 1
    lines = ((begin, text.find("\n", begin)), stumble.line)
    values = [_value(text[start:stop], is_json) for start, stop in lines]
    found = [_without(text, start, stop, is_json, values[1 - index]) for index, (start, stop) in enumerate(lines)]
    if None in values or values[0] == values[1] or lines[0] == lines[1]:
        return ()
    return tuple(Way(values[1 - index], change) for index, change in reversed(list(enumerate(found))) if change)


def _value(line: str, is_json: bool) -> Any:
    """The value of a line that is one key with one plain value; None where it is not."""
    if "{" in line or "[" in line:
        return None
    read = attempt_text(f"{{{line.strip().removesuffix(',')}}}" if is_json else line, "json" if is_json else "toml")
    value: Any = None if read.slips else read.tree
    while isinstance(value, dict):
        value = next(iter(value.values()), None)
    return value


def _without(text: str, start: int, stop: int, is_json: bool, kept: Any) -> Change | None:
    """One line less: a comment in TOML, which has them; in JSON nothing, and no comma too many."""
    title = f"keep {json.dumps(kept, ensure_ascii=False)[:40]}"
    if not is_json:
        return Change(start, start, "# ", f"{title}; the other line becomes a comment")
    if text[start:stop].rstrip().endswith(","):
        return Change(start, stop + 1, "", title)
    comma = len(text[:start].rstrip()) - 1
    return Change(comma, stop, "", title) if text[comma : comma + 1] == "," else None


RULES: Mapping[SlipKind, Callable[[Stumble], Change | None]] = {
    "trailing-comma": _comma, "missing-comma": _missing_comma, "comment": _comment, "trailing-text": _trailing,
    "no-key": _no_key, "single-quotes": _single_quotes, "unquoted-key": _bare_key, "unquoted": _unquoted,
    "curly-quotes": _unquoted, "bad-number": _bad_number, "python-bool": _bool, "null-word": _null, "date": _date,
    "colon": _equals, "no-equals": _equals, "extra-equals": _extra_equals, "header": _header,
    "unclosed-string": _text_end, "unclosed": _bracket, "inline-newline": _inline, "no-colon": _colon,
    "no-value": _empty_value, "extra-content": _behind, "tab": _tab, "bad-escape": _escape, "duplicate": _twice,
    "not-finite": _not_finite,
}  # fmt: skip
"""Kind of slip -> what mends it."""

TOKENS = ("not-finite", "digits", "too-small", "bad-number", "no-value")
"""Slips of single values: without a mend, the rest of the document can be read all the same."""


def unfenced(text: str) -> list[Change]:
    """The marks around a code block, in which many a program answers."""
    opening = re.match(r"\s*```[\w-]*[ \t]*\n", text)
    if opening is None:
        return []
    closing = re.search(r"\n```[ \t]*\n?\s*$", text)
    changes = [Change(0, opening.end(), "", "remove the marks of the code block", "safe")]
    if closing and closing.start() >= opening.end() - 1:
        changes.append(Change(closing.start() + 1, len(text), "", "remove the marks of the code block", "safe"))
    return changes


def bypass(text: str, slip: Slip, is_json: bool) -> Change | None:
    """What stands in for a value that cannot be read, or for a key given twice, so that the rest is looked at."""
    if slip.kind in TOKENS and slip.pointer:
        end = re.compile(r"[^,\]}#\n]*").match(text, slip.offset)
        length = len(end.group().rstrip()) if end else 0
        return Change(slip.offset, slip.offset + length, "false", "") if length else None
    if slip.kind == "duplicate":
        stumble = Stumble(text, slip, is_json)
        start, stop = stumble.line
        single = re.fullmatch(r"\s*(?:\"[^\"]*\"|[\w.-]+)\s*[=:]\s*[^\[{\n]*", text[start:stop])
        last = is_json and not text[start:stop].rstrip().endswith(",")
        if single and last and slip.other >= 0:  # the one that a comma follows goes
            start, stop = text.rfind("\n", 0, slip.other) + 1, text.find("\n", slip.other)
        if single:
            return Change(start, min(stop + 1, len(text)), "", "")
    return None
