"""Positions: hand-written layouts, then generated documents in layouts nobody would write."""

import json
import re
import tomllib
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from fewtune.specs.parse import Document, Format, parse
from fewtune.specs.position import Place, Positions, Span, child, toml_positions

TOML = '''# comment
name = "snow ☃"   # after
a . "b/c" . 'd~e' = 0xF

[data]
train = """
two
lines"""
mixed = [ # open
  1,
  [ -2.5e3, 'x' ],  { k = true, l.m = [] },
]

[methods.lora]
  [[ methods . arms ]]
rank = 8
[methods.arms.extra]
z = 1
[[methods.arms]]
[[methods.arms.steps]]
q=''
[[methods.arms.steps]]
'''

# Pointer: key, value and end, each "line:column".
TOML_PLACES = {
    "": (None, "1:1", "23:1"),
    "/name": ("2:1", "2:8", "2:16"),
    "/a": ("3:1", "3:1", "3:2"),
    "/a/b~1c": ("3:5", "3:5", "3:10"),
    "/a/b~1c/d~0e": ("3:13", "3:21", "3:24"),
    "/data": ("5:2", "5:1", "5:7"),
    "/data/train": ("6:1", "6:9", "8:9"),
    "/data/mixed": ("9:1", "9:9", "12:2"),
    "/data/mixed/0": (None, "10:3", "10:4"),
    "/data/mixed/1": (None, "11:3", "11:18"),
    "/data/mixed/1/0": (None, "11:5", "11:11"),
    "/data/mixed/1/1": (None, "11:13", "11:16"),
    "/data/mixed/2": (None, "11:21", "11:43"),
    "/data/mixed/2/k": ("11:23", "11:27", "11:31"),
    "/data/mixed/2/l": ("11:33", "11:33", "11:34"),
    "/data/mixed/2/l/m": ("11:35", "11:39", "11:41"),
    "/methods": ("14:2", "14:2", "14:9"),
    "/methods/lora": ("14:10", "14:1", "14:15"),
    "/methods/arms": ("15:16", "15:3", "15:23"),
    "/methods/arms/0": (None, "15:3", "15:23"),
    "/methods/arms/0/rank": ("16:1", "16:8", "16:9"),
    "/methods/arms/0/extra": ("17:15", "17:1", "17:21"),
    "/methods/arms/0/extra/z": ("18:1", "18:5", "18:6"),
    "/methods/arms/1": (None, "19:1", "19:17"),
    "/methods/arms/1/steps": ("20:16", "20:1", "20:23"),
    "/methods/arms/1/steps/0": (None, "20:1", "20:23"),
    "/methods/arms/1/steps/0/q": ("21:1", "21:3", "21:5"),
    "/methods/arms/1/steps/1": (None, "22:1", "22:23"),
}

JSON = """
{ "name" :"snow \\u2603",
  "a~b": {"": [1, [ ],
      {"x/y":null}]}, "t" : true}
"""

JSON_PLACES = {
    "": (None, "2:1", "4:34"),
    "/name": ("2:3", "2:11", "2:24"),
    "/a~0b": ("3:3", "3:10", "4:21"),
    "/a~0b/": ("3:11", "3:15", "4:20"),
    "/a~0b//0": (None, "3:16", "3:17"),
    "/a~0b//1": (None, "3:19", "3:22"),
    "/a~0b//2": (None, "4:7", "4:19"),
    "/a~0b//2/x~1y": ("4:8", "4:14", "4:18"),
    "/t": ("4:23", "4:29", "4:33"),
}


def read(text: str | bytes, format: Format | None = None) -> Document:
    document = parse(text if isinstance(text, bytes) else text.encode(), format)
    assert isinstance(document, Document), (text, document)
    return document


def place(short: str) -> Place:
    line, column = short.split(":")
    return Place(line=int(line), column=int(column))


