"""Parsing: a table of texts and their faults, the limits, hostile texts, and mutated specs."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, get_args

import pytest
from hostile import BOMBS, JSON_SPEC, PIECES, SPEC, mutants
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.specs import parse as parsing
from fewtune.specs.parse import WORDS, Document, ParseFault, format_of, literal, parse
from fewtune.specs.position import MAX_DEPTH, MAX_KEY_PARTS, MAX_NODES, MAX_POINTER_CHARS, MAX_SLIPS, SlipKind, child

SYNTAX, NUMBER, DEEP, LARGE = "E-syntax", "E-number", "E-too-deep", "E-too-large"
TWICE, ENCODING, TYPE, ROOT = "E-duplicate-key", "E-encoding", "E-value-type", "E-not-a-table"

# Text, then the kind and place of each fault.
TOML_FAULTS: list[tuple[str, list[tuple[SlipKind, int, int]]]] = [
    ("wall_time = 5 min", [("unquoted", 1, 13)]),
    ("a = 24GB # much\nb = sst2", [("unquoted", 1, 5), ("unquoted", 2, 5)]),
    ("é = 1", [("no-key", 1, 1)]),
    ("= 1", [("no-key", 1, 1)]),
    ("// note\na = 1", [("no-key", 1, 1)]),
    ("[]\na = 1", [("no-key", 1, 2)]),
    ("a. = 1", [("no-key", 1, 4)]),
    ('"""a""" = 1', [("no-equals", 1, 3)]),
    ("'''a''' = 1", [("no-equals", 1, 3)]),
    ('"a = 1', [("unclosed-string", 1, 1)]),
    ("name: x\nsize: [1]\nlast = 1", [("colon", 1, 5), ("colon", 2, 5)]),
    ("name: x\ndata:\n  train: y\n  - z", [("colon", 1, 5), ("colon", 2, 5), ("colon", 3, 8), ("no-equals", 4, 5)]),
    ("a 5\nb = 1", [("no-equals", 1, 3)]),
    ("wall time = 5", [("no-equals", 1, 6)]),
    ("a\n", [("no-equals", 1, 2)]),
    ("a =\nb = # none", [("no-value", 1, 4), ("no-value", 2, 5)]),
    ("a = [1,,2]", [("no-value", 1, 8)]),
    ("a = [,]", [("no-value", 1, 6)]),
    ("a = {b = , c = 1}", [("no-value", 1, 10)]),
    ("a == 1\nb = 1 c = 2", [("extra-equals", 1, 4), ("extra-equals", 2, 5)]),
    ("a = {b = 1 c = 2}", [("extra-equals", 1, 10)]),
    ("a = True\nb = [FALSE]", [("python-bool", 1, 5), ("python-bool", 2, 6)]),
    ("a = None\nb = null\nc = nil", [("null-word", 1, 5), ("null-word", 2, 5), ("null-word", 3, 5)]),
    ("a = “x”", [("curly-quotes", 1, 5)]),
    ("a = 007\nb = 1,000\nc = .5\nd = 1.", [("bad-number", line, 5) for line in (1, 2, 3, 4)]),
    ("a = 1e\nb = 0x\nc = 1__0\nd = +0x1", [("bad-number", line, 5) for line in (1, 2, 3, 4)]),
    ("a = nan\nb = [1, -inf]\nc = 1e400", [("not-finite", 1, 5), ("not-finite", 2, 9), ("not-finite", 3, 5)]),
    ("a = 1e-400\nb = 0e-400", [("too-small", 1, 5)]),
    ("a = 999_999_999_999_999_999_999", [("digits", 1, 5)]),
    ("a = 0x111111111111111111111", [("digits", 1, 5)]),
    ("a = 0.123456789012345678901", [("digits", 1, 5)]),
    ("a = 1979-05-27\nb = [07:32:00]", [("date", 1, 5), ("date", 2, 6)]),
    ("a = 1979-05-27 07:32:00Z\nb=1979-05-27T07:32:00.5+01:00", [("date", 1, 5), ("date", 2, 3)]),
    ("a = nan\n[b]\n[c]\n[b]", [("not-finite", 1, 5), ("duplicate", 4, 2)]),
    ('a = "c:\\data"', [("bad-escape", 1, 8)]),
    ('a = "\\u12"\nb = "\\U0000"\nc="\\x41"', [("bad-escape", 1, 6), ("bad-escape", 2, 6), ("bad-escape", 3, 4)]),
    ('a = "\\ud800"\nb = "\\ud83d\\ude00"', [("surrogate", 1, 6), ("surrogate", 2, 6), ("surrogate", 2, 12)]),
    ('a = "\\U00110000"', [("surrogate", 1, 6)]),
    ('a = "x\\u0000"\n"\\b" = """\n\\u009f"""', [("control-escape", *at) for at in ((1, 7), (2, 2), (3, 1))]),
    ('a = "x\nb = 1', [("unclosed-string", 1, 5)]),
    ("a = 'x", [("unclosed-string", 1, 5)]),
    ('b = 1\na = """x\ny', [("unclosed-string", 2, 5)]),
    ("a = ''' ''", [("unclosed-string", 1, 5)]),
    ("a = [1, 2\n\n[table]\nb = 3", [("unclosed", 1, 5)]),
    ('a = [1, 2,\nb = ["x"]\n', [("unclosed", 1, 5)]),
    ('a = [\n  1,\n"k" = 2', [("unclosed", 1, 5)]),
    ("a = [1,", [("unclosed", 1, 5)]),
    ("a = [[1]\n", [("unclosed", 1, 5)]),
    ("a = [{b = 1]", [("unclosed", 1, 6)]),
    ("a = [1}", [("unclosed", 1, 5)]),
    ("a = {", [("unclosed", 1, 5)]),
    ("a = {b = 1", [("unclosed", 1, 5)]),
    ("[a\nb = 1", [("header", 1, 1)]),
    ("[[a]\n", [("header", 1, 1)]),
    ("[a b]", [("header", 1, 1)]),
    ("a = {b = 1,\n c = 2}", [("inline-newline", 1, 12)]),
    ("a = {b = 1 # x\n}", [("inline-newline", 1, 12)]),
    ("a = {b = 1,}", [("trailing-comma", 1, 11)]),
    ('a = "x",\nb = "y" ,', [("trailing-comma", 1, 8), ("trailing-comma", 2, 9)]),
    ('a = "say "hi" now"', [("trailing-text", 1, 11)]),
    ("a = [1] 2\nb = 'x' y", [("trailing-text", 1, 9), ("trailing-text", 2, 9)]),
    ("[a]]\n", [("trailing-text", 1, 4)]),
    ('a = ["x" "y"]\nb = True', [("missing-comma", 1, 10), ("python-bool", 2, 5)]),
    ('{"a": 1}', [("json-as-toml", 1, 1)]),
    ("a = 1\nb = 2\na = 3\nb = 4", [("duplicate", 3, 1), ("duplicate", 4, 1)]),
    ("[a]\nb.c = 1\nb.c = 2", [("duplicate", 3, 3)]),
    ("a = {b = 1, b = 2}", [("duplicate", 1, 13)]),
    ("[a]\n[b]\n  [a]", [("duplicate", 3, 4)]),
    ("a = 1\n[a]", [("duplicate", 2, 2)]),
    ("[[a]]\n[a.b]\n[[a]]\n[a.b]\n[a.b]", [("duplicate", 5, 4)]),
    ("a = 1\n[a.b]", [("redefined", 2, 1)]),
    ("a.b = 1\n[a]\nc = 1", [("redefined", 2, 1)]),
    ("[a.b]\n[a]\nb.c = 1", [("redefined", 3, 1)]),
    ("[[a]]\n[a]", [("redefined", 2, 1)]),
    ("a = [{}]\n[[a]]", [("redefined", 2, 1)]),
    ("a = {b = {}}\n[a.b.c]", [("redefined", 2, 1)]),
    ("x = 1\na.b = 1\ny = 1\na = {c = 1}", [("redefined", 4, 1)]),
    ("a = {b = 1, b.c = 2}", [("self-conflict", 1, 1)]),
    ("a = 1\n" + ".".join("abcdefghi") + " = 1", [("key-parts", 2, 1)]),
    ("k" * 256 + " = 1\n[a." + "b" * 300 + "]", [("long-pointer", 1, 260)]),
    ("[a." + "b" * 300 + "]", [("long-pointer", 1, 1)]),
    ("a = [\n" + "[" * 16, [("too-deep", 2, 16)]),
    ("[a]\nb\v = 1\r\nc = \x7f1\rd", [("control", 2, 2), ("control", 3, 5), ("control", 3, 7)]),
]  # fmt: skip

