"""Readers see whole generations, never a file that is being written; a reading command brings them up to date."""

import os
import threading
import time
from pathlib import Path

import miniature
import pytest

from fewtune.specs.diagnostic import StoreError
from fewtune.store import fault, publisher, query
from fewtune.store.event import Looked
from fewtune.store.generations import generations
from fewtune.store.lease import acquire
from fewtune.store.query import run_sql
from fewtune.store.refresh import refresh
from fewtune.store.snapshot import is_current, open_newest
from fewtune.store.workspace import Workspace
from fewtune.store.writer import Store

pytestmark = pytest.mark.usefixtures("no_quantiles")

PLAN = miniature.make_plan(arms=("zero-shot",))
ALL_RUNS = "SELECT run, state FROM runs"


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "results").iterdir())


def test_generations_grow_and_three_are_kept(root: Path) -> None:
    with Store.open(root) as store:
        for number in range(5):
            store.record(Looked(content=str(number), plan_hash="p"))
            assert store.publish(force=True)
            assert not store.publish(force=True), "nothing new, nothing published"
    assert names(root) == ["results-000003.duckdb", "results-000004.duckdb", "results-000005.duckdb"]
    assert [path.name for path in generations(Workspace(root))] == names(root)


def test_what_came_too_soon_is_published_later_by_itself(root: Path, monkeypatch) -> None:
    """While a long job keeps the supervisor busy, what finished before it is seen."""
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", (0.2, 0.2))
    with Store.open(root) as store:
        assert store.publish()
        for number in range(3):
            store.record(Looked(content=str(number), plan_hash="p"))
            assert not store.publish()
        end, until = store.history.end, time.monotonic() + 5
        while not is_current(store.workspace, end) and time.monotonic() < until:
            time.sleep(0.02)
        assert is_current(store.workspace, end)
        store.record(Looked(content="last", plan_hash="p"))
        store.publish()
        end = store.history.end
    assert is_current(Workspace(root), end)
    assert [thread.name for thread in threading.enumerate() if isinstance(thread, threading.Timer)] == []


def test_a_query_tells_how_far_the_results_are(root: Path) -> None:
    miniature.applied(root, PLAN)
    with Store.open(root) as store:
        [record] = store.record(Looked(content="c", plan_hash="p"))
    assert run_sql(Workspace(root), "SELECT 1").as_of == record.ts


def test_a_reader_keeps_what_it_opened(root: Path) -> None:
    """A generation that is removed while somebody reads it is read to the end."""
    miniature.applied(root, PLAN)
    with open_newest(Workspace(root)) as (connection, where):
        with Store.open(root) as store:
            for number in range(5):
                store.record(Looked(content=str(number), plan_hash="p"))
                store.publish(force=True)
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (1,)
        assert where is not None
        assert not is_current(Workspace(root), where.end)


def test_a_generation_that_vanishes_before_it_is_opened_is_no_error(root: Path, monkeypatch) -> None:
    miniature.applied(root, PLAN)
    found, calls = generations(Workspace(root)), []

    def outdated(workspace: Workspace) -> list[Path]:
        calls.append(1)
        return [*found, found[-1].with_name("results-999999.duckdb")] if len(calls) == 1 else found

    monkeypatch.setattr(query, "generations", outdated)
    assert run_sql(Workspace(root), ALL_RUNS).rows == [["r0001", "succeeded"]]
    assert len(calls) == 2


@pytest.mark.parametrize("operation", ["copy", "rename"])
def test_a_full_disk_while_publishing_leaves_the_generation_before(root: Path, tmp_path: Path, operation: str) -> None:
    with Store.open(root) as store:
        store.record(Looked(content="a", plan_hash="p"))
        store.publish(force=True)
        before = names(root)
        store.record(Looked(content="b", plan_hash="p"))
        fault.arm(f"raise-enospc:{['copy', 'rename'].index(operation) + 1}")
        assert not store.publish(force=True)
        assert store.trouble is not None
        assert store.trouble.code == "E-store-full"
        assert names(root) == before
        fault.arm(None)
        assert store.publish(force=True)


def test_a_damaged_generation_has_a_code_and_is_made_anew(root: Path) -> None:
    miniature.applied(root, PLAN)
    newest = generations(Workspace(root))[-1]
    newest.write_bytes(b"damaged")
    with pytest.raises(StoreError, match="E-results") as caught:
        run_sql(Workspace(root), ALL_RUNS)
    assert newest.name in str(caught.value)
    assert refresh(Workspace(root))
    assert run_sql(Workspace(root), ALL_RUNS).rows == [["r0001", "succeeded"]]


def behind(root: Path) -> Workspace:
    """A workspace whose journal is ahead of its results, as a SIGKILL leaves it."""
    miniature.applied(root, PLAN)
    kept = {path: path.read_bytes() for path in [*(root / "results").iterdir(), root / "store.duckdb"]}
    with Store.open(root) as store:
        store.start_run(PLAN, miniature.make_estimate(PLAN))
        journal = (root / "journal.jsonl").read_bytes()
    (root / "journal.jsonl").write_bytes(journal)
    for path in (root / "results").iterdir():
        path.unlink()
    for path, content in kept.items():
        path.write_bytes(content)
    return Workspace(root)


def test_a_reading_command_publishes_what_a_dead_writer_did_not(root: Path) -> None:
    workspace = behind(root)
    assert run_sql(workspace, ALL_RUNS).rows == [["r0001", "succeeded"]]
    assert refresh(workspace)
    assert run_sql(workspace, ALL_RUNS).rows == [["r0001", "succeeded"], ["r0002", "failed"]]
    assert not refresh(workspace), "once is enough"


def test_a_live_writer_is_never_waited_for(root: Path) -> None:
    workspace = behind(root)
    with acquire(workspace.lease):
        assert not refresh(workspace)
        (workspace.lease / "holder.json").unlink()
        os.utime(workspace.lease)
        assert not refresh(workspace)
    assert refresh(workspace)


def test_a_workspace_that_cannot_be_written_is_read_as_it_is(root: Path) -> None:
    workspace = behind(root)
    fault.arm("raise-enospc:1")
    assert not refresh(workspace)
    assert run_sql(workspace, ALL_RUNS).rows == [["r0001", "succeeded"]]


def test_a_damaged_journal_is_told_to_readers(root: Path) -> None:
    workspace = behind(root)
    content = workspace.journal.read_bytes()
    workspace.journal.write_bytes(content[:300] + b"?" + content[301:])
    with pytest.raises(StoreError, match="E-journal"):
        refresh(workspace)


def test_nothing_is_made_where_nothing_is(root: Path) -> None:
    assert not refresh(Workspace(root))
    assert run_sql(Workspace(root), ALL_RUNS).rows == []
    assert not root.exists()