def pointers(tree: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a tree with its pointer."""
    yield pointer, tree
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from pointers(value, child(pointer, key))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from pointers(value, f"{pointer}/{index}")


def piece(document: Document, start: Place, end: Place) -> str:
    positions = document.positions
    return document.text[positions.offset(start.line, start.column) : positions.offset(end.line, end.column)]


def same(left: object, right: object) -> bool:
    """Equal in type too: 1, 1.0 and True are three values."""
    return repr(left) == repr(right)


def check_positions(document: Document) -> None:
    """Every value has a place, nothing else has, and each place leads back to the value and to its key."""
    values = dict(pointers(document.tree))
    assert set(document.positions) == set(values)
    loads = json.loads if document.format == "json" else lambda text: tomllib.loads(f"x = {text}")["x"]
    for pointer, value in values.items():
        span = document.positions[pointer]
        assert span == document.positions.at(pointer)
        text = piece(document, span.value, span.end)
        if pointer and (document.format == "json" or not isinstance(value, dict | list) or text[:1] == "{"):
            assert same(loads(text), value), pointer
        if span.key:
            check_key(document, span.key, pointer)


def check_key(document: Document, key: Place, pointer: str) -> None:
    rest = document.text[document.positions.offset(key.line, key.column) :]
    written = re.match(r"""[\w-]+|"(?:[^"\\]|\\.)*"|'[^']*'""", rest)
    assert written is not None, pointer
    parse_key = tomllib.loads if document.format == "toml" else json.loads
    (name,) = parse_key(f"{written.group()}=1" if document.format == "toml" else f"{{{written.group()}:1}}")
    assert pointer.endswith(child("", name))


