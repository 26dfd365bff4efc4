"""Faults of the text itself: a key twice, and damaged syntax of TOML and of JSON."""

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from mutations import clues
from mutations.fault import Fault, Parts, pointer

TOML_LINE = re.compile(r"(?P<key>[\w-]+|\"[^\"]+\") = (?P<value>.+)")
JSON_LINE = re.compile(r"(?P<indent> +)(?:(?P<key>\"[^\"]+\"): )?(?P<value>.*?)(?P<comma>,?)$")


def places(text: str, form: str) -> dict[int, tuple[str, ...]]:
    """Line, from 0, -> the keys that lead to what is given there."""
    return _toml_places(text) if form == "toml" else _json_places(text)


def _toml_places(text: str) -> dict[int, tuple[str, ...]]:
    table, arms, found = tuple[str, ...](), dict[str, int](), dict[int, tuple[str, ...]]()
    for number, line in enumerate(text.split("\n")):
        if line.startswith("[["):
            name = line.strip("[]").split("]")[0]
            arms[name] = arms.get(name, -1) + 1
            table = (*name.split("."), str(arms[name]))
        elif line.startswith("["):
            table = tuple(part.strip('"') for part in line[1:].split("]")[0].split("."))
        elif match := TOML_LINE.fullmatch(line):
            found[number] = (*table, match["key"].strip('"'))
    return found


def _json_places(text: str) -> dict[int, tuple[str, ...]]:
    stack, found = list[tuple[str, list[int]]](), dict[int, tuple[str, ...]]()
    for number, line in enumerate(text.split("\n")):
        match = JSON_LINE.fullmatch(line)
        if match is None:
            continue
        depth = len(match["indent"]) // 2
        del stack[max(0, depth - 1) :]
        if match["value"] in ("}", "]"):
            continue
        name = match["key"].strip('"') if match["key"] else None
        if name is None and stack:
            stack[-1][1][0] += 1
            name = str(stack[-1][1][0] - 1)
        found[number] = (*(part for part, _ in stack), name or "")
        if match["value"] in ("{", "["):
            stack.append((name or "", [0]))
    return found


def duplicate_key(chance: Random, text: str, form: str) -> tuple[str, Fault] | None:
    """A key that is given a second time, with the same value or another one."""
    lines, known = text.split("\n"), places(text, form)
    pattern = TOML_LINE if form == "toml" else JSON_LINE
    options = []
    for number in known:
        match = pattern.fullmatch(lines[number])
        if match and match["key"] and match["value"][:1] not in "{[":
            options.append((number, match))
    if not options:
        return None
    number, match = chance.choice(options)
    value = match["value"]
    if same := chance.random() < 0.5:
        other = value
    else:
        other = str(2 * float(value)) if re.fullmatch(r"[\d.]+", value) else '"other"'
    again = f"{match['key']} = {other}" if form == "toml" else f"{match['indent']}{match['key']}: {other},"
    place = pointer(known[number])
    if form == "toml":
        lines.insert(number + 1, again)
        line = number + 2
    else:
        lines.insert(number, again)
        line = number + 2
    kind = "duplicate key, same value" if same else "duplicate key, other value"
    lost = "" if same else clues.of_two(_parts(known[number]), _read(value), _read(other))
    return "\n".join(lines), Fault(kind, (place,), value, again.strip(), line, lost)


def _parts(names: tuple[str, ...]) -> Parts:
    return tuple(int(name) if name.isdigit() else name for name in names)


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


Damage = Callable[[Random, list[str], int], bool]
"""Damages a line in place; False where it cannot."""


def _sub(pattern: str, new: str) -> Damage:
    def damage(chance: Random, lines: list[str], at: int) -> bool:
        was = lines[at]
        lines[at] = re.sub(pattern, new, was, count=1)
        return lines[at] != was

    return damage


def _insert(new: str) -> Damage:
    def damage(chance: Random, lines: list[str], at: int) -> bool:
        lines.insert(at, new)
        return True

    return damage


def _fenced(chance: Random, lines: list[str], at: int) -> bool:
    lines[:] = [f"```{'json' if lines[0].startswith('{') else 'toml'}", *lines, "```"]
    return True


def _last_brace(chance: Random, lines: list[str], at: int) -> bool:
    for number in range(len(lines) - 1, -1, -1):
        if lines[number] == "}":
            del lines[number]
            return True
    return False


