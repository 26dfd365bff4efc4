"""Contract of the writing end: acknowledged once and for ever, or not at all."""

import shutil
from pathlib import Path

import miniature
import pytest

from fewtune.compiler.diff import diff
from fewtune.specs.diagnostic import StoreError
from fewtune.store import fault, publication
from fewtune.store.artefacts import Artefact
from fewtune.store.event import AttemptEnded, AttemptStarted, Looked
from fewtune.store.history import History
from fewtune.store.journal import read
from fewtune.store.reader import Reader
from fewtune.store.record import Record
from fewtune.store.writer import DIED, Store

pytestmark = pytest.mark.usefixtures("no_database")

PLAN = miniature.make_plan(arms=("zero-shot", "pattern + LoRA r=8"))
RESULTS = [stage.fingerprint for stage in PLAN.stages if stage.kind in ("train", "evaluate")]
TRAIN = next(stage for stage in PLAN.stages if stage.kind == "train")


def records(root: Path, kind: str | None = None) -> list[Record]:
    return [r for r in read(root / "journal.jsonl").records if kind in (None, r.kind)]


def started(store: Store, attempt: str = "r0001-1") -> AttemptStarted:
    run = next(reversed(store.history.runs))
    return AttemptStarted(
        attempt=attempt, run=run, job="j", trial=TRAIN.trial, stages=(TRAIN.id,), fingerprints=(TRAIN.fingerprint,),
        arm="a",
    )  # fmt: skip


def begin(store: Store) -> str:
    return store.start_run(PLAN, miniature.make_estimate(PLAN), engine="miniature")


def test_a_whole_run_is_known_and_the_second_starts_nothing(root: Path) -> None:
    assert sorted(miniature.applied(root, PLAN)) == sorted(RESULTS)
    assert diff(PLAN, Reader(root).known().work(PLAN)).nothing
    assert miniature.applied(root, PLAN) == []
    assert [record.data["state"] for record in records(root, "run_ended")] == ["succeeded", "succeeded"]
    assert len(records(root, "sampled")) == len(PLAN.samples), "a sample is told once"
    assert [run.id for run in Reader(root).runs()] == ["r0001", "r0002"]


def test_a_result_that_is_there_is_not_recorded_again(root: Path) -> None:
    with Store.open(root) as store:
        begin(store)
        event, artefact = miniature.fitted(TRAIN, "r0001-1")
        assert len(store.record(event, artefacts=[artefact])) == 1
        other = Artefact(fingerprint=TRAIN.fingerprint, name=artefact.name, content=b"computed again, differently")
        again = event.model_copy(update={"attempt": "r0001-2", "artefact": other.ref})
        assert store.record(again, artefacts=[other]) == ()
        assert store.read(artefact.ref) == artefact.content, "the first artefact stays"
        store.artefacts.path(artefact.ref).unlink()
        assert len(store.record(again, artefacts=[other])) == 1, "unless it was lost"
        assert store.known().fitted[TRAIN.fingerprint] == other.ref


def test_a_result_that_is_told_twice_at_once_is_recorded_once(root: Path) -> None:
    with Store.open(root) as store:
        begin(store)
        event, artefact = miniature.fitted(TRAIN, "r0001-1")
        again = event.model_copy(update={"attempt": "r0001-2"})
        assert [record.event for record in store.record(event, again, artefacts=[artefact])] == [event]
        sample = miniature.sampled(PLAN.samples[0])
        other = sample.model_copy(update={"sample": "refit"})
        assert [record.event for record in store.record(sample, other)] == [sample]


def test_choices_and_looks_are_told_once(root: Path) -> None:
    with Store.open(root) as store:
        for number in range(2):
            list(miniature.apply(store, PLAN))
            looks = store.record(Looked(content="c", plan_hash=PLAN.hash))
            assert len(looks) == (1 if number == 0 else 0)
    assert len(records(root, "selected")) == 1


def test_an_artefact_is_there_before_its_event(root: Path, tmp_path: Path) -> None:
    with Store.open(root) as store:
        begin(store)
        event, artefact = miniature.fitted(TRAIN, "r0001-1")
        fault.arm(f"record:{tmp_path / 'operations'}")
        store.record(event, artefacts=[artefact])
        fault.arm(None)
    done = [line.split()[1] for line in (tmp_path / "operations").read_text().splitlines()]
    assert done[-7:] == ["create", "write", "fsync", "rename", "fsync-folder", "append", "fsync"]


def test_all_or_nothing_on_a_full_disk(root: Path, tmp_path: Path) -> None:
    """At every operation of recording a result, the disk is full once; the same call then succeeds."""
    with Store.open(root) as store:
        begin(store)
        event, artefact = miniature.fitted(TRAIN, "r0001-1")
        size = (root / "journal.jsonl").stat().st_size
        for operation in range(1, 12):
            fault.arm(f"raise-enospc:{operation}")
            with pytest.raises(StoreError, match="E-store-full"):
                store.record(event, artefacts=[artefact])
            assert (root / "journal.jsonl").stat().st_size == size
            assert TRAIN.fingerprint not in store.known().fitted
            assert not list(root.rglob("*.tmp"))
            shutil.rmtree(root / "artefacts" / TRAIN.fingerprint[:2], ignore_errors=True)
        fault.arm(None)
        assert len(store.record(event, artefacts=[artefact])) == 1


