"""rules: the evidence that decisions weigh, as rows and as pages."""

import difflib
import re
from typing import Any

from fewtune.api.shows.console import console, table
from fewtune.compiler.evidence import EVIDENCE, ROWS, Evidence
from fewtune.specs.diagnostic import Diagnostic, RunError

STATES = ("active", "waiting")


def rule_rows(about: str | None, strength: str | None, state: str | None) -> list[Evidence]:
    """The rows that pass every filter that is given.

    Args:
        about: what is decided (lora_rank), a method or a part of its name (lora), or a word of the row's text.
        strength: the row's.
        state: one of `STATES`.

    Raises:
        RunError: E-not-found, where no row is about it.
    """
    found = [row for row in ROWS if about is None or _is_about(row, about)]
    if about is not None and not found:
        known = sorted({name for row in ROWS for name in row.decides})
        close = difflib.get_close_matches(about, known, 1)
        remedy = f"did you mean {close[0]!r}?" if close else f"decisions are {', '.join(known)}"
        message = f"no rule is about {about!r}"
        raise RunError(Diagnostic(code="E-not-found", message=message, remedy=remedy), exit_status=7)
    found = [row for row in found if strength is None or row.strength == strength]
    return [row for row in found if state is None or row.active is (state == "active")]


def _is_about(row: Evidence, about: str) -> bool:
    texts = (row.condition, row.effect, row.source, row.waits_for or "")
    return about in row.decides or any(about.casefold() in text.casefold() for text in texts)


def rule_data(row: Evidence) -> dict[str, Any]:
    """A row as data; its tests as they are written."""
    fields = row.model_dump(mode="json", exclude={"when"})
    return fields | {"when": [str(test) for test in row.when], "active": row.active}


def show_rules(rows: list[Evidence]) -> None:
    """Print them, one line each where that is enough."""
    out = console()
    cells = [
        (row.id, row.strength, ", ".join(row.decides) or f"waits for {row.waits_for}", f"{row.condition}: {row.effect}")
        for row in rows
    ]
    table(out, ("rule", "strength", "decides", "says"), cells)
    active = sum(row.active for row in rows)
    out.print(f"{len(rows)} rules, {active} of them weighed by decisions; `fewtune describe rule R-035` shows one")


def _near(id: str) -> str | None:
    """The rule that a number stands for, however it is written."""
    numbered = re.fullmatch(r"([RM]?)\W*0*(\d{1,3})", id.strip().upper())
    name = f"{numbered[1] or 'R'}-{int(numbered[2]):03}" if numbered else None
    return name if name in EVIDENCE else None


def rule_page(id: str) -> dict[str, Any]:
    """One row with its evidence and what speaks against it.

    Raises:
        RunError: E-not-found.
    """
    row = EVIDENCE.get(id.upper())
    if row is None:
        finding = Diagnostic(
            code="E-not-found",
            message=f"there is no rule {id!r}",
            nearest=_near(id),
            remedy="`fewtune rules` lists them",
        )
        raise RunError(finding, exit_status=7)
    lines = [
        f"{row.id} ({row.strength})",
        f"when        {row.condition}",
        f"then        {row.effect}",
        f"source      {row.source}",
    ]
    if row.active:
        tests = "; ".join(map(str, row.when)) or "always, wherever it is asked"
        lines += [f"decides     {', '.join(row.decides)}", f"fires when  {tests}"]
    else:
        lines.append(f"waits for   {row.waits_for}")
    against = [EVIDENCE[other] for other in row.conflicts]
    lines += [f"against it  {other.id} ({other.strength}): {other.condition}: {other.effect}" for other in against]
    return {"topic": "rule", "title": row.id, "text": "\n".join(lines), "rule": rule_data(row)}
