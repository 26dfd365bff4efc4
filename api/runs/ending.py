"""How a run ended, in at most 2 kB: what was asked, what came out, what it cost, what would avoid a failure."""

from pathlib import Path
from typing import Any

from fewtune.api.runs.failing import RETRYABLE, class_of_attempts, suggestions
from fewtune.api.runs.following import find
from fewtune.api.saved import plan_file
from fewtune.api.session import Planned
from fewtune.specs.diagnostic import FewtuneError
from fewtune.store.reader import Reader
from fewtune.store.submissions import Submitted

MOST_DIAGNOSTICS = 2
WORDS = 900
"""Characters of the verdict."""


def ending(workspace: Path, handle: str) -> dict[str, Any] | None:
    """The end of a submission; None while it goes on, and for runs that were applied in the foreground.

    Raises:
        StoreError: E-not-found.
    """
    found = find(workspace, handle)
    end = found.end if isinstance(found, Submitted) else None
    if not isinstance(found, Submitted) or end is None:
        return None
    planned = _planned(found, workspace)
    failed = _failed(planned, workspace) if planned else {}
    failure = end.failure if end.failure != "error" else class_of_attempts(list(failed.values())) or "error"
    fixes = suggestions(failure, planned, list(failed), workspace) if failure and planned else ()
    return {
        "experiment": found.record.experiment, "plan_hash": found.record.plan_hash, "run": end.run,
        "state": end.state, "started": end.started, "verdict": end.verdict[:WORDS],
        "seconds": round(end.seconds, 1), "predicted_seconds": end.cost.get("predicted_seconds"),
        "device_hours": round(end.device_hours, 4), "failure": failure,
        "retryable": None if failure is None else RETRYABLE[failure],
        "diagnostics": [{key: one.get(key) for key in ("code", "message", "remedy")}
                        for one in end.diagnostics[:MOST_DIAGNOSTICS]],
        "fixes": [fix.model_dump(mode="json") for fix in fixes],
    }  # fmt: skip


def _planned(found: Submitted, workspace: Path) -> Planned | None:
    """The plan that was run; None where the data or the rules are others now."""
    try:
        return plan_file(found.plan, workspace, found.folder)
    except FewtuneError:
        return None


def _failed(planned: Planned, workspace: Path) -> dict[str, str | None]:
    """Arm -> why its last job failed, where one did and none followed."""
    failed = Reader(workspace).history().failed
    stages = (stage for stage in planned.plan.stages if stage.arm and stage.fingerprint in failed)
    return {stage.arm or "": failed[stage.fingerprint].failure for stage in stages}