STRING = r'"([^"\\{}]*)"'
TOML_DAMAGES: dict[str, Damage] = {
    "colon": _sub(r"^([\w-]+) = ", r"\1: "),
    "no equals": _sub(r"^([\w-]+) = ", r"\1 "),
    "two equals": _sub(r"^([\w-]+) = ", r"\1 == "),
    "no quotes": _sub(r'^([\w-]+ = )"([^"]+)"$', r"\1\2"),
    "open text": _sub(r'^([\w-]+ = "[^"]+)"$', r"\1"),
    "curly quotes": _sub(r'^([\w-]+ = )"([^"]+)"$', r"\1“\2”"),
    "a comma at the end": _sub(r'^([\w-]+ = (?:"[^"]*"|[\d.e-]+))$', r"\1,"),
    "a semicolon": _sub(r'^([\w-]+ = (?:"[^"]*"|[\d.e-]+))$', r"\1;"),
    "open header": _sub(r"^(\[[\w.]+)\]", r"\1"),
    "half a header": _sub(r"^(\[\[[\w.]+\])\]", r"\1"),
    "no comma": _sub(r"^([\w-]+ = \[[^,]+),", r"\1"),
    "open list": _sub(r"^([\w-]+ = \[[^\[\]{}]+)\]$", r"\1"),
    "slashes": _insert("// as in the paper"),
    "dashes": _insert("-- as in the paper"),
    "a fence": _fenced,
    "True": _sub(r"= true$", "= True"),
    "a comma in a table": _sub(r" \}$", ", }"),
    "single and double": _sub(r'^([\w-]+ = )"([^"]+)"$', r"\1'\2" + '"'),
}
JSON_DAMAGES: dict[str, Damage] = {
    "a comma at the end": _sub(r'^( +"[^"]+": (?:"[^"]*"|[\d.e-]+|true|false))$', r"\1,"),
    "slashes": _insert("  // as in the paper"),
    "a hash": _insert("  # as in the paper"),
    "stars": _sub(r"$", " /* as in the paper */"),
    "single quotes": _sub(r': "([^"\']+)"', r": '\1'"),
    "single quotes of a key": _sub(r'"([^"]+)":', r"'\1':"),
    "a bare key": _sub(r'"([^" -]+)":', r"\1:"),
    "no comma": _sub(r",$", ""),
    "no brace": _last_brace,
    "True": _sub(r": true", ": True"),
    "None": _sub(r': "[^"]*"(,?)$', r": None\1"),
    "open text": _sub(r': "([^"]+)"(,?)$', r': "\1\2'),
    "no colon": _sub(r'^( +"[^"]+"):', r"\1"),
    "equals": _sub(r'^( +"[^"]+"):', r"\1 ="),
    "a fence": _fenced,
    "curly quotes": _sub(r': "([^"]+)"', r": “\1”"),
    "no quotes": _sub(r': "([^" ]+)"', r": \1"),
    "a plus": _sub(r": ([\d.]+)", r": +\1"),
    "a dot": _sub(r": 0\.", ": ."),
}


def syntax(chance: Random, text: str, form: str) -> tuple[str, Fault] | None:
    """One slip that the reader of the format cannot take."""
    damages = TOML_DAMAGES if form == "toml" else JSON_DAMAGES
    name = chance.choice(list(damages))
    lines, known = text.split("\n"), places(text, form)
    for at in chance.sample(range(1, max(2, len(lines) - 1)), k=max(1, len(lines) - 2)):
        changed = list(lines)
        if at < len(lines) and damages[name](chance, changed, at):
            new = "\n".join(changed)
            if _is_readable(new, form):
                continue
            where = pointer(known[at]) if at in known and name != "a fence" else "?"
            line = 1 if name == "a fence" else len(changed) if name == "no brace" else at + 1
            lost = ""
            if name == "None" and at in known:
                lost = clues.of_null(new, _parts(known[at]), lines[at].partition(": ")[2].strip(' ",'))
            return new, Fault(f"syntax of {form.upper()}", (where,), None, name, line, lost)
    return None


def _is_readable(text: str, form: str) -> bool:
    import tomllib

    try:
        if form == "toml":
            tomllib.loads(text)
        else:
            json.loads(text)
    except ValueError:
        return False
    return True
