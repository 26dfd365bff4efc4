"""The one object that every verb answers with `--json`, and the codes a command ends with."""

import json
import re
from typing import Any

from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.frozen import Frozen

API_VERSION = 1

EXIT = {
    "done": 0, "fault": 1, "usage": 2, "invalid": 3, "stale": 4, "approval": 5, "budget": 6, "not-found": 7, "busy": 8,
    "waiting": 9, "partial": 10, "failed": 11, "cancelled": 12, "refused": 13, "limit": 14, "too-new": 15,
}  # fmt: skip
"""What an exit status means. Codes are added, never reused."""


def exit_codes() -> str:
    """All of them in words, for a page."""
    return ", ".join(f"{number} {word}" for word, number in EXIT.items())


EXIT_OF_CODE = {
    "E-plan-stale": 4, "E-plan-edited": 4, "E-not-found": 7, "E-nothing-to-show": 7, "E-busy": 8, "E-interrupted": 12,
    "E-store-too-new": 15, "E-usage": 2, "E-budget": 6,
    "E-approval": 5, "E-ceiling": 6, "E-policy": 13,
}  # fmt: skip
"""Diagnostic code -> exit status, where it is not its error class's."""


STEERING = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
"""Control characters beyond those that JSON escapes anyway, marks of direction, and characters that cannot be seen."""


def line(value: Any) -> str:
    """A value as one line of JSON, in which nothing steers a terminal.

    Raises:
        ValueError: for a number that JSON does not have.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return STEERING.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


class Envelope(Frozen):
    """Every answer; no key appears only on success."""

    ok: bool
    api: int = API_VERSION
    verb: str
    data: Any = None
    diagnostics: tuple[Diagnostic, ...] = ()
    next: tuple[str, ...] = ()
    """Suggested commands, at most three, filled in."""
    as_of: str | None = None
    """When the shown results were published (UTC)."""
    truncated: dict[str, Any] | None = None
    """What was left out: shown, total, and how to get the rest."""
    limits: dict[str, Any] | None = None
    """What may still be done without asking the operator; None where it does not matter."""

    def text(self) -> str:
        """One line of JSON; characters that steer a terminal or turn text around are escaped."""
        return line(self.model_dump(mode="json"))
