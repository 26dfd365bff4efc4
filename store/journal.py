"""The truth: an append-only file of what happened, one JSON object a line.

The writer exists under the lease only. It cuts away what a crash left unfinished at the end (and keeps the cut bytes
beside the journal); a bad record anywhere else is damage, reported with its place and never skipped.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store import durable
from fewtune.store.event import Event
from fewtune.store.lease import Lease
from fewtune.store.record import (
    START,
    BadRecordError,
    Position,
    Record,
    TooNewError,
    could_be_torn,
    decode,
    encode,
)


def now() -> str:
    """The time in UTC, as the journal writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Page(NamedTuple):
    """What was read: the records, and where the next one will begin."""

    records: tuple[Record, ...]
    end: Position
    tail: bytes
    """Bytes after `end` that are no sound record: a write that is going on or was torn."""
    ends: tuple[Position, ...] = ()
    """Where each record ends."""


def read(path: Path, start: Position = START) -> Page:
    """Read all sound records after `start`; an unfinished or unsound last line is left alone.

    Raises:
        StoreError: E-journal where a bad line is not the last one or the file no longer has `start`;
            E-store-too-new for a record of a later major version.
    """
    if not continues(path, start):
        raise _damaged(path, start.offset, "the part that was read before has changed")
    return _parse(path, _bytes(path, start.offset), start)


def continues(path: Path, position: Position) -> bool:
    """Whether this journal still has the record that ended at `position`."""
    seal = f'"{position.checksum}"}}\n'.encode()
    before = position.offset - len(seal)
    return not position.offset or (before >= 0 and _bytes(path, before, len(seal)) == seal)


class JournalWriter:
    """Appends under a lease.

    Contract: `append` returns when all its events are on the disk, or raises and none of them is in the journal. One
    thread at a time. A writer whose lease was lost, or beside whom another one wrote, cannot append.
    """

    def __init__(self, path: Path, lease: Lease, clock: Callable[[], str] = now) -> None:
        """Open the journal, and cut off what a crash left unfinished.

        Raises:
            StoreError: E-journal, E-store-too-new; E-store-full or E-store-unwritable from the disk.
        """
        self._path, self._lease, self._clock = path, lease, clock
        self._broken = False
        if lease.abrupt and path.exists():
            durable.write_file(path, path.read_bytes())  # who has the old file open writes to no name
        self._handle = durable.open_to_append(path)
        try:
            self.recovered = read(path)
            self._end = self.recovered.end
            if self.recovered.tail:
                self._cut_tail()
            lease.advance(self._end.fence)
        except BaseException:
            self.close()
            raise

    @property
    def end(self) -> Position:
        """Where the next record will begin."""
        return self._end

    def append(self, *events: Event) -> tuple[Record, ...]:
        """Append events with one write and one sync; on return they are acknowledged.

        Raises:
            StoreError: E-busy where the lease was lost; E-store-full, E-store-unwritable. Nothing was recorded then.
        """
        self._check()
        end, lines, ts = self._end, [], self._clock()
        for event in events:
            line, end = encode(event, end, ts, self._lease.number)
            lines.append(line)
        content = b"".join(lines)
        try:
            page = _parse(self._path, content, self._end)
            durable.append(self._handle, self._path, content)
            self._check_still_ours()
            self._end = end
        except BaseException:
            self._take_back()
            raise
        return page.records

    def close(self) -> None:
        """Close the file."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _check(self) -> None:
        self._lease.check()
        if self._broken or os.fstat(self._handle).st_size != self._end.offset:
            raise _not_as_left()

    def _check_still_ours(self) -> None:
        """Acknowledge nothing that was written while another one took over."""
        self._lease.check()
        try:
            ours = os.path.samestat(os.fstat(self._handle), self._path.stat())
        except FileNotFoundError:
            ours = False
        if not ours:
            raise _not_as_left()

    def _take_back(self) -> None:
        """Cut off a write that failed; where even that fails, this writer is done."""
        self._broken = True
        with suppress(StoreError):
            durable.truncate(self._handle, self._path, self._end.offset)
            self._broken = False

    def _cut_tail(self) -> None:
        kept = self._path.with_name(f"{self._path.stem}.cut-{self._end.offset}")
        number = 0
        while kept.exists():
            number += 1
            kept = kept.with_name(f"{self._path.stem}.cut-{self._end.offset}-{number}")
        durable.write_file(kept, self.recovered.tail)
        durable.truncate(self._handle, self._path, self._end.offset)


def _parse(path: Path, content: bytes, start: Position) -> Page:
    records, ends, position = [], [], start
    *lines, _ = content.split(b"\n")
    for line in lines:
        try:
            record, position = decode(line, position)
        except TooNewError as error:
            raise _too_new(path, error) from error
        except BadRecordError as error:
            if error.sound:
                raise _damaged(path, position.offset, str(error)) from error
            break
        records.append(record)
        ends.append(position)
    tail = content[position.offset - start.offset :]
    if not could_be_torn(tail):
        raise _damaged(path, position.offset, "the checksum does not fit")
    return Page(tuple(records), position, tail, tuple(ends))


def _bytes(path: Path, offset: int, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""


def _not_as_left() -> StoreError:
    return StoreError(
        Diagnostic(
            code="E-journal",
            message="the journal is not as this process left it; it does not write to it any more",
            remedy="run the same command again: what was recorded is kept",
        ),
        exit_status=15,
    )


def _damaged(path: Path, offset: int, why: str) -> StoreError:
    return StoreError(
        Diagnostic(
            code="E-journal",
            message=f"{path} is damaged at byte {offset}: {why}",
            remedy="restore the file from a copy; the results before this place can still be read there",
        ),
        exit_status=15,
    )


def _too_new(path: Path, error: TooNewError) -> StoreError:
    return StoreError(
        Diagnostic(
            code="E-store-too-new",
            message=f"{path} was written by a newer fewtune ({error})",
            remedy="use that version, or another workspace",
        ),
        exit_status=15,
    )
