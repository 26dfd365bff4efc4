"""The journal is the longest valid prefix after any cut, and says where it is damaged after any change."""

import itertools
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import miniature
import pytest

from fewtune.specs.diagnostic import StoreError
from fewtune.store import fault, lease
from fewtune.store.event import AttemptEnded, Event, Looked
from fewtune.store.journal import JournalWriter, continues, read
from fewtune.store.record import START, Position, decode, encode

STRIDE = 4
"""Every so many bytes of a record are flipped, and all of its last thirty: the checksum and the newline."""
CODES = ("E-journal", "E-store-too-new")


@contextmanager
def opened(root: Path) -> Iterator[JournalWriter]:
    with lease.acquire(root / "lease") as held:
        writer = JournalWriter(root / "journal.jsonl", held)
        try:
            yield writer
        finally:
            writer.close()


def some_events(count: int) -> Iterator[Event]:
    """Events of several kinds and sizes."""
    stages = itertools.cycle(miniature.make_plan().stages)
    for number in range(count):
        yield Looked(content=f"split-{number}", plan_hash="p" * 24)
        yield AttemptEnded(attempt=f"r-{number}", state="failed", failure="error", message="ä\n" * 40, seconds=1.5)
        event, _ = miniature.fitted(next(stages), f"r-{number}")
        losses = tuple((step, random.Random(step).random()) for step in range(40))
        yield event.model_copy(update={"losses": losses})


@pytest.fixture
def journal(root: Path) -> Path:
    """About 50 kB, written in batches of different sizes."""
    events = list(some_events(26))
    with opened(root) as writer:
        while events:
            size = 1 + len(events) % 4
            writer.append(*events[:size])
            events = events[size:]
    assert 45_000 < (root / "journal.jsonl").stat().st_size < 60_000
    return root / "journal.jsonl"


def positions(path: Path) -> list[Position]:
    """Where each record ends, the start first."""
    found = [START]
    for line in path.read_bytes().split(b"\n")[:-1]:
        found.append(decode(line, found[-1])[1])
    return found


def test_cut_at_every_byte(journal: Path, capsys) -> None:
    """Recovered is the longest valid prefix. Most cuts are read from the last whole record, some from the start."""
    ends, size = positions(journal), journal.stat().st_size
    whole = read(journal).records
    record = len(ends) - 1
    for cut in range(size, -1, -1):
        os.truncate(journal, cut)
        while ends[record].offset > cut:
            record -= 1
        start = START if cut % 500 == 0 else ends[record]
        page = read(journal, start)
        assert page.records == whole[start.seq : record], f"cut at {cut}"
        assert page.end == ends[record]
        assert len(page.tail) == cut - page.end.offset
    with capsys.disabled():
        print(f" [{size + 1} cuts]", end="")


def test_the_writer_goes_on_after_every_cut_of_a_record(journal: Path, root: Path) -> None:
    ends, content = positions(journal), journal.read_bytes()
    first, last = ends[-3].offset, ends[-1].offset
    for cut in [*range(first, last, 23), first + 1, ends[-2].offset, last - 1, last]:
        journal.write_bytes(content[:cut])
        kept = max(end for end in ends if end.offset <= cut)
        with opened(root) as writer:
            assert writer.end[:3] == kept[:3]
            writer.append(Looked(content="after", plan_hash="0"))
        page = read(journal)
        assert [record.seq for record in page.records] == list(range(1, kept.seq + 2))
        assert page.tail == b""
        aside = [path.read_bytes() for path in root.glob("journal.cut-*")]
        assert aside == ([content[kept.offset : cut]] if cut > kept.offset else [])
        for path in root.glob("journal.cut-*"):
            path.unlink()


def test_a_flipped_byte_is_reported_with_its_place(journal: Path, capsys) -> None:
    """Also in the last record: unless it looks like a write that a crash has torn, and even then it is no event."""
    ends, dice, flips = positions(journal), random.Random(5), 0
    handle = os.open(journal, os.O_RDWR)
    for before, start, end in zip(ends, ends[1:], ends[2:], strict=False):
        for offset in {*range(start.offset, end.offset, STRIDE), *range(end.offset - 30, end.offset)}:
            [byte] = os.pread(handle, 1, offset)
            os.pwrite(handle, bytes([byte ^ (1 << dice.randrange(8))]), offset)
            flips += 1
            if end is ends[-1] and offset < end.offset - 1:
                assert read(journal, before).end == start
            else:
                with pytest.raises(StoreError) as caught:
                    read(journal, before)
                assert caught.value.diagnostics[0].code in CODES
                assert f"byte {start.offset}" in str(caught.value)
            os.pwrite(handle, bytes([byte]), offset)
    os.close(handle)
    with capsys.disabled():
        print(f" [{flips} flips]", end="")


def lines_changed(lines: list[bytes]) -> dict[str, list[bytes]]:
    return {
        "a record is missing": lines[:5] + lines[6:],
        "a record is there twice": [*lines[:6], lines[5], *lines[6:]],
        "two records changed places": [*lines[:5], lines[6], lines[5], *lines[7:]],
        "the first record is missing": lines[1:],
        "an empty line": [*lines[:5], b"\n", *lines[5:]],
        "a zeroed block": [*lines[:5], b"\0" * 512 + b"\n", *lines[6:]],
        "a carriage return": [*lines[:5], lines[5].replace(b",", b"\r", 1), *lines[6:]],
    }