JSON_FAULTS: list[tuple[str, list[tuple[SlipKind, int, int]]]] = [
    ("", [("root", 1, 1)]),
    ("\n [1]", [("root", 2, 2)]),
    ('"text"', [("root", 1, 1)]),
    ("null", [("root", 1, 1)]),
    ('{"a": 1}\n}', [("extra-content", 2, 1)]),
    ('{"a": 1,\n "b": [1, 2,],}', [("trailing-comma", 2, 12), ("trailing-comma", 2, 14)]),
    ('{ // one\n "a": 1, /* two */ "b": 2 # three\n}', [("comment", 1, 3), ("comment", 2, 10), ("comment", 2, 27)]),
    ("{'a': 'b'}", [("single-quotes", 1, 2), ("single-quotes", 1, 7)]),
    ("{a: 1, b: x/y}", [("unquoted-key", 1, 2), ("unquoted-key", 1, 8), ("unquoted", 1, 11)]),
    ('{"a": True, "b": None}', [("python-bool", 1, 7), ("null-word", 1, 18)]),
    ('{"a": NaN, "b": -Infinity, "c": 1e400}', [("not-finite", 1, 7), ("not-finite", 1, 17), ("not-finite", 1, 33)]),
    ('{"a": 01, "b": +1, "c": .5, "d": 0x1F}', [("bad-number", 1, column) for column in (7, 16, 25, 34)]),
    ('{"a": 111111111111111111111}', [("digits", 1, 7)]),
    ('{"a": 1e-400}', [("too-small", 1, 7)]),
    ('{"a": 1979-05-27}', [("date", 1, 7)]),
    ('{"a": 1\n "b": 2}', [("missing-comma", 2, 2)]),
    ('{"a": [1\n "b"]}', [("missing-comma", 2, 2)]),
    ('{"a" 1}', [("no-colon", 1, 6)]),
    ('{"a"}', [("no-colon", 1, 5)]),
    ('{"a": }', [("no-value", 1, 7)]),
    ('{"a": [1,,2]}', [("no-value", 1, 10)]),
    ('{"a": 1,,}', [("no-key", 1, 9)]),
    ('{"a": [1, 2, "b": 3}', [("unclosed", 1, 7)]),
    ('{"a": [1', [("unclosed", 1, 7)]),
    ('{"a": [1}', [("unclosed", 1, 7)]),
    ('{"a": True, "b": {', [("python-bool", 1, 7), ("unclosed", 1, 18)]),
    ('{"a": "x}', [("unclosed-string", 1, 7)]),
    ('{"a": "x\ny"}', [("unclosed-string", 1, 7)]),
    ('{"a\t": "x\ty"}', [("tab", 1, 4), ("tab", 1, 10)]),
    ('{"a": "\\x41 \\U0001F600"}', [("bad-escape", 1, 8), ("bad-escape", 1, 13)]),
    ('{"a": "\\ud800", "\\udc00": 1}', [("surrogate", 1, 8), ("surrogate", 1, 18)]),
    ('{"a": "\\ude00\\ud83d"}', [("surrogate", 1, 8), ("surrogate", 1, 14)]),
    ('{"a": "\\u0000\\b"}', [("control-escape", 1, 8), ("control-escape", 1, 14)]),
    ('{"a": "\0"}', [("control", 1, 8)]),
    ('{"a": 1, "a": 2}', [("duplicate", 1, 10)]),
    ('{"b":\n {"c": 1, "c": 2, "\\u0063": 3}}', [("duplicate", 2, 11), ("duplicate", 2, 19)]),
    ('{"a":' + "[" * 17, [("too-deep", 1, 22)]),
    ('{"' + "k" * 256 + '": 1}', [("long-pointer", 1, 262)]),
    ('{"a": [' + "1,\n" * MAX_NODES, [("too-many", MAX_NODES, 1)]),
]  # fmt: skip