def test_what_a_dead_process_left_open_is_ended(root: Path) -> None:
    with Store.open(root) as store:
        begin(store)
        store.record(started(store))
        journal = (root / "journal.jsonl").read_bytes()
    (root / "journal.jsonl").write_bytes(journal)  # as a SIGKILL would have left it
    (root / "artefacts" / ".state.safetensors.9-9.tmp").write_bytes(b"half")
    with Store.open(root) as store:
        assert store.history.open_attempts == {}
        assert not list(root.rglob("*.tmp"))
        assert begin(store) == "r0002"
    [attempt] = records(root, "attempt_ended")
    assert attempt.data | {"message": ""} == {
        "attempt": "r0001-1", "state": "failed", "failure": "interrupted", "message": "", "seconds": None,
    }  # fmt: skip
    run = Reader(root).run("r0001")
    assert run.ended is not None
    assert (run.ended.state, run.ended.message, run.ended.seconds) == ("failed", DIED, None)
    assert TRAIN.fingerprint in Reader(root).known().failed


@pytest.mark.parametrize(
    ("error", "state"),
    [(ValueError("a bug"), "failed"), (KeyboardInterrupt(), "cancelled"), (SystemExit(1), "cancelled")],
)
def test_an_exception_ends_the_run(root: Path, error: BaseException, state: str) -> None:
    def apply() -> None:
        with Store.open(root) as store:
            begin(store)
            store.record(started(store))
            raise error

    with pytest.raises(type(error)):
        apply()
    assert [record.data["state"] for record in records(root, "run_ended")] == [state]
    assert [record.data["failure"] for record in records(root, "attempt_ended")] == ["interrupted"]


@pytest.mark.parametrize("told_again", [True, False])
def test_an_interrupt_between_journal_and_history_repeats_nothing(root: Path, monkeypatch, told_again: bool) -> None:
    with Store.open(root) as store:
        begin(store)
        store.record(started(store))
        event, artefact = miniature.fitted(TRAIN, "r0001-1")
        ended = AttemptEnded(attempt="r0001-1", state="succeeded", seconds=1.0)
        with monkeypatch.context() as patched:
            patched.setattr(History, "add", interrupt)
            with pytest.raises(KeyboardInterrupt):
                store.record(event, ended, artefacts=[artefact])
        assert not told_again or store.record(event, artefacts=[artefact]) == ()
        store.end_run("cancelled")
    assert len(records(root, "fitted")) == 1
    assert [record.data["state"] for record in records(root, "attempt_ended")] == ["succeeded"]


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_run_that_nobody_ended_did_not_succeed(root: Path) -> None:
    with Store.open(root) as store:
        begin(store)
    assert [record.data["state"] for record in records(root, "run_ended")] == ["failed"]


def test_attempts_are_numbered_within_their_run(root: Path) -> None:
    with Store.open(root) as store:
        begin(store)
        names = store.attempt_names(1)
        store.record(started(store, names[0]))
        names += store.attempt_names(2)
        store.end_run("partial")
        begin(store)
        names += store.attempt_names(1)
        store.end_run("partial")
    assert names == ["r0001-1", "r0001-2", "r0001-3", "r0002-1"]


def test_the_holder_names_the_run(root: Path) -> None:
    with Store.open(root) as store:
        run = begin(store)
        found = Reader(root).holder()
        assert found is not None
        assert found.run == run
        with pytest.raises(StoreError, match=f"run {run}") as caught, Store.open(root):
            pass
        assert caught.value.exit_status == 8
        store.end_run("succeeded")


def test_trouble_with_the_database_stops_nobody(root: Path, monkeypatch) -> None:
    monkeypatch.undo()
    with Store.open(root) as store:
        begin(store)
        (root / "results").write_text("a file where the folder should be")
        assert store.publish(force=True) is False
        assert store.trouble is not None
        assert store.trouble.severity == "warning"
        store.record(Looked(content="c", plan_hash="p"))
        (root / "results").unlink()
        assert store.publish(force=True) is True
        assert store.trouble is None
        store.end_run("succeeded")


def test_publications_are_rare_unless_forced(root: Path, monkeypatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(publication, "publish", lambda workspace, end: (bool(calls.append(1)) or True, None))
    with Store.open(root) as store:
        assert [store.publish() for _ in range(3)] == [True, False, False]
        assert store.publish(force=True)
    assert len(calls) == 3


def test_a_notes_edit_changes_only_what_is_told(root: Path) -> None:
    miniature.applied(root, PLAN)
    edited = miniature.make_plan(arms=("zero-shot", "pattern + LoRA r=8"), notes="edited")
    assert edited.hash == PLAN.hash
    assert miniature.applied(root, edited) == []
    first, second = Reader(root).runs()
    assert (first.started.spec["notes"], second.started.spec["notes"]) == (None, "edited")
    assert Reader(root).plan_of("r0001").plan.experiment.notes is None
    assert Reader(root).plan_of("r0002").plan.experiment.notes == "edited"