@pytest.mark.parametrize(("text", "places"), [(TOML, TOML_PLACES), (JSON, JSON_PLACES)], ids=["toml", "json"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_places(text: str, places: dict[str, tuple[str | None, str, str]], line_end: str) -> None:
    document = read(text.replace("\n", line_end))
    found = {pointer: document.positions[pointer] for pointer in document.positions}
    assert found == {
        pointer: Span(key=key if key is None else place(key), value=place(value), end=place(end))
        for pointer, (key, value, end) in places.items()
    }
    check_positions(document)


@pytest.mark.parametrize(
    ("pointer", "nearest"),
    [
        ("/data/train", "/data/train"),
        ("/data/dev/rows", "/data"),
        ("/methods/arms/7/rank", "/methods/arms"),
        ("/nothing", ""),
        ("", ""),
    ],
)
def test_a_missing_value_is_found_at_its_nearest_parent(pointer: str, nearest: str) -> None:
    positions = read(TOML).positions
    assert positions.at(pointer) == positions[nearest]


def test_positions_is_a_mapping() -> None:
    positions = read("a = 1\nb = 2").positions
    assert len(positions) == 3
    assert "/a" in positions
    assert "/c" not in positions
    assert positions == read("a = 1\nb = 2").positions
    with pytest.raises(KeyError):
        positions["/c"]


def test_place_and_offset_are_inverse() -> None:
    text = "a\n\nbé\r\n☃"
    positions = Positions(text, {})
    for offset in range(len(text) + 1):
        found = positions.place(offset)
        assert positions.offset(found.line, found.column) == offset


def test_a_byte_order_mark_takes_no_column() -> None:
    assert read(b"\xef\xbb\xbfa = 1").positions["/a"].key == place("1:1")
    assert read(b'\xef\xbb\xbf{"a": 1}').positions["/a"].key == place("1:2")


# Trees that both formats can say, then ways to write them.
CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n\r\"'\\/~.#=[]{},\u2028")
TEXTS = st.text(CHARACTERS, max_size=12)
KEYS = st.sampled_from(["a", "b", "c", "0", "1", "-", "true", "", "a.b", "x y", "a/b", "~", "é", '"', "'"]) | TEXTS
INTEGERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.booleans() | INTEGERS | FLOATS | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TREES = st.dictionaries(KEYS, VALUES, max_size=5)


class Writer:
    """Writes a tree as TOML in a layout that chance picks."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance

    def blank(self) -> str:
        return self.chance.choice(["", "", " ", "\t", "  "])

    def gap(self) -> str:
        return self.chance.choice(["", " ", "\n", " # ] \" '''\n\t", "\n\n  "])

    def document(self, tree: dict[str, Any]) -> str:
        return "".join(
            f"{line}{self.blank()}{self.chance.choice(['', '', '# x = 1'])}\n" for line in self.table(tree, [])
        )

    def table(self, tree: dict[str, Any], path: list[str], header: str = "") -> list[str]:
        """The lines of a table: its header, its own keys, then (or, without need, before) its subtables."""
        own: list[str] = []
        groups: list[list[str]] = []
        for key, value in tree.items():
            below = [*path, key]
            if isinstance(value, dict) and self.chance.random() < 0.4:
                groups.append(self.table(value, below, "[]"))
            elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
                groups.append([line for item in value for line in self.table(item, below, "[[]]")])
            else:
                own += self.pairs([key], value)
        self.chance.shuffle(own)
        self.chance.shuffle(groups)
        if header:
            half = len(header) // 2
            own.insert(0, f"{self.blank()}{header[:half]}{self.key(path)}{header[half:]}")
        at = self.chance.randrange(len(groups) + 1) if header == "[]" else 0
        if header == "[]" and len(own) == 1 and groups:
            own = []
        return [line for group in [*groups[:at], own, *groups[at:]] for line in group]

    def pairs(self, path: list[str], value: Any) -> list[str]:
        if isinstance(value, dict) and value and self.chance.random() < 0.5:
            return [line for key in value for line in self.pairs([*path, key], value[key])]
        return [f"{self.blank()}{self.key(path)}={self.blank()}{self.value(value)}"]

    def key(self, path: list[str]) -> str:
        return ".".join(f"{self.blank()}{self.key_part(part)}{self.blank()}" for part in path)

    def key_part(self, part: str) -> str:
        ways = [self.basic(part)]
        if re.fullmatch("[A-Za-z0-9_-]+", part):
            ways += [part, part]
        if not re.search("['\n\r]", part):
            ways.append(f"'{part}'")
        return self.chance.choice(ways)

    def value(self, value: Any) -> str:
        if isinstance(value, dict):
            pairs = f",{self.blank()}".join(line for key in value for line in self.pairs([key], value[key]))
            return f"{{{self.blank()}{pairs}{self.blank()}}}"
        if isinstance(value, list):
            items = "".join(f"{self.gap()}{self.value(item)}{self.gap()}," for item in value)
            return f"[{items if self.chance.random() < 0.5 else items[:-1]}{self.gap()}]"
        if isinstance(value, str):
            return self.text(value)
        return str(value).lower() if isinstance(value, bool) else self.number(value)

    def number(self, value: float) -> str:
        sign = self.chance.choice(["", "+"]) if repr(value)[0] != "-" else ""
        if isinstance(value, float):
            return sign + self.chance.choice([repr(value), f"{value:.16e}", f"{value:.16E}"])
        ways = [f"{sign}{value}", f"{sign}{value:_}"]
        return self.chance.choice(
            ways if value < 0 else [*ways, f"{value:#x}", f"{value:#o}", f"{value:#b}"][: 3 if value > 2**19 else 5]
        )

    def text(self, value: str) -> str:
        ways = [self.basic(value), self.long_basic(value)]
        if "'" not in value and not re.search("[\n\r]", value):
            ways.append(f"'{value}'")
        if "'''" not in value and "\r" not in value and not value.endswith("'"):
            ways.append(f"'''\n{value}'''")
        return self.chance.choice(ways)

    def basic(self, value: str) -> str:
        return '"' + "".join(self.character(char) for char in value) + '"'

    def long_basic(self, value: str) -> str:
        fold = "" if value[:1].isspace() else self.chance.choice(["", "\\\n", "\\ \t\n \n"])
        body = "".join(char if char == "\n" and not fold else self.character(char) for char in value)
        return f'"""{fold or chr(10)}{body}"""'

    def character(self, char: str) -> str:
        if char in '\\"\n\r':
            return {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}[char]
        ways = [char, char, char, f"\\U{ord(char):08x}"]
        return self.chance.choice([*ways, f"\\u{ord(char):04X}"] if ord(char) < 0x10000 else ways)


@settings(max_examples=250, deadline=None)
@given(tree=TREES, chance=st.randoms(use_true_random=False), crlf=st.booleans(), mark=st.booleans())
def test_odd_toml_layouts(tree: dict[str, Any], chance: Random, crlf: bool, mark: bool) -> None:
    text = Writer(chance).document(tree)
    content = (text.replace("\n", "\r\n") if crlf else text).encode()
    document = read(b"\xef\xbb\xbf" * mark + content, "toml")
    assert document.tree == tomllib.loads(text) == tree
    check_positions(document)


@settings(max_examples=100, deadline=None)
@given(tree=TREES)
def test_tomlkit_documents(tree: dict[str, Any]) -> None:
    text = tomlkit.dumps(tree)
    document = read(text, "toml")
    assert same(document.tree, tomllib.loads(text))
    check_positions(document)


@settings(max_examples=150, deadline=None)
@given(
    tree=TREES,
    indent=st.none() | st.integers(0, 3) | st.just("\t"),
    separators=st.sampled_from([(",", ":"), (" , ", "\t:\n")]),
    ascii_only=st.booleans(),
)
def test_json_documents(
    tree: dict[str, Any], indent: int | str | None, separators: tuple[str, str], ascii_only: bool
) -> None:
    text = json.dumps(tree, indent=indent, separators=separators, ensure_ascii=ascii_only)
    document = read(text, "json")
    assert same(document.tree, tree)
    check_positions(document)


def test_a_faulty_text_keeps_the_places_before_the_fault() -> None:
    positions, slips, _ = toml_positions("a = 1\nb = [2\nc = 3")
    assert [slip.kind for slip in slips] == ["unclosed"]
    assert positions["/a"].key == place("1:1")