BYTE_FAULTS: list[tuple[bytes, list[tuple[SlipKind, int, int]]]] = [
    (b"a = '\xff'", [("bytes", 1, 6)]),
    ("a = 'é☃'\nb = 'é".encode() + b"\xc3", [("bytes", 2, 7)]),
    (b"a = '\xed\xa0\x80'", [("bytes", 1, 6)]),
    ("a = 1".encode("utf-16"), [("bytes", 1, 1)]),
    (b"\xef\xbb\xbf\xef\xbb\xbfa = 1", [("no-key", 1, 1)]),
    (b"a = 1\nb = '" + b"x" * 4096, [("long-line", 2, 1)]),
    (b"#" * 65_537, [("too-large", 1, 1)]),
]

CASES: list[tuple[str | bytes, str | None, list[tuple[SlipKind, int, int]]]] = [
    *((text, "toml", faults) for text, faults in TOML_FAULTS),
    *((text, "json", faults) for text, faults in JSON_FAULTS),
    *((text, None, faults) for text, faults in BYTE_FAULTS),
]


def encode(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def kinds_of(fault: ParseFault) -> set[SlipKind]:
    """The kinds whose wording a fault can have."""

    def says(template: str, text: str) -> bool:
        parts = re.split(r"\{[a-z]+\}", template.replace("{{", "{").replace("}}", "}"))
        return re.fullmatch(".*".join(re.escape(part) for part in parts), text) is not None

    return {
        kind
        for kind, (code, message, remedy) in WORDS.items()
        if code == fault.code and says(message, fault.message) and says(remedy, fault.remedy)
    }


@pytest.mark.parametrize(("text", "format", "expected"), CASES, ids=lambda value: repr(value)[:40])
def test_faults(text: str | bytes, format: Any, expected: list[tuple[SlipKind, int, int]]) -> None:
    faults = parse(encode(text), format)
    assert isinstance(faults, tuple), faults
    assert [(fault.line, fault.column) for fault in faults] == [(line, column) for _, line, column in expected]
    for fault, (kind, _, _) in zip(faults, expected, strict=True):
        assert kind in kinds_of(fault)
        assert fault.message.isprintable()
        assert fault.remedy.isprintable()


def test_every_wording_is_reached() -> None:
    """All but the one for what tomllib finds and the walk before it does not: nothing known."""
    reached = {kind for _, _, expected in CASES for kind, _, _ in expected}
    assert set(get_args(SlipKind)) == set(WORDS) == reached | {"other"}


@pytest.mark.parametrize(
    ("text", "pointer", "message", "remedy"),
    [
        ("wall_time = 5 min", "/wall_time", "`5 min` is not a value.", '"5 min"'),
        ("[data]\ntrain: x", "/data/train", "A colon follows the key `train`.", "train = value"),
        ("a.b c", "/a/b", "No = follows the key `a.b`.", "a.b = value"),
        ("x = [1,\n  True]", "/x/1", "`True` is not a value.", "true or false"),
        ("x = None", "/x", "`None` is not a value here.", "Leave the key out"),
        ("\n  [a]\n\n[ a ]", "/a", "`/a` is defined twice, first at line 2, column 4.", "one of the two"),
        ("a.b = 1\n\n[a]", "/a", "`/a` contradicts the definition at line 1, column 1.", "in one place"),
        (
            "[a]\nb = {}\n[c]\n[a.b.d]",
            "/a/b/d",
            "`/a/b/d` contradicts the definition at line 2, column 1.",
            "one place",
        ),
        ("d = 2024-01-31", "/d", "`2024-01-31` is a date or time, and no field takes one.", '"2024-01-31"'),
        ('p = "C:\\data"', "/p", "`\\d` is no escape sequence.", "single quotes"),
        ("x = [ {a = 1 ]", "/x/0", "This bracket is never closed.", "Close it with }."),
        ('{"a": [1 2]}', "/a/0", "`1 2` is not a value.", '"1 2"'),
        ('{"a": {"b": [1 "x"]}}', "/a/b", "The bracket of line 1, column 13 needs a comma or `]` here.", "comma"),
        ("{'a': 1}", "", "JSON texts do not stand in single quotes.", 'Write "a".'),
        ('{"a": 1,}', "", "Nothing follows this comma.", "Remove the comma."),
        ('{"a/b": {"c": 1, "c": 2}}', "/a~1b/c", "`/a~1b/c` is defined twice, first at line 1, column 10.", "Keep"),
        ("a = \u202e\u200bx", "/a", "`\\u202e\\u200bx` is not a value.", "quotes"),
        ("a = " + "x" * 100, "/a", "`" + "x" * 59 + "…` is not a value.", "quotes"),
    ],
)
def test_wording(text: str, pointer: str, message: str, remedy: str) -> None:
    (fault,) = parse(text.encode())  # type: ignore[misc]
    assert (fault.pointer, fault.message) == (pointer, message)
    assert remedy in fault.remedy


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("", {}),
        ("\n\n# nothing", {}),
        ("a = 18446744073709551615\nb = -0\nc = +1_0.5e-0_3", {"a": 2**64 - 1, "b": 0, "c": 0.0105}),
        ("a = 0.00012345678901234567", {"a": 0.00012345678901234567}),
        ("a = [ ]\nb={ }\nc = [[],[{}],]", {"a": [], "b": {}, "c": [[], [{}]]}),
        ("a = [\n[true], [false]\n,\n['a = 1'],\n'b = 2', \"x\"]", {"a": [[True], [False], ["a = 1"], "b = 2", "x"]}),
        ('"" = 1\n\'"\' = 2\n"\\u00e9".\'#\' = 3', {"": 1, '"': 2, "é": {"#": 3}}),
        ('a = """"x"" """""\nb = \'\'\'\'\'y\'\'\'\'\'', {"a": '"x"" ""', "b": "''y''"}),
        ("1979-05-27 = 1\ninf.nan = 2", {"1979-05-27": 1, "inf": {"nan": 2}}),
        ("[a.b]\n[a]\nc = 1\n[a.d]", {"a": {"b": {}, "c": 1, "d": {}}}),
        ("[a]\nb.c = 1\nb.d = 2\n[a.b.e]", {"a": {"b": {"c": 1, "d": 2, "e": {}}}}),
        ("a = 'x # y' # z\r\nb = 1", {"a": "x # y", "b": 1}),
        ("a=" + "[" * 16 + "]" * 16, None),
        (".".join("abcdefgh") + "=1", None),
        ('{"a": null, "b": -0.0, "c": "\\ud83d\\ude00\\/\\u00e9"}', {"a": None, "b": -0.0, "c": "😀/é"}),
        (' \n{"": {}, "a": [], "b": [true, false, 1E2]} \r\n', {"": {}, "a": [], "b": [True, False, 100.0]}),
        (SPEC, tomllib.loads(SPEC)),
        (JSON_SPEC, tomllib.loads(SPEC)),
    ],
)
def test_trees(text: str, tree: dict[str, Any] | None) -> None:
    document = parse(text.encode())
    assert isinstance(document, Document), document
    assert repr(document.tree) == repr(tree or tomllib.loads(text))
    assert document.text == text.replace("\r\n", "\n")


