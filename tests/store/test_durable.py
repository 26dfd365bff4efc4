"""Contract of `durable`: a file is the old one or the new one, and every operation has a name and can fail."""

import errno
import os
from pathlib import Path

import pytest

from fewtune.specs.diagnostic import StoreError
from fewtune.store import durable, fault


def verbs(record: Path) -> list[str]:
    return [line.split()[1] for line in record.read_text().splitlines()]


def test_operations_are_recorded_in_order(tmp_path: Path) -> None:
    record, target = tmp_path / "record", tmp_path / "file"
    fault.arm(f"record:{record}")
    durable.write_file(target, b"new")
    durable.remove(target)
    assert record.read_text().splitlines() == [
        f"{number} {verb} {place}"
        for number, (verb, place) in enumerate(
            [("create", target), ("write", target), ("fsync", target), ("rename", target), ("fsync-folder", tmp_path),
             ("remove", target)],
            start=1,
        )
    ]  # fmt: skip


def test_content_is_synced_before_its_name(tmp_path: Path) -> None:
    """Power may fail, which no kill can show: the order of the operations is what protects then."""
    record = tmp_path / "record"
    fault.arm(f"record:{record}")
    durable.write_file(tmp_path / "file", b"new")
    assert verbs(record) == ["create", "write", "fsync", "rename", "fsync-folder"]
    record.unlink()
    fault.arm(f"record:{record}")
    handle = durable.open_to_append(tmp_path / "journal")
    durable.append(handle, tmp_path / "journal", b"line")
    os.close(handle)
    assert verbs(record) == ["open", "fsync-folder", "append", "fsync"]


@pytest.mark.parametrize("operation", range(1, 6))
def test_a_full_disk_leaves_the_old_file_or_the_new_one(tmp_path: Path, operation: int) -> None:
    target = tmp_path / "file"
    target.write_bytes(b"old")
    fault.arm(f"raise-enospc:{operation}")
    with pytest.raises(StoreError) as caught:
        durable.write_file(target, b"new")
    assert caught.value.diagnostics[0].code == "E-store-full"
    assert target.read_bytes() == (b"new" if operation == 5 else b"old")
    assert list(tmp_path.iterdir()) == [target], "no unfinished file is left, or it would fill the disk further"


def test_other_errors_of_the_system_have_a_code(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError) as caught:
        durable.write_file(tmp_path / "file" / "below", b"")
    assert caught.value.diagnostics[0].code == "E-store-unwritable"
    assert caught.value.diagnostics[0].remedy


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_every_kind_of_full_is_full(tmp_path: Path, monkeypatch, number: int) -> None:
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="E-store-full"):
        durable.write_file(tmp_path / "file", b"new")


def test_short_writes_are_continued(tmp_path: Path, monkeypatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, content: write(handle, content[:3]))
    durable.write_file(tmp_path / "file", b"longer than three")
    assert (tmp_path / "file").read_bytes() == b"longer than three"


def test_folders_are_synced_into_their_parents(tmp_path: Path) -> None:
    record = tmp_path / "record"
    fault.arm(f"record:{record}")
    durable.make_folder(tmp_path / "a" / "b")
    assert verbs(record) == ["fsync-folder", "mkdir", "fsync-folder", "mkdir", "fsync-folder"]
    durable.make_folder(tmp_path / "a" / "b")
    assert len(verbs(record)) == 5, "once in each process is enough"


def test_leftovers_are_found_and_nothing_else(tmp_path: Path) -> None:
    durable.make_folder(tmp_path / "a")
    durable.write_file(tmp_path / "a" / "kept.json", b"1")
    left = tmp_path / "a" / ".kept.json.77-1.tmp"
    left.write_bytes(b"half")
    assert list(durable.leftovers(tmp_path)) == [left]


def test_an_unknown_fault_is_told(tmp_path: Path) -> None:
    fault.arm("explode:1")
    with pytest.raises(ValueError, match="explode"):
        durable.write_file(tmp_path / "file", b"")
