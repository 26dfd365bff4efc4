"""One writer for each workspace: a lock of the operating system and a number that grows with each holder.

The kernel frees the lock when its holder dies, so nothing is ever broken open. The number (fence) goes into every
event; a process whose lock file was taken away from under it sees a higher number and stops. Who holds the lock
stands in a file for people and messages; nothing depends on it.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field

from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store import durable

Purpose = Literal["apply", "refresh"]

GRACE_SECONDS = {"apply": 0.0, "refresh": 5.0, "unknown": 0.5}
"""How long an apply waits at least, by the holder's purpose: one who only refreshes the database, or who has the lock
but has not yet said who it is, is soon done."""
POLL_SECONDS = 0.05
HIGHEST = 2**53
"""A fencing number beyond it is no number of ours; JSON and the database can hold all below."""


class Holder(BaseModel):
    """Who writes to a workspace."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: Annotated[int, Field(ge=1, le=2**31)]
    host: str
    since: str
    purpose: Purpose
    fence: int
    run: str | None = None

    @property
    def alive(self) -> bool:
        """Whether the process is there, as far as one can tell from this machine."""
        if self.host != socket.gethostname():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            return True
        return True

    def __str__(self) -> str:
        work = f"run {self.run}" if self.run else self.purpose
        return f"process {self.pid} on {self.host} ({work}, since {self.since})"


def holder(folder: Path) -> Holder | None:
    """Who holds the lease, as its file says; None where nobody does or the file cannot be understood."""
    try:
        found = Holder.model_validate_json((folder / "holder.json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if found.alive else None


class Lease:
    """The right to write to a workspace, while it is held.

    Attributes:
        abrupt: the holder before did not give the lease back, or nobody knows: it may still be there, stopped.
    """

    def __init__(self, folder: Path, lock: FileLock, purpose: Purpose) -> None:
        """Take the next number, under the lock."""
        self._folder, self._lock, self._purpose = folder, lock, purpose
        self._since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        found = _number(folder)
        self.abrupt = found is None or (folder / "holder.json").exists()
        self._number = found or 0
        self.advance(self._number)

    @property
    def number(self) -> int:
        """The fencing number of this lease."""
        return self._number

    def advance(self, beyond: int) -> None:
        """Make the number higher than `beyond`: than every lease before this one."""
        if self._number <= beyond:
            self._number = beyond + 1
            durable.write_file(self._folder / "fence", str(self._number).encode())
            self.sign(None)

    def sign(self, run: str | None) -> None:
        """Say who holds the lease, and for which run."""
        me = Holder(
            pid=os.getpid(),
            host=socket.gethostname(),
            since=self._since,
            purpose=self._purpose,
            fence=self._number,
            run=run,
        )
        durable.write_file(self._folder / "holder.json", me.model_dump_json().encode())

    def check(self) -> None:
        """Raise StoreError E-busy unless the lease is still held."""
        number = _number(self._folder)
        if not self._lock.is_locked or number != self._number:
            raise StoreError(
                Diagnostic(
                    code="E-busy",
                    message=f"this process lost the workspace {self._folder.parent} to another one",
                    expected=f"lease {self._number}",
                    got=f"lease {number}",
                    remedy="nothing is lost: what was recorded is kept; run the same command again",
                )
            )

    def release(self) -> None:
        """Give the lease back."""
        if self._lock.is_locked:
            with suppress(StoreError):
                if _number(self._folder) == self._number:
                    durable.remove(self._folder / "holder.json")
            self._lock.release()


@contextmanager
def acquire(folder: Path, *, wait_seconds: float = 0, purpose: Purpose = "apply") -> Iterator[Lease]:
    """Hold the lease of the workspace whose lease folder this is.

    Args:
        folder: made where there is none.
        wait_seconds: how long to wait for another holder.
        purpose: refresh: only the database is brought up to date, which nobody needs to be told of.

    Raises:
        StoreError: E-busy, naming the holder; E-store-full or E-store-unwritable from the disk.
    """
    durable.make_folder(folder)
    lock = _locked(folder, wait_seconds, purpose)
    try:
        lease = Lease(folder, lock, purpose)
    except BaseException:
        lock.release()
        raise
    try:
        yield lease
    finally:
        lease.release()


def _locked(folder: Path, wait_seconds: float, purpose: Purpose) -> FileLock:
    lock = FileLock(folder / "lock", thread_local=False)
    began = time.monotonic()
    while True:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            who = holder(folder)
            grace = GRACE_SECONDS[who.purpose if who else "unknown"] if purpose == "apply" else 0.0
            if time.monotonic() - began >= max(wait_seconds, grace):
                raise _busy(folder, who) from None
            time.sleep(POLL_SECONDS)
        except OSError as error:
            raise durable.store_error("lock", folder / "lock", error) from error
        else:
            return lock


def _number(folder: Path) -> int | None:
    try:
        number = int((folder / "fence").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return number if 0 < number < HIGHEST else None


def _busy(folder: Path, who: Holder | None) -> StoreError:
    return StoreError(
        Diagnostic(
            code="E-busy",
            message=f"the workspace {folder.parent} is written to by {who or 'another process'}",
            remedy="wait for it (--wait), or use another workspace (--workspace)",
        )
    )