@pytest.mark.parametrize("damage", list(lines_changed([b""] * 9)))
def test_damage_in_the_middle_is_never_skipped(journal: Path, root: Path, damage: str) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines_changed(lines)[damage]))
    with pytest.raises(StoreError, match=r"E-journal.*byte"):
        read(journal)
    with pytest.raises(StoreError, match="E-journal") as caught, opened(root):
        pass
    assert caught.value.exit_status == 15


def test_a_record_of_another_journal_is_damage(journal: Path, tmp_path: Path) -> None:
    with opened(tmp_path / "other") as writer:
        writer.append(*some_events(2))
    lines, foreign = (p.read_bytes().splitlines(keepends=True) for p in (journal, tmp_path / "other/journal.jsonl"))
    journal.write_bytes(b"".join([*lines[:3], foreign[3], *lines[4:]]))
    with pytest.raises(StoreError, match="E-journal"):
        read(journal)


def sealed(position: Position, **changed: object) -> bytes:
    """A line with a right checksum and something changed in its content."""
    import hashlib
    import json

    line, _ = encode(Looked(content="c", plan_hash="p"), position, "2026-01-01T00:00:00.000Z", 1)
    head = {key: value for key, value in json.loads(line).items() if key != "sum"} | changed
    content = json.dumps(head).encode()[:-1]
    checksum = hashlib.sha256(position.checksum.encode() + content).hexdigest()[:16]
    return content + b',"sum":"' + checksum.encode() + b'"}\n'


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"v": 2}, "E-store-too-new"),
        ({"seq": 7}, "E-journal"),
        ({"data": {}}, "E-journal"),
        ({"kind": "fitted"}, "E-journal"),
    ],
)
def test_a_sound_record_that_cannot_be_used_is_told(tmp_path: Path, changed: dict, code: str) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(sealed(START, **changed))
    with pytest.raises(StoreError, match=code) as caught:
        read(path)
    assert caught.value.exit_status == 15


@pytest.mark.parametrize(
    "changed",
    [{"kind": "moved_to_the_moon"}, {"data": {"content": "c", "plan_hash": "p", "added_later": [1]}}, {"extra": 1}],
)
def test_what_the_same_major_version_added_is_ignored(tmp_path: Path, changed: dict) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(sealed(START, **changed))
    [record] = read(path).records
    assert record.event is None or record.event == Looked(content="c", plan_hash="p")


@pytest.mark.parametrize("operation", [1, 2])
def test_a_full_disk_takes_nothing_and_the_writer_goes_on(root: Path, operation: int) -> None:
    with opened(root) as writer:
        writer.append(Looked(content="before", plan_hash="0"))
        size = (root / "journal.jsonl").stat().st_size
        fault.arm(f"raise-enospc:{operation}")
        with pytest.raises(StoreError, match="E-store-full"):
            writer.append(Looked(content="lost", plan_hash="0"), Looked(content="lost, too", plan_hash="0"))
        assert (root / "journal.jsonl").stat().st_size == size
        writer.append(Looked(content="after", plan_hash="0"))
    assert [r.data["content"] for r in read(root / "journal.jsonl").records] == ["before", "after"]


def test_an_interrupt_in_the_middle_takes_nothing(root: Path, monkeypatch) -> None:
    fsync, interrupts = os.fsync, [KeyboardInterrupt()]

    def interrupted(handle: int) -> None:
        if interrupts:
            raise interrupts.pop()
        fsync(handle)

    with opened(root) as writer:
        monkeypatch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            writer.append(Looked(content="lost", plan_hash="0"))
        writer.append(Looked(content="kept", plan_hash="0"))
    assert [r.data["content"] for r in read(root / "journal.jsonl").records] == ["kept"]


def test_a_writer_beside_whom_another_one_wrote_stops(root: Path) -> None:
    with opened(root) as writer:
        writer.append(Looked(content="mine", plan_hash="0"))
        with (root / "journal.jsonl").open("ab") as file:
            file.write(sealed(writer.end))
        with pytest.raises(StoreError, match="E-journal"):
            writer.append(Looked(content="mine, too", plan_hash="0"))


def test_a_reader_follows_from_where_it_was(root: Path) -> None:
    path = root / "journal.jsonl"
    assert read(path) == ((), START, b"", ())
    with opened(root) as writer:
        for number in range(3):
            before = writer.end
            written = writer.append(*(Looked(content=f"{number}-{part}", plan_hash="0") for part in range(number)))
            page = read(path, before)
            assert page.records == written
            assert page.end == writer.end
            assert page.ends[-1:] == (() if number == 0 else (writer.end,))
            assert [read(path, end).records for end in page.ends] == [written[at:] for at in range(1, number + 1)]


def test_a_position_in_a_journal_that_changed_is_noticed(journal: Path) -> None:
    ends = positions(journal)
    assert all(continues(journal, end) for end in ends)
    assert not continues(journal, ends[4]._replace(checksum="0" * 16))
    os.truncate(journal, ends[3].offset)
    assert not continues(journal, ends[4])
    with pytest.raises(StoreError, match="E-journal"):
        read(journal, ends[4])


def test_lines_are_plain_json(journal: Path) -> None:
    import json

    first = json.loads(journal.read_bytes().splitlines()[0])
    assert list(first) == ["v", "seq", "ts", "fence", "kind", "data", "sum"]
    assert first["ts"].endswith("Z")
