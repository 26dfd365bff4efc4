"""Asking a query of a process that can do no harm: started, watched and, where need be, killed here.

A child costs about a quarter of a second; one that is kept (`Sandbox` is a context) answers in milliseconds. What a
child writes is not trusted: neither to end, nor to be short.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import Any, NamedTuple, Self

from fewtune.store.question import Question

GRACE_SECONDS = 0.9
"""After its time a query has been interrupted; a process that has not answered by then is killed."""
SLACK = 1_000_000
"""Bytes that an answer may have beyond its rows."""
CHUNK = 1 << 16
_PROGRAM = (
    "import sys, json; sys.path[:] = json.loads(sys.stdin.readline()); "
    "from fewtune.store.sandbox_child import main; main()"
)


class Reply(NamedTuple):
    """What a child said: all of it is data."""

    columns: list[list[str]]
    rows: list[list[Any]]
    position: list[Any] | None
    """byte_offset, checksum, as_of and version of the copy; None: unknown."""
    cut: str | None
    error: dict[str, Any] | None


class Sandbox:
    """A process that answers queries one after the other; made when it is first needed, and anew after a kill.

    One thread at a time. Close it, or use it as a context.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The process that would answer the next query; None: one has to be started."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def ask(self, question: Question) -> Reply:
        """Ask one query; never takes a second longer than it may."""
        deadline = time.monotonic() + question.seconds + GRACE_SECONDS
        try:
            child = self._started()
            _send(child, _line(asdict(question)), deadline)
            reply = _received(_lines(child, deadline, question.bytes + SLACK))
        except (ValueError, KeyError):
            reply = None
        except BaseException:
            self.close()
            raise
        if reply is None:
            late = time.monotonic() >= deadline
            self.close()
            return _lost(question.seconds) if late else _died()
        return reply

    def close(self) -> None:
        """End the process and all that it may have started."""
        child, self._child = self._child, None
        if child is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self.close()
        kept = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if key in os.environ}
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env={**kept, "LC_ALL": "C.UTF-8", "TZ": "UTC"}, cwd="/", start_new_session=True,
            bufsize=0,
        )  # fmt: skip
        assert self._child.stdin is not None
        os.set_blocking(self._child.stdin.fileno(), False)
        _send(self._child, _line([path or os.getcwd() for path in sys.path]), time.monotonic() + GRACE_SECONDS)
        return self._child


def _line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode() + b"\n"


def _send(child: subprocess.Popen[bytes], content: bytes, deadline: float) -> None:
    """Write, as far as the child reads; what it does not read in time is given up, and so is the child."""
    assert child.stdin is not None
    pipe = child.stdin.fileno()
    with suppress(BrokenPipeError):
        while content and _ready(pipe, select.POLLOUT, deadline):
            content = content[os.write(pipe, content[:CHUNK]) :]


def _lines(child: subprocess.Popen[bytes], deadline: float, most: int) -> Iterator[bytes]:
    """The child's lines, until it ends, is late or says too much."""
    assert child.stdout is not None
    pipe, parts, size = child.stdout.fileno(), list[bytes](), 0
    while size <= most and _ready(pipe, select.POLLIN, deadline):
        chunk = os.read(pipe, CHUNK)
        if not chunk:
            return
        size += len(chunk)
        parts.append(chunk)
        if b"\n" in chunk:
            *whole, rest = b"".join(parts).split(b"\n")
            parts = [rest]
            yield from whole


def _ready(pipe: int, event: int, deadline: float) -> bool:
    """Wait for a pipe, no longer than the deadline."""
    poll = select.poll()
    poll.register(pipe, event)
    return bool(poll.poll(max(deadline - time.monotonic(), 0) * 1000))


def _received(lines: Iterator[bytes]) -> Reply | None:
    """Put the answer together; None: it has no end."""
    columns: list[list[str]] = []
    rows: list[list[Any]] = []
    position: list[Any] | None = None
    for line in lines:
        said = json.loads(line)
        if isinstance(said, list):
            rows.append(said)
        elif "columns" in said:
            columns = said["columns"]
        elif "position" in said:
            position = said["position"]
        elif "error" in said:
            return Reply(columns, rows, position, None, said)
        else:
            return Reply(columns, rows, position, said["cut"], None)
    return None


def _lost(seconds: float) -> Reply:
    error = {"error": "limit", "message": f"the query took longer than {seconds:g} s and was ended"}
    return Reply([], [], None, None, error | {"remedy": "narrow it down, or aggregate"})


def _died() -> Reply:
    """The limits of the process ended it."""
    error = {"error": "limit", "message": "the query needs more memory or time of the processor than it may have"}
    return Reply([], [], None, None, error | {"remedy": "narrow it down, or aggregate"})
