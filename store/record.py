"""One line of the journal: an event with its place, its time and a checksum chained to the line before.

The line is a JSON object whose last key is the checksum of all bytes before it and of the previous line's checksum.
So a changed, lost, repeated or foreign line is seen wherever it stands. The form of the checksum belongs to no
version: every future one keeps it, so that an old reader can tell "too new" from "damaged".
"""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from fewtune.store.event import EVENT_VERSION, AnyEvent, Event, parse

DIGITS = 16
_SEAL = b',"sum":"'
_END = b'"}'
_SEAL_LENGTH = len(_SEAL) + DIGITS + len(_END)
_FINISHED = re.compile(rb'(\n|,"sum":"[0-9a-f]{16}"\}(?!\n)).', re.DOTALL)


class Position(NamedTuple):
    """A place in the journal: after the record `seq`, whose checksum was `checksum`."""

    offset: int
    seq: int
    checksum: str
    fence: int


START = Position(0, 0, "0" * DIGITS, 0)


class BadRecordError(ValueError):
    """A line that is not the record that belongs here.

    Attributes:
        sound: the checksum fits, so no crash has torn it.
    """

    def __init__(self, message: str, *, sound: bool) -> None:
        """Say what is wrong with the line."""
        super().__init__(message)
        self.sound = sound


class TooNewError(ValueError):
    """A sound record of a later major version."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """An event with its place in the journal."""

    seq: int
    """From 1, without gaps."""
    ts: str
    """UTC, ISO 8601 with milliseconds."""
    fence: int
    """The number of the lease under which it was written."""
    kind: str
    data: dict[str, Any]

    @cached_property
    def event(self) -> AnyEvent | None:
        """What happened; None for a kind of event that this version does not know."""
        return parse(self.kind, self.data)


def encode(event: Event, position: Position, ts: str, fence: int) -> tuple[bytes, Position]:
    """Write an event as the line after `position`, and say where the next one goes."""
    head = {"v": EVENT_VERSION, "seq": position.seq + 1, "ts": ts, "fence": fence, "kind": event.kind}
    data = event.model_dump(mode="json", exclude={"kind"})
    text = json.dumps({**head, "data": data}, separators=(",", ":"), allow_nan=False)
    content = text[:-1].encode("ascii")
    checksum = _checksum(position.checksum, content)
    line = content + _SEAL + checksum.encode() + _END + b"\n"
    return line, Position(position.offset + len(line), position.seq + 1, checksum, fence)


def decode(line: bytes, position: Position) -> tuple[Record, Position]:
    """Read the line after `position`; the newline is not part of `line`.

    Raises:
        BadRecordError: the line is not what was written here.
        TooNewError: it was written by a later major version.
    """
    content = line[:-_SEAL_LENGTH]
    checksum = _checksum(position.checksum, content)
    if line[-_SEAL_LENGTH:] != _SEAL + checksum.encode() + _END:
        raise BadRecordError("the checksum does not fit", sound=False)
    head = json.loads(content + b"}")
    if head["v"] > EVENT_VERSION:
        raise TooNewError(f"version {head['v']}")
    record = Record(seq=head["seq"], ts=head["ts"], fence=head["fence"], kind=head["kind"], data=head["data"])
    if record.seq != position.seq + 1 or record.fence < position.fence:
        raise BadRecordError(f"record {record.seq} under lease {record.fence} is out of order", sound=True)
    try:
        record.event  # noqa: B018 -- a known kind with missing fields is found here, where its place is known
    except ValueError as error:
        raise BadRecordError(f"a {record.kind} event without what it needs", sound=True) from error
    return record, Position(position.offset + len(line) + 1, record.seq, checksum, record.fence)


def could_be_torn(tail: bytes) -> bool:
    """Whether bytes after the last sound record could be one record that a crash left unfinished.

    Bytes after a line's end, or after a complete checksum, mean that a record was finished here and has changed.
    """
    return not _FINISHED.search(tail)


def _checksum(previous: str, content: bytes) -> str:
    return hashlib.sha256(previous.encode() + content).hexdigest()[:DIGITS]
