"""Answers that fit: long lists are cut, and what was cut is said."""

import json
from typing import Any

from fewtune.api.envelope import Envelope

BRIEF = 8_000
"""Bytes of an answer unless more is asked for."""
FULL = 32_000
"""Bytes of an answer at most."""
KEPT_TEXT = 200
"""Characters that are left of a text that is cut."""


def fit(envelope: Envelope, most: int = BRIEF, hint: str = "ask for one part of it, or aggregate with SQL") -> Envelope:
    """The envelope with its longest lists cut until it has at most so many bytes of JSON.

    `truncated` then has, for each list that was cut, its pointer with the entries shown and the total.
    """
    if size(envelope) <= most:
        return envelope
    data = json.loads(json.dumps(envelope.model_dump(mode="json")))
    cuts: dict[str, dict[str, int]] = {}
    while (excess := _bytes(data) - most + _bytes(cuts) + 200) > 0:
        place = _longest(data, "")
        if place is None:
            break
        pointer, owner, key = place
        found = owner[key]
        if isinstance(found, list):
            total = cuts.get(pointer, {}).get("total", len(found))
            owner[key] = found[: _keep(found, excess)]
            cuts[pointer] = {"shown": len(owner[key]), "total": total}
        else:
            cuts[pointer] = {"shown": KEPT_TEXT, "total": len(found)}
            owner[key] = found[:KEPT_TEXT] + "..."
    said = {**(envelope.truncated or {}), "cut": cuts, "hint": hint}
    return Envelope.model_validate({**data, "truncated": said})


def size(envelope: Envelope) -> int:
    """Bytes of its JSON."""
    return len(envelope.text().encode())


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def _keep(entries: list[Any], excess: int) -> int:
    """How many entries stay: what is too much is taken off, at least one and at most the half of them."""
    each = max(1, _bytes(entries) // len(entries))
    return max(len(entries) // 2, len(entries) - 1 - excess // each)


def _longest(value: Any, pointer: str) -> tuple[str, Any, Any] | None:
    """Pointer, owner and key of the longest list (in bytes) that can be cut, else of the longest text."""
    lists: list[tuple[int, str, Any, Any]] = []
    texts: list[tuple[int, str, Any, Any]] = []
    waiting: list[tuple[Any, str]] = [(value, pointer)]
    while waiting:
        owner, here = waiting.pop()
        pairs = owner.items() if isinstance(owner, dict) else enumerate(owner)
        for key, inner in pairs:
            at = f"{here}/{key}"
            if isinstance(inner, list) and inner:
                lists.append((_bytes(inner), at, owner, key))
            if isinstance(inner, str) and len(inner) > KEPT_TEXT + 3:
                texts.append((len(inner), at, owner, key))
            if isinstance(inner, dict | list):
                waiting.append((inner, at))
    found = [one for one in lists if len(one[2][one[3]]) > 1] or texts or lists
    return max(found, key=lambda one: one[0])[1:] if found else None
