"""A teacher's answer as examples; what cannot be read keeps its reason."""

import json
import re
from collections.abc import Sequence
from typing import Any

from fewtune.runtime.augment.example import Candidate
from fewtune.runtime.augment.teacher import Answer

FENCE = re.compile(r"^```\w*\s*|\s*```$")
BULLET = re.compile(r"^\s*(?:\d+[.):]|[-*•])\s+")
SHOWN = 200
"""Characters of an unreadable answer that are kept."""


def form_of(fields: Sequence[str]) -> dict[str, Any]:
    """JSON Schema of an answer: texts, or objects with several fields."""
    item: dict[str, Any] = {"type": "string"}
    if len(fields) > 1:
        properties = {name: {"type": "string"} for name in fields}
        item = {"type": "object", "properties": properties, "required": list(fields), "additionalProperties": False}
    examples = {"type": "array", "items": item}
    return {
        "type": "object", "properties": {"examples": examples}, "required": ["examples"], "additionalProperties": False,
    }  # fmt: skip


def parsed(
    answer: Answer, fields: Sequence[str], label: int, call: str, attributes: dict[str, str], *, structured: bool
) -> list[Candidate]:
    """The examples of an answer; one with a fault where it cannot be read.

    Args:
        answer: of the teacher.
        fields: of an example.
        label: that was asked for.
        call: hash of the question.
        attributes: that were asked for.
        structured: whether JSON was asked for.
    """
    made = {"label": label, "call": call, "attributes": attributes}
    items = _items(answer.text)
    if items is None and (structured or len(fields) > 1):
        why = "the answer was cut" if answer.ended == "length" else "the answer is not the JSON that was asked for"
        return [Candidate(fields=_shown(answer.text, fields), fault=why, **made)]
    if items is None:
        return _listed(answer, fields[0], made)
    return [_candidate(item, fields, place, made) for place, item in enumerate(items)]


def _items(text: str) -> list[Any] | None:
    """The list in an answer; None where there is none."""
    bare = FENCE.sub("", text.strip())
    for start, end in (("{", "}"), ("[", "]")):
        try:
            found = json.loads(bare[bare.index(start) : bare.rindex(end) + 1], strict=False)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            found = found.get("examples")
        if isinstance(found, list):
            return found
    return None


def _candidate(item: Any, fields: Sequence[str], place: int, made: dict[str, Any]) -> Candidate:
    if isinstance(item, str) and len(fields) == 1:
        return Candidate(fields={fields[0]: item.strip()}, place=place, **made)
    if isinstance(item, dict) and all(isinstance(item.get(name), str) for name in fields):
        return Candidate(fields={name: item[name].strip() for name in fields}, place=place, **made)
    shown = _shown(json.dumps(item, ensure_ascii=False), fields)
    return Candidate(fields=shown, place=place, fault="an example without the fields that were asked for", **made)


def _listed(answer: Answer, field: str, made: dict[str, Any]) -> list[Candidate]:
    """The lines of a plain answer; of a list only its items."""
    lines = [line for line in answer.text.splitlines() if line.strip()]
    bullets = [line for line in lines if BULLET.match(line)]
    found = [BULLET.sub("", line).strip().strip('"') for line in (bullets if len(bullets) > 1 else lines)]
    if not found:
        return [Candidate(fields={field: ""}, fault="an empty answer", **made)]
    cut = len(found) - 1 if answer.ended == "length" else len(found)
    return [
        Candidate(fields={field: text}, place=place, fault="" if place < cut else "the answer was cut", **made)
        for place, text in enumerate(found)
    ]


def _shown(text: str, fields: Sequence[str]) -> dict[str, str]:
    return {name: text[:SHOWN] if place == 0 else "" for place, name in enumerate(fields)}
