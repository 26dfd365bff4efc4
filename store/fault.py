"""Named points at which a test may stop, starve or kill the process.

Every operation on the disk that must survive a crash passes through `durable.perform`, which asks here first. The
environment variable FEWTUNE_FAULT arms one fault; without it the cost is one comparison for each operation.

    record:PATH        append "ordinal verb place" of each operation to PATH
    die-before:K       SIGKILL to the own process before the K-th operation (from 1)
    die-within:K       the same in the middle of it: of a write only the first half reaches the file
    die-after:K        the same after it
    stop-before:K      SIGSTOP to the own process before the K-th operation: it goes on when somebody continues it
    raise-enospc:K     the K-th operation fails as on a full disk, a write after its first half
"""

import errno
import os
import signal
from collections.abc import Callable
from typing import NamedTuple, NoReturn

VARIABLE = "FEWTUNE_FAULT"


class _Armed(NamedTuple):
    action: str
    target: str


_armed: _Armed | None = None
_count = 0


def arm(fault: str | None) -> None:
    """Arm the fault (None: disarm) and count operations from 1 again."""
    global _armed, _count
    action, _, target = (fault or "").partition(":")
    _armed, _count = (_Armed(action, target) if action else None), 0


def strike(verb: str, place: str, operation: Callable[[], object], half: Callable[[], object] | None) -> None:
    """Do the operation with what is armed; `half` does the first half of it, where it can be torn."""
    global _count
    if _armed is None:
        operation()
        return
    _count += 1
    if _armed.action == "record":
        _note(f"{_count} {verb} {place}\n")
    elif _armed.target == str(_count):
        _hit(_armed.action, place, operation, half or (lambda: None))
        return
    operation()


def _hit(action: str, place: str, operation: Callable[[], object], half: Callable[[], object]) -> None:
    match action:
        case "die-before":
            _die()
        case "die-within":
            half()
            _die()
        case "die-after":
            operation()
            _die()
        case "stop-before":
            os.kill(os.getpid(), signal.SIGSTOP)
            operation()
        case "raise-enospc":
            half()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), place)
        case _:
            raise ValueError(f"{VARIABLE}: no fault is called {action!r}")


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit  # for the type checker: SIGKILL does not return


def _note(line: str) -> None:
    assert _armed is not None
    handle = os.open(_armed.target, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


arm(os.environ.get(VARIABLE))
