"""Access tokens and keys, which a spec never needs: it is shared, hashed and journalled."""

import re
from collections.abc import Iterator
from typing import Any

from fewtune.specs.diagnostic import Diagnostic, Fix, Patch
from fewtune.specs.patch import escape, parts_of
from fewtune.specs.repairs.fixing import MOST_NOTES, NOTES, at, split
from fewtune.specs.tables import fields_at

TOKEN = re.compile(
    r"hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|AKIA[0-9A-Z]{12,}|xox[abeprs]-[\w-]{10,}|AIza[\w-]{30,}|ya29\.[\w-]{16,}|npm_[A-Za-z0-9]{16,}"
    r"|pypi-[\w-]{16,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,}|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
"""How the tokens of well-known services begin, and passwords in addresses."""
NAMED = re.compile(r"(^|_)(api_?key|token|secret|password|passwd|credentials?|access_?key)$", re.IGNORECASE)
"""Keys whose value is nobody's business."""
SHOWN = "[secret]"
FREE = ("/tags/", "/notes", "/title", "/task/question", "/task/instruction")
"""Texts of which a part may be cut."""
UNREAD = ("/model/revision",)
"""A known text that may be left out where it is a token: it is none of what it should be, and the lock says which."""
TEACHER = "/augmentation/teacher"
REMEDY = "take it out, and revoke it if the file was shared; "
WHERE_PULL = "the environment variable HF_TOKEN is where pull looks"
WHERE_TEACHER = "name in key_variable the environment variable that holds the endpoint's key"


def scrubbed(text: str) -> str:
    """The text without tokens.

    >>> scrubbed("use hf_" + "a" * 20)
    'use [secret]'
    """
    return TOKEN.sub(SHOWN, text)


def secrets(tree: Any, place: str = "", root: Any = None) -> Iterator[Diagnostic]:
    """Every place with a token; `place` and `root` say where in which document."""
    root = tree if root is None else root
    if isinstance(tree, dict):
        for key, value in tree.items():
            below = f"{place}/{escape(key)}"
            if TOKEN.search(key):
                yield _found(key, below, root)
            elif isinstance(value, str) and len(value) >= 8 and NAMED.search(key) and not TOKEN.search(value):
                yield _found(value, below, root)
            else:
                yield from secrets(value, below, root)
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from secrets(value, f"{place}/{index}", root)
    elif isinstance(tree, str) and TOKEN.search(tree):
        yield _found(tree, place, root)


def _found(value: str, place: str, root: Any) -> Diagnostic:
    """The finding; neither it nor its fixes, which have no test for that reason, repeat the token."""
    key = split(place)[1]
    fixes = [Fix(title=f"remove {scrubbed(key)}", applicability="choose", patches=(Patch(op="remove", path=place),))]
    if place.startswith(FREE) and scrubbed(value) != value:
        cut = Patch(op="replace", path=place, value=scrubbed(value))
        fixes.insert(0, Fix(title="cut the token out of the text", applicability="likely", patches=(cut,)))
    elif aside := _aside(place, root):
        fixes.insert(0, aside)
    return Diagnostic(code="E-secret", message=f"{scrubbed(key)}: this looks like an access token or a password",
                      pointer=place, remedy=REMEDY + (WHERE_TEACHER if place.startswith(TEACHER) else WHERE_PULL),
                      fixes=tuple(fixes))  # fmt: skip


def _aside(place: str, root: Any) -> Fix | None:
    """A line of the notes in the place of a token under a key that nothing reads."""
    parent, key = split(place)
    known = fields_at(parent, root)
    notes = at(root, NOTES)
    if place not in UNREAD and (key in known or not known or not isinstance(at(root, parent), dict)):
        return None
    if TOKEN.search(key) or not (notes is None or isinstance(notes, str)):
        return None
    said = f"set aside: {'.'.join(parts_of(place))} = {SHOWN}"
    text = f"{scrubbed(notes)}\n{said}" if notes else said
    if len(text) > MOST_NOTES:
        return None
    patches = (Patch(op="remove", path=place), Patch(op="add", path=NOTES, value=text))
    return Fix(title=f"take {key} out, and say so in the notes", applicability="likely", patches=patches)
