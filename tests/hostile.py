"""Texts that a reader of specs must survive: bombs just within its limits, and specs with random changes."""

import json
import tomllib
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

SPEC = """\
# a study of few labels
spec_version = 1
name = "sst2-few"

[data]
train = 'data/sst2 train.csv'
labels = { negative = "bad", "positive" = "good" }
sizes = [
    16, 64,   # per class
    256,
]
ood."hans" = { path = "data/hans.csv", split = "test" }

[[methods.arms]]
method = "lora"
rank = [4, 0x10, 1_000]
learning_rate = 5e-4

[[methods.arms]]
method = \"\"\"full \\
  fine-tuning\"\"\"
pinned = true
"""
JSON_SPEC = json.dumps(tomllib.loads(SPEC), indent=2)

NEST = "".join("{" + "k" * 30 + "=[\n" for _ in range(7))
BOMBS = {
    "numbers": "a = [" + "0,\n" * 21_000 + "]",
    "numbers-allowed": "a = [" + ("0," * 1_000 + "\n") * 5 + "]",
    "strings-allowed": "a = [" + "'aaaaaa',\n" * 5_900 + "]",
    "keys-allowed": "[a.b.c.d.e.f.g.h]\n" + "\n".join(f"k{index:012}=0" for index in range(2_900)),
    "dotted-allowed": "[a.b.c.d.e.f.g.h]\n" + "\n".join(f"a.a.a.a.a.a.a.k{index}=0" for index in range(660)),
    "tables-allowed": "[[a]]\n" * 2_900,
    "long-pointers": "a=" + NEST + ("0," * 1_000 + "\n") * 5 + "]}" * 7,
    "key-parts": ".".join(["a"] * 20_000) + " = 1",
    "key-parts-on-lines": "\n".join(".".join(["a"] * 2_000) + " = 1" for _ in range(16)),
    "arrays": "a = " + "[" * 60_000,
    "arrays-on-lines": "a = " + "[\n" * 30_000,
    "tables-inline": "a = " + "{a=" * 1_300,
    "hex": "\n".join(f"a{index} = 0x" + "f" * 4_000 for index in range(16)),
    "decimal": "\n".join(f"a{index} = " + "9" * 4_000 for index in range(16)),
    "underscores": "\n".join(f"a{index} = " + "1_" * 2_000 for index in range(16)),
    "dates": "\n".join(f"a{index} = 1979-05-27 " + "0" * 4_000 for index in range(16)),
    "escapes": 'a = """' + "\\t" * 2_000 + ("\n" + "\\t" * 2_000) * 15 + '"""',
    "folds": 'a = """' + "\\\n" * 32_000 + '"""',
    "folds-open": 'a = """' + "\\\n" * 32_000,
    "quotes": 'a = """' + '""a\n' * 16_000 + '"""',
    "words": "a = [" + "x,\n" * 21_000,
    "colons": "a: b\n" * 13_000,
    "comments": "#\n" * 32_000,
    "lines": "\n" * 65_000,
    "nuls": "\0" * 65_000,
    "returns": "\r" * 65_000,
    "json-arrays": '{"a": ' + "[\n" * 30_000,
    "json-objects": '{"a":\n' * 10_000,
    "json-comments": "{" + "/*\n" * 20_000,
    "json-duplicates": "{" + '"a": 1,\n' * 8_000 + "}",
    "json-escapes": '{"a": [' + ",\n".join('"' + "\\n" * 2_000 + '"' for _ in range(15)) + "]}",
    "json-members": "{" + ",\n".join(f'"k{index:012}": 0' for index in range(2_900)) + "}",
    "json-slashes": '{"a": ' + ("/" * 4_000 + "\n") * 15,
}
"""Title -> text, each as long as may be and as slow to read as its kind can be."""

PIECES = [
    *"[]{}=,.:\"'#\\\n\r\t -+_0159aeéx\0\x7f",
    *("[[", "]]", '"""', "'''", "\\u", "\\ud800", "\\U0001F600", "\r\n", "\ufeff", "1e400", "nan", "inf", "0x", "//"),
    *("true", "None", "null", "1979-05-27", "07:32", "a = 1\n", "[data]\n", "[[a]]\n", '"a": 1,', "a.b", "/*"),
]  # fmt: skip
"""What is put into a spec."""


def mutants(chance: Random, count: int, bases: Sequence[str] = (SPEC, JSON_SPEC)) -> Iterator[bytes]:
    """Specs with one to four random changes each; `bases` are changed a third of the time."""
    for _ in range(count):
        content = chance.choice([SPEC, JSON_SPEC, chance.choice(bases)]).encode()
        for _ in range(chance.randint(1, 4)):
            start, end = sorted(chance.choices(range(len(content) + 1), k=2))
            end = min(end, start + chance.choice([0, 0, 1, 1, 8, 60]))
            new = chance.choice([chance.choice(PIECES).encode(), content[start:end] * 2, b"", chance.randbytes(1)])
            content = content[:start] + new + content[end:]
        yield content


def grown(chance: Random, tree: dict[str, Any], size: int) -> dict[str, Any]:
    """The tree with parts of it repeated, nested and renamed, until it is about so long."""
    result = json.loads(json.dumps(tree))
    tables = [item for item in result.values() if isinstance(item, dict)] or [result]
    while len(json.dumps(result)) < size:
        table = chance.choice(tables)
        part = chance.choice(list(result.values()))
        name = chance.choice(["arms", "pin", "ood", "include", "x", "rank", "", "a/b", "~"]) + str(chance.randrange(99))
        match chance.randrange(5):
            case 0:
                table[name] = part if part is not table else 1
            case 1:
                table.setdefault("arms", [])
                arms = table["arms"]
                if isinstance(arms, list):
                    arms += [{"method": "pattern+lora", name: chance.random()}] * chance.randint(1, 20)
            case 2:
                table[name] = {name: {name: [1, "2", None, True, {name: part if part is not table else 0}]}}
            case 3:
                table[name] = [chance.choice([1, -1, 1e300, "x" * chance.randrange(300), None])] * chance.randint(1, 50)
            case _:
                table[name] = chance.choice(["../x", "hf_" + "a" * 20, "24GB", "nan", "\u202e", "é" * 40])
        result = json.loads(json.dumps(result))
        tables = [item for item in result.values() if isinstance(item, dict)] or [result]
    return result


PATHS = tuple(dict.fromkeys(
    lead + climb + target + tail
    for lead in ("", "/", "./", "file://", "file:", "~/", "$HOME/", "C:\\", "\\\\host\\", "//", "http://host/")
    for climb in ("", "../", "../../", "..\\", "%2e%2e/", "....//", "legal/../../", "..;/", "%252e%252e/", "．．/")
    for target in ("etc/passwd", "proc/self/environ", "dev/zero", "outside/secret.csv", "link/secret.csv", "out.csv")
    for tail in ("", "\x00.csv", "#.csv")
))  # fmt: skip
"""Hostile spellings of paths: 1,980 of them."""
