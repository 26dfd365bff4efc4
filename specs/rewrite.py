"""A spec's text with its fixes applied: comments and layout stay, in TOML and in JSON.

First the edits of the text, then the patches of the document that it now is. A fix that no longer fits is left for
the next round.
"""

import json
import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from fewtune.specs.diagnostic import Diagnostic, Edit, Fix, Patch
from fewtune.specs.mends import Change
from fewtune.specs.parse import Attempt, Format, attempt, attempt_text
from fewtune.specs.patch import apply_patches, parts_of
from fewtune.specs.position import Positions
from fewtune.specs.recovery import changed
from fewtune.specs.repairs.fixing import first, noted


def rewritten(content: bytes, format: Format | None, found: Iterable[Diagnostic]) -> str | None:
    """The text with the first safe or likely fix of each finding; None where there is no text or no such fix."""
    given = attempt(content, format)
    fixes = [fix for finding in found if (fix := first(finding.fixes)) is not None]
    if not given.is_text or not fixes:
        return None
    text = _edited(given.text, list(chain(*(fix.edits for fix in fixes))))
    read = attempt_text(text, format)
    return text if read.slips else _patched(read, fixes)


def _edited(text: str, edits: Sequence[Edit]) -> str:
    lines, changes = Positions(text, {}), list[Change]()
    for edit in reversed(edits):  # at one place, what was opened last is closed first
        start = lines.offset(edit.line, edit.column)
        change = Change(start, start + len(edit.removed), edit.inserted, "")
        fits = text[start : change.end] == edit.removed
        if fits and not any(one.start < change.end and start < one.end for one in changes):
            changes.append(change)
    return changed(text, changes)


def _patched(read: Attempt, fixes: Sequence[Fix]) -> str:
    tree, applied = read.tree, list[Patch]()
    for fix in fixes:
        patches = noted(fix, tree).patches
        try:
            tree = apply_patches(tree, patches)
        except KeyError:
            continue
        applied += patches
    if not applied:
        return read.text
    if read.format == "json":
        return json.dumps(tree, indent=_indent(read.text), ensure_ascii=False) + "\n"
    return _toml(read.text, applied, tree)


def _indent(text: str) -> int | None:
    """The blanks before the first key; None where all stands on one line."""
    found = re.match(r"\s*\{[ \t]*\n([ \t]+)", text)
    return len(found[1]) if found else None if "\n" not in text.strip() else 2


def _toml(text: str, patches: Sequence[Patch], tree: dict[str, Any]) -> str:
    """The text by way of a reader that keeps comments; where that reader stumbles, the bare document."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        for patch in patches:
            _apply(document, patch)
        written = tomlkit.dumps(document)
    except (TOMLKitError, KeyError, IndexError, TypeError, ValueError, AttributeError):
        written = ""
    again = attempt_text(written, "toml")
    return written if not again.slips and again.tree == tree else tomlkit.dumps(tree)


def _apply(document: Any, patch: Patch) -> None:
    if patch.op == "test":
        return
    value: Any = patch.value
    if patch.op == "move":
        home, key = _owner(document, patch.from_ or "")
        target, name = _owner(document, patch.path)
        if home is target and isinstance(key, str):
            _rename(home, key, str(name))
            return
        value = home[key]
        del home[key]
    target, key = _owner(document, patch.path)
    if patch.op == "remove":
        del target[key]
    elif patch.op == "add" and isinstance(target, list):
        target.insert(len(target) if key == "-" else int(key), value)
    else:
        target[key] = value


def _rename(table: Any, key: str, name: str) -> None:
    """Another name at the same place in the text."""
    items = list(table.items())
    place = next(index for index, (known, _) in enumerate(items) if known == key)
    for known, _ in items[place:]:
        del table[known]
    for known, value in items[place:]:
        table[name if known == key else known] = value


def _owner(document: Any, pointer: str) -> tuple[Any, Any]:
    *parents, last = parts_of(pointer)
    here = document
    for part in parents:
        here = here[part] if isinstance(here, dict) else here[int(part)]
    return here, last if isinstance(here, dict) or last == "-" else int(last)
