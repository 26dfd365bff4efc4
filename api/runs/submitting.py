"""submit, approve, cancel: a plan that runs without anybody waiting for it."""

import getpass
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from fewtune.api.absent import absent
from fewtune.api.runs.failing import RETRYABLE
from fewtune.api.runs.permission import admission
from fewtune.api.session import Planned, saved_bytes
from fewtune.compiler.admission import Admission
from fewtune.specs.diagnostic import Diagnostic, PlanError, RunError
from fewtune.specs.policy import Channel, Policy
from fewtune.store.submission import ENDED, Approval, Asked, End, State, Submission
from fewtune.store.submissions import Submissions, Submitted, began, handle_of, now
from fewtune.store.workspace import Workspace

STARTING_SECONDS = 15.0
"""How long a supervisor may take to say that it is there."""
GRACE_SECONDS = 20.0
"""Between asking a run to end and ending its processes."""
APPROVAL_DAYS = 7.0

Launch = Callable[[Submitted, Path], Sequence[str]]
"""The command that supervises a submission of a workspace."""


def supervisor_command(submitted: Submitted, workspace: Path) -> list[str]:
    """The usual one."""
    return [sys.executable, "-m", "fewtune.api.runs.supervisor", str(submitted.folder), str(workspace)]


@dataclass(frozen=True)
class Launched:
    """What came of handing in a plan."""

    handle: str
    plan_hash: str
    state: State
    changed: bool
    """Whether anything was begun by this call: the same plan is begun once."""
    admission: Admission | None
    """The policy's answer, where it was asked."""


def submit(
    planned: Planned,
    workspace: Path,
    policy: Policy,
    channel: Channel,
    *,
    asked: Asked | None = None,
    again: bool = False,
    client: str = "",
    launch: Launch = supervisor_command,
) -> Launched:
    """Hand in a plan. On return its handle is on the disk, and its supervisor is there or waits for the operator.

    Args:
        planned: the plan.
        workspace: where results are kept.
        policy: the operator's.
        channel: how the request came.
        asked: how it is to be executed.
        again: whether a plan that ended without success is begun once more.
        client: who asked, for the record.
        launch: the supervisor's command.

    Raises:
        PlanError: E-policy where the policy refuses it, E-facts-missing where a model is not on this machine.
        RunError: E-run where no supervisor could be started.
        StoreError: from the disk.
    """
    root = workspace.absolute()
    submissions = Submissions(Workspace(root))
    with submissions.admission():
        rounds = submissions.of(planned.plan.hash)
        latest = rounds[-1] if rounds else None
        if latest is not None and not (again and latest.state in ENDED and latest.state != "succeeded"):
            return _there(latest)
        missing = absent(planned)
        if missing is not None:
            raise PlanError(missing)
        found = admission(planned, workspace, policy, channel)
        if found.refused:
            raise PlanError(found.refused, exit_status=13)
        approved = submissions.approval(planned.plan.hash) is not None
        record = _record(planned, found, policy, len(rounds) + 1, asked or Asked(), client, approved=approved)
        submitted = submissions.add(record, _plan_file(planned, submissions.folder / record.handle))
        if record.needs_approval:
            return Launched(record.handle, record.plan_hash, "awaiting_approval", True, found)
        _launch(submitted, root, launch)
    _await(submitted)
    return Launched(record.handle, record.plan_hash, submitted.state, True, found)


def _there(latest: Submitted) -> Launched:
    return Launched(latest.record.handle, latest.record.plan_hash, latest.state, False, None)


def _record(
    planned: Planned, found: Admission, policy: Policy, round: int, asked: Asked, client: str, *, approved: bool
) -> Submission:
    each = policy.each
    return Submission(
        handle=handle_of(planned.plan.hash, round), plan_hash=planned.plan.hash,
        experiment=planned.plan.experiment_name, actor=_actor(client), at=now(), at_seconds=time.time(),
        reserve_hours=found.reserve_device_hours,
        ceiling_seconds=each.wall_time.seconds if each.wall_time and not found.over else None,
        ceiling_bytes=each.disk.bytes if each.disk and not found.over else None,
        needs_approval="" if approved else "; ".join(map(str, found.over)), how=asked, round=round,
    )  # fmt: skip


def _actor(client: str) -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}" + (f" through {client[:60]}" if client else "")


