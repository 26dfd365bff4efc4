"""One holder, a growing number, and no traceback whatever lies in the lease's files; races are in tests/chaos."""

import json
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from fewtune.specs.diagnostic import StoreError
from fewtune.store import lease
from fewtune.store.lease import Holder, acquire, holder

WRONG = b'{"pid": 1, "host": "h", "since": "s", "purpose": "world domination", "fence": 1}'
GARBAGE = [
    b"",
    b"\xff\xfe",
    b"{",
    b"[]",
    b"7",
    b'{"pid": 1}',
    b'{"pid": "x"}',
    b"null",
    b"9" * 5000,
    b"\0" * 4096,
    b"9" * 30,
    b"-7",
    WRONG,
]


def test_a_free_lease_is_held_and_given_back(root: Path) -> None:
    assert holder(root) is None
    with acquire(root) as held:
        found = holder(root)
        assert found is not None
        assert (found.pid, found.host, found.fence) == (os.getpid(), socket.gethostname(), held.number)
        held.sign("r0007")
        assert "run r0007" in str(holder(root))
    assert holder(root) is None


def test_a_second_writer_is_told_who_holds_it(root: Path) -> None:
    with acquire(root) as held:
        held.sign("r0001")
        began = time.monotonic()
        with pytest.raises(StoreError) as caught, acquire(root):
            pass
        assert time.monotonic() - began < 1
    assert caught.value.exit_status == 8
    assert caught.value.diagnostics[0].code == "E-busy"
    assert f"process {os.getpid()} on {socket.gethostname()} (run r0001" in str(caught.value)


def test_a_second_writer_may_wait(root: Path) -> None:
    def hold() -> None:
        with acquire(root):
            inside.set()
            time.sleep(0.3)

    inside = threading.Event()
    first = threading.Thread(target=hold)
    first.start()
    inside.wait()
    with acquire(root, wait_seconds=10) as held:
        assert held.number == 2
    first.join()


def test_a_writer_waits_for_who_only_refreshes(root: Path) -> None:
    def refresh() -> None:
        with acquire(root, purpose="refresh"):
            inside.set()
            time.sleep(0.3)

    inside = threading.Event()
    first = threading.Thread(target=refresh)
    first.start()
    inside.wait()
    with acquire(root) as held:
        assert held.number == 2
    first.join()


def test_numbers_grow(root: Path) -> None:
    numbers = []
    for _ in range(4):
        with acquire(root) as held:
            numbers.append(held.number)
    assert numbers == [1, 2, 3, 4]


def test_a_number_can_be_made_higher_than_the_journals(root: Path) -> None:
    with acquire(root) as held:
        held.advance(41)
        held.check()
        assert held.number == 42
        held.advance(7)
        assert held.number == 42
    with acquire(root) as held:
        assert held.number == 43


@pytest.mark.parametrize("garbage", GARBAGE)
@pytest.mark.parametrize("name", ["holder.json", "fence"])
def test_garbage_is_no_traceback(root: Path, name: str, garbage: bytes, monkeypatch) -> None:
    monkeypatch.setitem(lease.GRACE_SECONDS, "unknown", 0.05)
    root.mkdir()
    (root / name).write_bytes(garbage)
    assert holder(root) is None
    with acquire(root) as held:
        held.check()
        (root / "holder.json").write_bytes(garbage)
        with pytest.raises(StoreError, match="another process"), acquire(root):
            pass


def test_a_dead_holder_is_none(root: Path) -> None:
    with acquire(root):
        content = json.loads((root / "holder.json").read_text())
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (root / "holder.json").write_text(json.dumps(content | {"pid": child}))
    assert holder(root) is None
    (root / "holder.json").write_text(json.dumps(content | {"pid": child, "host": "another-machine"}))
    assert isinstance(holder(root), Holder), "of another machine nobody knows"


@pytest.mark.parametrize("fence", [b"2", b"garbage", None])
def test_a_lost_lease_is_noticed(root: Path, fence: bytes | None) -> None:
    with acquire(root) as held:
        (root / "fence").unlink() if fence is None else (root / "fence").write_bytes(fence)
        with pytest.raises(StoreError, match="E-busy"):
            held.check()
        (root / "holder.json").write_text("of the next holder")
    assert (root / "holder.json").read_text() == "of the next holder"


def test_a_folder_that_cannot_be_made_has_a_code(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="E-store-unwritable"), acquire(tmp_path / "file" / "lease"):
        pass


def test_the_grace_is_short_enough_for_a_loser() -> None:
    assert lease.GRACE_SECONDS["apply"] + lease.GRACE_SECONDS["unknown"] < 1
