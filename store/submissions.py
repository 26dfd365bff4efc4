"""The folder of submissions: made once each, listed, reserved against, ended once."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from fewtune.compiler.admission import Spent
from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store import durable
from fewtune.store.submission import ENDED, Approval, End, Progress, State, Submission, Supervisor
from fewtune.store.workspace import Workspace

Value = TypeVar("Value", bound=BaseModel)
HANDLE_DIGITS = 12
LOCK_SECONDS = 20.0


def now() -> str:
    """The time, UTC, in seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def handle_of(plan_hash: str, round: int) -> str:
    """The handle of a plan's submission, from its content alone."""
    return f"s-{plan_hash[:HANDLE_DIGITS]}" + (f"-{round}" if round > 1 else "")


class Submitted:
    """One submission, by its folder. No question writes."""

    def __init__(self, folder: Path) -> None:
        """Name the folder."""
        self.folder = folder
        self.record: Submission = self._need("submission", Submission)

    @property
    def plan(self) -> Path:
        """The saved plan."""
        return self.folder / "plan.json"

    @property
    def log(self) -> Path:
        """What the supervisor and its libraries said."""
        return self.folder / "supervisor.log"

    @property
    def approval(self) -> Approval | None:
        """The operator's word, while it holds."""
        return _approval(self.folder.parent, self.record.plan_hash)

    @property
    def supervisor(self) -> Supervisor | None:
        """The process that runs it, whether or not it is alive."""
        return self._read("supervisor", Supervisor)

    @property
    def progress(self) -> Progress:
        """How far it has come."""
        return self._read("progress", Progress) or Progress()

    @property
    def end(self) -> End | None:
        """How it ended; None: not yet, or its supervisor died without a word."""
        return self._read("end", End)

    @property
    def cancelling(self) -> bool:
        """Whether somebody asked for its end."""
        return (self.folder / "cancel").exists()

    @property
    def alive(self) -> bool:
        """Whether the supervisor is there, as far as one can tell from this machine."""
        holder = self.supervisor
        if holder is None:
            return False
        return holder.host != socket.gethostname() or began(holder.pid) == holder.began

    @property
    def state(self) -> State:
        """Where it stands; computed, never stored."""
        end = self.end
        if end is not None:
            return end.state
        if self.record.needs_approval and self.approval is None and self.supervisor is None:
            return "awaiting_approval"
        if self.supervisor is None:
            young = time.time() - self._launched() < LOCK_SECONDS
            return "starting" if young else "lost"
        if not self.alive:
            return "lost"
        progress = self.progress
        if progress.run is None:
            return "queued"
        return "finishing" if progress.jobs and progress.done >= progress.jobs else "running"

    def _launched(self) -> float:
        """When its supervisor was started, in seconds since the epoch."""
        with suppress(OSError):
            return (self.folder / "launched").stat().st_mtime
        return 0.0

    def write(self, name: str, value: BaseModel) -> None:
        """Write one of its files, whole."""
        durable.write_file(self.folder / f"{name}.json", value.model_dump_json().encode())

    def conclude(self, end: End) -> bool:
        """Say how it ended, unless that was said; returns whether this was it."""
        return durable.write_once(self.folder / "end.json", end.model_dump_json().encode())

    def ask_to_cancel(self) -> None:
        """Leave word that it is to end."""
        durable.write_file(self.folder / "cancel", now().encode())

    def launching(self) -> None:
        """Leave word that its supervisor is being started."""
        durable.write_file(self.folder / "launched", now().encode())

    def _read(self, name: str, kind: type[Value]) -> Value | None:
        return _value(self.folder / f"{name}.json", kind)

    def _need(self, name: str, kind: type[Value]) -> Value:
        found = self._read(name, kind)
        if found is None:
            message = f"the submission {self.folder.name} cannot be read"
            raise StoreError(Diagnostic(code="E-artefact", message=message, remedy="submit the plan again"))
        return found