def _plan_file(planned: Planned, folder: Path) -> bytes:
    """The saved plan, with the spec's folder as seen from the submission's."""
    return saved_bytes(planned, os.path.relpath(planned.base.resolve(), folder.resolve()))


def _launch(submitted: Submitted, workspace: Path, launch: Launch) -> None:
    submitted.launching()
    with submitted.log.open("ab") as log:
        subprocess.Popen(
            list(launch(submitted, workspace)), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, cwd=submitted.folder,
        )  # fmt: skip


def _await(submitted: Submitted) -> None:
    """Wait until the supervisor has said that it is there.

    Raises:
        RunError: E-run where it did not come; the submission is over then.
    """
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline:
        if submitted.supervisor is not None or submitted.end is not None:
            return
        time.sleep(0.02)
    said = submitted.log.read_text(errors="replace").strip().splitlines()[-1:] if submitted.log.exists() else []
    fault = Diagnostic(code="E-run", message="no supervisor could be started", got=said[0][:200] if said else None)
    end = End(state="failed", at=now(), seconds=STARTING_SECONDS, device_hours=0.0, failure="dependency",
              diagnostics=(fault.model_dump(mode="json"),))  # fmt: skip
    if submitted.conclude(end):
        raise RunError(fault)


def approve(
    plan_hash: str, over: str, workspace: Path, by: str, *, launch: Launch = supervisor_command
) -> Submitted | None:
    """Record the operator's word on a plan, and start what waited for it. Never reachable through MCP.

    Args:
        plan_hash: the plan's.
        over: the ceilings that it may pass, in words.
        workspace: where it would run.
        by: who said so.
        launch: the supervisor's command.

    Returns:
        The submission that waited; None: there was none.
    """
    root = workspace.absolute()
    submissions = Submissions(Workspace(root))
    with submissions.admission():
        expires = time.time() + APPROVAL_DAYS * 86_400
        submissions.approve(Approval(plan_hash=plan_hash, by=by, at=now(), expires_seconds=expires, over=over))
        rounds = submissions.of(plan_hash)
        waiting = rounds[-1] if rounds and rounds[-1].supervisor is None and rounds[-1].end is None else None
        if waiting is not None:
            _launch(waiting, root, launch)
    if waiting is not None:
        _await(waiting)
    return waiting


@dataclass(frozen=True)
class Cancelled:
    """What came of asking for an end."""

    handle: str
    state: State
    changed: bool
    """Whether this call did anything."""


def cancel(submitted: Submitted, *, at_once: bool = False, dry_run: bool = False) -> Cancelled:
    """End a submission: its run stops at the next step, what is finished is kept.

    Args:
        submitted: what to end.
        at_once: end its processes at once instead.
        dry_run: only say what would be done.
    """
    state, handle = submitted.state, submitted.record.handle
    if state in ENDED:
        return Cancelled(handle, state, False)
    if dry_run:
        return Cancelled(handle, state, True)
    first = not submitted.cancelling
    submitted.ask_to_cancel()
    holder = submitted.supervisor
    if holder is None or not submitted.alive:
        _conclude(submitted)
        return Cancelled(handle, submitted.state, True)
    if first and not at_once:
        with suppress(ProcessLookupError):
            os.kill(holder.pid, signal.SIGTERM)
        _wait_for_end(submitted, 2.0)
        return Cancelled(handle, submitted.state, True)
    if at_once:
        _end_processes(submitted, holder.pid)
    return Cancelled(handle, submitted.state, at_once)


def _end_processes(submitted: Submitted, pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)
    _wait_for_end(submitted, GRACE_SECONDS / 4)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    while began(pid) is not None:
        time.sleep(0.02)
    _conclude(submitted)


def _conclude(submitted: Submitted) -> None:
    run = submitted.progress.run
    taken = time.time() - submitted.record.at_seconds if run else 0.0
    submitted.conclude(
        End(state="cancelled", at=now(), seconds=taken, device_hours=taken / 3600, run=run, failure="interrupted")
    )


def _wait_for_end(submitted: Submitted, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while submitted.end is None and submitted.alive and time.monotonic() < deadline:
        time.sleep(0.02)


def retryable(end: End) -> bool:
    """Whether the same plan may succeed when it is submitted once more."""
    return end.failure is not None and RETRYABLE[end.failure]