def test_format() -> None:
    assert [format_of(name) for name in ("a.toml", "b/c.JSON", "toml", "x.yaml", "a.toml.txt")] == [
        "toml", "json", "toml", None, None,
    ]  # fmt: skip
    assert [parse(text).format for text in (b"", b'\xef\xbb\xbf\r\n {"a": 1}', b"[a]")] == [  # type: ignore[union-attr]
        "toml", "json", "toml",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "limit", "code"),
    [
        (lambda n: b"#" * 4_000 + b"\n" + b"\n" * (n - 4_001), parsing.MAX_BYTES, LARGE),
        (lambda n: b"\r\n#" + b"x" * (n - 2) + b"\r\n", parsing.MAX_LINE_BYTES, LARGE),
        (lambda n: b"a = " + b"9" * n, parsing.MAX_DIGITS, NUMBER),
        (lambda n: b"a = 0.000" + b"9" * n, parsing.MAX_DIGITS, NUMBER),
        (lambda n: b'{"a": -' + b"9" * n + b"}", parsing.MAX_DIGITS, NUMBER),
        (lambda n: b".".join([b"a"] * n) + b" = 1", MAX_KEY_PARTS, DEEP),
        (lambda n: b"[" + b" . ".join([b"a"] * n) + b"]", MAX_KEY_PARTS, DEEP),
        (lambda n: f"'{'é' * (n - 3)}'.a = 1".encode(), MAX_POINTER_CHARS, LARGE),
        (lambda n: b'{"' + b"~" * (n // 2) + b'": 1}', MAX_POINTER_CHARS - 1, LARGE),
        (lambda n: b"a = " + b"[" * (n - 1) + b"1" + b"]" * (n - 1), MAX_DEPTH, DEEP),
        (lambda n: b"[a.b.c.d.e.f.g.h]\n" + b"." .join([b"a"] * (n - 8)) + b" = 1", MAX_DEPTH, DEEP),
        (lambda n: b'{"a":' * n + b"1" + b"}" * n, MAX_DEPTH, DEEP),
        (lambda n: b"a = [" + b"1,\n" * (n - 3) + b"]", MAX_NODES, LARGE),
        (lambda n: b'{"a": [' + b"1,\n" * (n - 3) + b"1]}", MAX_NODES - 1, LARGE),
        (lambda n: b"\n".join(b"a%d = 1" % index for index in range(n // 2)), MAX_NODES, LARGE),
    ],
)  # fmt: skip
def test_limits(make: Callable[[int], bytes], limit: int, code: str) -> None:
    assert isinstance(parse(make(limit)), Document)
    beyond = next(faults for more in range(1, 5) if isinstance(faults := parse(make(limit + more)), tuple))
    assert {fault.code for fault in beyond} == {code}


def test_faults_are_counted_up_to_a_limit() -> None:
    for text in ("a: b\n" * 500, "\x01" * 500, "a = 1\n" * 500, "a = [\n" + "x,\n" * 500 + "]"):
        assert len(parse(text.encode())) == MAX_SLIPS  # type: ignore[arg-type]
    assert len(parse(b'{"a": [' + b"True," * 500 + b"1]}")) == MAX_SLIPS  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_answered(name: str) -> None:
    """Whole or with faults; how long it takes is measured by tests/bench/hostile_specs.py."""
    content = BOMBS[name].encode()
    assert len(content) <= parsing.MAX_BYTES
    found = parse(content)
    assert isinstance(found, Document) or found


# Mutated specs: the standard library is the judge of what is TOML and what is JSON.
BASES = [SPEC, JSON_SPEC, *(text for text, _ in TOML_FAULTS + JSON_FAULTS if len(text) < 200)]


def test_mutated_specs() -> None:
    accepted = 0
    for content in mutants(Random(20), 5_000, BASES):
        for format in ("toml", "json"):
            found = parse(content, format)
            judge = toml_judge if format == "toml" else json_judge
            check(content, found, judge(content))
            accepted += isinstance(found, Document)
    assert accepted > 400  # the mutations are not all fatal


def check(content: bytes, found: Document | tuple[ParseFault, ...], judged: object) -> None:
    """Whole trees with all their places, or faults that the judge can understand."""
    if isinstance(found, Document):
        assert repr(found.tree) == repr(judged), content
        assert set(found.positions) == set(pointers(found.tree)), content
        return
    assert found, content
    assert not any("not valid TOML" in fault.message for fault in found), content
    assert [(f.line, f.column) for f in found] == sorted((f.line, f.column) for f in found)
    lines = content.decode(errors="replace").removeprefix("\ufeff").split("\n")
    assert all(1 <= f.column <= len(lines[f.line - 1]) + 1 for f in found), content
    if judged is not None:
        assert not {SYNTAX, TWICE} & {fault.code for fault in found}, content


def pointers(tree: Any, pointer: str = "") -> Iterator[str]:
    yield pointer
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in pairs:
        yield from pointers(value, child(pointer, str(key)))


def toml_judge(content: bytes) -> object:
    try:
        return tomllib.loads(content.removeprefix(b"\xef\xbb\xbf").decode())
    except (ValueError, RecursionError):
        return None


def json_judge(content: bytes) -> object:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("duplicate key")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        text = content.removeprefix(b"\xef\xbb\xbf").decode()
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=20).map("".join).map(str.encode))
def test_any_bytes(content: bytes) -> None:
    check(content, parse(content, "toml"), toml_judge(content))
    check(content, parse(content, "json"), json_judge(content))


@pytest.mark.parametrize(
    ("token", "toml", "json"),
    [
        ("0", 0, 0),
        ("-0.0", -0.0, -0.0),
        ("1e3", 1000.0, 1000.0),
        ("0b11", 3, "bad-number"),
        ("0o17", 15, "bad-number"),
        ("+1", 1, "bad-number"),
        ("null", "null-word", None),
        ("٣", "unquoted", "unquoted"),
        ("true", True, True),
        ("inf", "not-finite", "not-finite"),
    ],
)
def test_literals(token: str, toml: object, json: object) -> None:
    for format, expected in (("toml", toml), ("json", json)):
        value, slip = literal(token, format)  # type: ignore[arg-type]
        assert repr(slip or value) == repr(expected)