class Submissions:
    """All submissions of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        """Name the workspace; it need not exist yet."""
        self.folder = workspace.submissions

    def all(self) -> list[Submitted]:
        """Every submission, the oldest first."""
        if not self.folder.is_dir():
            return []
        found = []
        for folder in self.folder.iterdir():
            with suppress(StoreError):
                if folder.name.startswith("s-"):
                    found.append(Submitted(folder))
        return sorted(found, key=lambda one: (one.record.at_seconds, one.record.handle))

    def get(self, handle: str) -> Submitted | None:
        """The submission of this handle, or that became this run; None: there is none."""
        if handle.startswith("s-") and "/" not in handle and (self.folder / handle).is_dir():
            return Submitted(self.folder / handle)
        return next((one for one in self.all() if handle in (one.progress.run, one.end and one.end.run)), None)

    def of(self, plan_hash: str) -> list[Submitted]:
        """The rounds of a plan, the first first."""
        rounds: list[Submitted] = []
        while True:
            folder = self.folder / handle_of(plan_hash, len(rounds) + 1)
            if not folder.is_dir():
                return rounds
            rounds.append(Submitted(folder))

    @contextmanager
    def admission(self) -> Iterator[None]:
        """Hold the right to reserve: what is reserved cannot be counted twice.

        Raises:
            StoreError: E-busy where others admit for longer than is plausible.
        """
        from filelock import Timeout

        durable.make_folder(self.folder)
        try:
            with FileLock(self.folder / "lock", timeout=LOCK_SECONDS):
                yield
        except Timeout as error:
            message = "other plans are being submitted here"
            raise StoreError(Diagnostic(code="E-busy", message=message, remedy="try again in a moment")) from error

    def spent(self, window_seconds: float) -> Spent:
        """What the submissions of the last so many seconds took, or reserve still."""
        since = time.time() - window_seconds
        counted = [one for one in self.all() if one.record.at_seconds >= since or one.state not in ENDED]
        counted = [one for one in counted if one.state != "awaiting_approval"]
        return Spent(device_hours=sum(map(_hours, counted)), submissions=len(counted))

    def add(self, record: Submission, plan: bytes) -> Submitted:
        """Record a submission with its plan. Called under `admission`; on return it is on the disk."""
        folder, unfinished = self.folder / record.handle, self.folder / f"new-{record.handle}"
        durable.make_folder(unfinished)  # one of a process that died is filled again
        durable.write_file(unfinished / "plan.json", plan)
        durable.write_file(unfinished / "submission.json", record.model_dump_json().encode())
        durable.rename_folder(unfinished, folder)
        return Submitted(folder)

    def approve(self, approval: Approval) -> None:
        """Record the operator's word."""
        durable.make_folder(self.folder)
        durable.write_file(_word(self.folder, approval.plan_hash), approval.model_dump_json().encode())

    def approval(self, plan_hash: str) -> Approval | None:
        """The operator's word on a plan, while it holds."""
        return _approval(self.folder, plan_hash)


def _value(path: Path, kind: type[Value]) -> Value | None:
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _word(folder: Path, plan_hash: str) -> Path:
    return folder / f"approved-{plan_hash[:HANDLE_DIGITS]}.json"


def _approval(folder: Path, plan_hash: str) -> Approval | None:
    found = _value(_word(folder, plan_hash), Approval)
    holds = found is not None and found.plan_hash == plan_hash and found.expires_seconds > time.time()
    return found if holds else None


def _hours(one: Submitted) -> float:
    """What it took where that is known, else what it reserves."""
    end = one.end
    if end is not None:
        return end.device_hours
    return one.record.reserve_hours


def began(pid: int) -> float | None:
    """When a process began, in the system's ticks; None: there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return None if fields[0] == "Z" else float(fields[19])
    except (OSError, IndexError, ValueError):
        pass
    if Path("/proc/self").exists():
        return None
    try:  # no /proc: only whether the process is there
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return 0.0
    return 0.0
