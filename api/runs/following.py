"""status and events: where a run stands, in few words, and what happened since one last looked."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fewtune.api.runs.submitting import retryable
from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.specs.frozen import Frozen
from fewtune.store.event import AttemptEnded, AttemptStarted, Evaluated, Fitted, RunEnded, RunStarted, Selected
from fewtune.store.history import Run
from fewtune.store.journal import continues, read
from fewtune.store.reader import Reader
from fewtune.store.record import START, Position, Record
from fewtune.store.submission import ENDED, FailureClass, State
from fewtune.store.submissions import Submissions, Submitted
from fewtune.store.workspace import Workspace

QUIET_SECONDS = 120.0
"""Without a sign of life for so long a run is said to be quiet."""
MOST_EVENTS = 50
CURSOR = re.compile(r"(\d{1,15})\.(\d{1,15})\.([0-9a-f]{16})\.(\d{1,16})")
MOST_BYTES = 600
"""Of a status as JSON."""
WORDS = 160
"""Characters of a text in a status."""


class Status(Frozen):
    """Where a run stands; at most 600 bytes of JSON."""

    handle: str
    run: str | None = None
    state: State
    why_waiting: str | None = None
    """What it waits for, where it does not go on by itself at once."""
    done: int | None = None
    jobs: int | None = None
    now: str | None = None
    left_seconds: int | None = None
    last_progress_at: str | None = None
    next_poll_s: int
    """When to look again; 0: never, it is over."""
    failure: FailureClass | None = None
    retryable: bool | None = None
    hint: str


class Happened(Frozen):
    """One event of a run."""

    seq: int
    at: str
    kind: str
    what: dict[str, Any]


class Page(Frozen):
    """Events after a cursor, in their order, without gaps."""

    events: tuple[Happened, ...]
    cursor: str
    """Where the next page begins."""
    done: bool
    """Whether nothing will follow."""


def find(workspace: Path, handle: str) -> Submitted | Run:
    """The submission or the run of this name.

    Raises:
        StoreError: E-not-found.
    """
    submitted = Submissions(Workspace(workspace.absolute())).get(handle)
    return submitted if submitted is not None else Reader(workspace).run(handle)


def latest(workspace: Path) -> str:
    """The submission that goes on, the newest of several; else the run that began last.

    Raises:
        StoreError: E-nothing-to-show.
    """
    known = Submissions(Workspace(workspace.absolute())).all()
    live = [one.record.handle for one in known if one.state not in ENDED]
    begun = [run.id for run in Reader(workspace).runs()]
    over = [one.record.handle for one in known]
    for names in (live, begun, over):
        if names:
            return names[-1]
    message, remedy = f"nothing was run in {workspace} yet", "run `fewtune apply SPEC --detach`"
    raise StoreError(Diagnostic(code="E-nothing-to-show", message=message, remedy=remedy), exit_status=7)


def status(workspace: Path, handle: str) -> Status:
    """Where a submission or a run stands.

    Raises:
        StoreError: E-not-found.
    """
    found = find(workspace, handle)
    return _of_submission(found, workspace) if isinstance(found, Submitted) else _of_run(found, workspace)


def recent(workspace: Path, limit: int = 10) -> list[Status]:
    """All submissions that are not over, and the latest that are; the newest last."""
    known = Submissions(Workspace(workspace.absolute())).all()
    states = {one.record.handle: one.state for one in known}
    live = [one for one in known if states[one.record.handle] not in ENDED]
    over = [one for one in known if states[one.record.handle] in ENDED][-limit:]
    return [_of_submission(one, workspace) for one in (*over, *live)]


def _of_submission(one: Submitted, workspace: Path) -> Status:
    state, end, progress = one.state, one.end, one.progress
    over = state in ENDED
    found = Status(
        handle=one.record.handle, run=(end.run if end else None) or progress.run, state=state,
        why_waiting=None if over else _cut(_why(one, state, workspace)) or None,
        done=progress.done if progress.run else None,
        jobs=(progress.done if state == "succeeded" else progress.jobs) if progress.run else None,
        now=None if over or not progress.now else _cut(progress.now, 80),
        left_seconds=None if over or progress.left_seconds is None else round(progress.left_seconds),
        last_progress_at=progress.at or None, next_poll_s=_next_poll(one, state),
        failure=end.failure if end else "worker_lost" if state == "lost" else None,
        retryable=(retryable(end) if end and end.failure else True if state == "lost" else None),
        hint=_cut(_hint(one, state)),
    )  # fmt: skip
    return _fitted(found)


def _fitted(found: Status) -> Status:
    """The same with its texts cut until it has its size."""
    excess = len(found.model_dump_json().encode()) - MOST_BYTES
    for name in ("why_waiting", "now", "hint"):
        text = getattr(found, name)
        if excess > 0 and text:
            cut = _cut(text, max(20, len(text.encode()) - excess - 3))
            found = found.model_copy(update={name: cut})
            excess = len(found.model_dump_json().encode()) - MOST_BYTES
    return found


def _why(one: Submitted, state: State, workspace: Path) -> str | None:
    if one.cancelling:
        return "it was asked to end and stops at the next step"
    if state == "awaiting_approval":
        return f"the operator's word: {one.record.needs_approval}"
    if state == "starting":
        return "its supervisor starts"
    if state == "queued":
        holder = Reader(workspace).holder()
        return f"the workspace is written to by {holder}" if holder else "it is about to begin"
    quiet = time.time() - one.progress.at_seconds
    if state == "running" and quiet > QUIET_SECONDS:
        return f"no sign of life for {quiet:.0f} s: a long job, or a worker that hangs"
    return None


def _next_poll(one: Submitted, state: State) -> int:
    if state in ENDED:
        return 0
    if state == "awaiting_approval":
        return 60
    left = one.progress.left_seconds
    return min(60, max(2, round(left / 10))) if left is not None and state == "running" else 2


def _hint(one: Submitted, state: State) -> str:
    end = one.end
    if state == "awaiting_approval":
        return f"the operator runs `fewtune approve {one.record.handle}`; or plan for less"
    if state == "lost":
        return "its process died: submit again with --again (MCP: again); what is finished is kept"
    if state == "cancelled":
        return "what is finished is kept; --again (MCP: again) goes on"
    if end is not None and end.diagnostics:
        first = end.diagnostics[0]
        return f"{first.get('code')}: {first.get('message')}"
    if state in ("succeeded", "partial"):
        return "results: the verdict and the leaderboard"
    return "look again after next_poll_s"


def _of_run(run: Run, workspace: Path) -> Status:
    """A run that was applied by somebody who waits for it."""
    reader = Reader(workspace)
    holder = reader.holder()
    live = run.ended is None and holder is not None and holder.run == run.id
    state: State = run.ended.state if run.ended else "running" if live else "lost"
    return Status(
        handle=run.id, run=run.id, state=state, next_poll_s=5 if live else 0, last_progress_at=reader.history().last_at,
        hint=_cut(run.ended.message if run.ended and run.ended.message else "applied in the foreground"),
    )  # fmt: skip


def _cut(text: str | None, most: int = WORDS) -> str:
    """A text that is safe to show: short, without characters that steer a terminal."""
    shown = "".join(char if char.isprintable() else " " for char in text or "")
    return shown if len(shown.encode()) <= most else shown.encode()[: most - 3].decode(errors="ignore") + "..."


def events(workspace: Path, handle: str, cursor: str | None = None, *, content: bool = False) -> Page:
    """What happened in a run after a cursor.

    Args:
        workspace: where it runs.
        handle: of the submission or the run.
        cursor: of an earlier page; None: from the beginning.
        content: whether messages of failed jobs are shown: text that may come from anywhere.

    Raises:
        StoreError: E-not-found for an unknown handle or a cursor that is none.
    """
    found = find(workspace, handle)
    over = found.state in ENDED if isinstance(found, Submitted) else found.ended is not None
    run = ((found.end and found.end.run) or found.progress.run) if isinstance(found, Submitted) else found.id
    journal = Workspace(workspace.absolute()).journal
    position = _position(cursor)
    if not continues(journal, position):
        raise _no_cursor(cursor or "")
    if run is None or not journal.exists():
        return Page(events=(), cursor=_cursor(position), done=over)
    shown: list[Happened] = []
    end = position
    for record, after in _records(journal, position):
        if len(shown) == MOST_EVENTS:
            return Page(events=tuple(shown), cursor=_cursor(end), done=False)
        end = after
        told = _told(record, run, content)
        if told is not None:
            shown.append(Happened(seq=record.seq, at=record.ts, kind=record.kind, what=told))
    return Page(events=tuple(shown), cursor=_cursor(end), done=over)


def _no_cursor(text: str) -> StoreError:
    message = f"{_cut(text, 60)!r} is no cursor of this workspace"
    remedy = "give the cursor of the last page, or none"
    return StoreError(Diagnostic(code="E-not-found", message=message, remedy=remedy), exit_status=7)


def _records(journal: Path, position: Position) -> Iterator[tuple[Record, Position]]:
    """Each record after a place, with the place after it."""
    found = read(journal, position)
    yield from zip(found.records, found.ends, strict=True)


def _told(record: Record, run: str, content: bool) -> dict[str, Any] | None:
    """What is said of an event; None where it is not about this run."""
    event: BaseModel | None = record.event
    match event:
        case RunStarted() if event.run == run:
            return {"run": event.run, "plan_hash": event.plan_hash, "workers": event.workers, "engine": event.engine}
        case RunEnded() if event.run == run:
            return {"state": event.state, "seconds": event.seconds}
        case Selected() if event.run == run:
            return {"arm": event.arm, "gate": event.gate, "kept": list(event.kept)}
        case AttemptStarted() if event.run == run:
            return {"attempt": event.attempt, "job": event.job, "arm": event.arm}
        case AttemptEnded() if _of(event.attempt, run):
            said = {"message": _cut(event.message, 200)} if content and event.message else {}
            return {"attempt": event.attempt, "state": event.state, "failure": event.failure, **said}
        case Fitted() if _of(event.attempt, run):
            loss = next((value for _, value in reversed(event.losses) if value is not None), None)
            return {"attempt": event.attempt, "steps": event.steps, "loss": loss, "diverged": event.diverged}
        case Evaluated() if _of(event.attempt, run):
            return {
                "attempt": event.attempt,
                "split": event.split,
                "metrics": event.metrics.model_dump(exclude_none=True),
            }
        case _:
            return None


def _of(attempt: str, run: str) -> bool:
    return attempt.rpartition("-")[0] == run


def _cursor(position: Position) -> str:
    return f"{position.offset}.{position.seq}.{position.checksum}.{position.fence}"


def _position(cursor: str | None) -> Position:
    if cursor is None:
        return START
    match = CURSOR.fullmatch(cursor)
    if match is None:
        raise _no_cursor(cursor)
    return Position(int(match[1]), int(match[2]), match[3], int(match[4]))
