"""approve: the operator's word for one plan, at a terminal."""

import getpass
import re
import sys
from pathlib import Path
from typing import Any

from fewtune.api.runs.following import find
from fewtune.api.runs.permission import admission, operators_policy
from fewtune.api.runs.submitting import APPROVAL_DAYS, approve
from fewtune.api.saved import plan_any, plan_file
from fewtune.api.session import Planned
from fewtune.api.shows.console import clock, console, safe, size
from fewtune.compiler.admission import Admission
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.store.submission import ENDED
from fewtune.store.submissions import Submissions, Submitted
from fewtune.store.workspace import Workspace

HANDLE = re.compile(r"s-[0-9a-f]+(-\d+)?|r\d{4,}")
"""Handles of submissions, and names of runs."""
TYPED = 6
"""Characters of the plan's hash that the operator types at least."""


def approved(what: str, workspace: Path) -> dict[str, Any]:
    """Show what a plan asks for, take the operator's word, and start what waited for it.

    Args:
        what: a spec, a saved plan, or the handle of a submission.
        workspace: where it would run.

    Raises:
        RunError: E-approval without a terminal or where the word is not given; E-policy for what no word allows.
        FewtuneError: the plan's faults; E-not-found for an unknown handle.
    """
    waiting = _submitted(what, workspace)
    if waiting is not None and waiting.state in ENDED:
        handle = waiting.record.handle
        text = f"{handle} is over ({waiting.state}): it needs no word"
        return {"plan_hash": waiting.record.plan_hash, "approved": False, "handle": handle, "text": text}
    planned = plan_file(waiting.plan, workspace, waiting.folder) if waiting else plan_any(Path(what), workspace)
    found = admission(planned, workspace, operators_policy(), "terminal")
    if found.refused:
        raise RunError(found.refused, exit_status=13)
    over = "; ".join(map(str, found.over)) or (waiting.record.needs_approval if waiting else "")
    if not over:
        text = "the plan is below every ceiling: it needs no word"
        return {"plan_hash": planned.plan.hash, "approved": False, "handle": None, "text": text}
    _ask(planned, found)
    started = approve(planned.plan.hash, over, workspace, getpass.getuser())
    begun = started.record.handle if started else None
    text = f"approved for {APPROVAL_DAYS:g} days" + (f"; {begun} begins" if begun else "; apply it now")
    return {"plan_hash": planned.plan.hash, "approved": True, "handle": begun, "text": text}


def _submitted(what: str, workspace: Path) -> Submitted | None:
    """The submission of a handle or of a run's name; None: it names a file.

    Raises:
        StoreError: E-not-found.
    """
    if HANDLE.fullmatch(what) is None or Path(what).exists():
        return Submissions(Workspace(workspace.absolute())).get(what)
    found = find(workspace, what)
    return found if isinstance(found, Submitted) else None


def _ask(planned: Planned, found: Admission) -> None:
    """Have the operator type the beginning of the plan's hash; only a terminal counts."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        message = "approve asks the operator at a terminal, and there is none"
        raise RunError(Diagnostic(code="E-approval", message=message, remedy="run it in a terminal"), exit_status=5)
    out, estimate = console(talk=True), planned.compiled.estimate
    out.print(safe(f"{planned.plan.experiment_name}: {len(planned.plan.trials)} trials on {planned.plan.facts.device}"))
    out.print(
        f"{clock(estimate.seconds.low)} to {clock(estimate.seconds.high)}, up to {size(estimate.disk_bytes.high)}"
    )
    for excess in found.over:
        out.print(f"above {excess}")
    whole = planned.plan.hash
    out.print(f"type {whole[:TYPED]} to allow this plan, anything else to leave it:")
    typed = sys.stdin.readline().strip()
    if len(typed) < TYPED or not whole.startswith(typed):
        raise RunError(Diagnostic(code="E-approval", message="the word was not given"), exit_status=5)
