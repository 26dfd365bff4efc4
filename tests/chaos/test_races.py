"""One writer at each instant, whoever contends, dies or comes back."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import miniature
import preloaded
import pytest

from fewtune.specs.diagnostic import StoreError
from fewtune.store.event import Looked
from fewtune.store.journal import read
from fewtune.store.writer import Store

HERE = Path(__file__).parent
PROCESSES, ROUNDS = 20, 10


def test_twenty_processes_one_holder(memory_folder: Path, capsys) -> None:
    found = told(HERE / "contender.py", memory_folder, PROCESSES, ROUNDS)
    assert found["failed"] == [0] * PROCESSES
    assert found["numbers"] == list(range(1, PROCESSES * ROUNDS + 1)), "each holder has the next number"
    assert found["refused"] == [0] * PROCESSES
    with capsys.disabled():
        print(f" [{PROCESSES} processes, {PROCESSES * ROUNDS} leases, {PROCESSES} refusals]", end="")


HOLD = """
import sys, time
from pathlib import Path
from typing import Any
from fewtune.store.writer import Store
from fewtune.store.event import Looked
with Store.open(Path(sys.argv[1])) as store:
    store.record(Looked(content="held", plan_hash="0"))
    print("held", flush=True)
    for line in sys.stdin:
        store.record(Looked(content=line.strip(), plan_hash="0"))
        print("recorded", flush=True)
"""


def hold(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_lease_of_a_killed_holder_is_taken_over_at_once(memory_folder: Path) -> None:
    process = hold(memory_folder)
    with pytest.raises(StoreError, match=f"process {process.pid} on"), Store.open(memory_folder):
        pass
    process.kill()
    process.wait()
    began = time.monotonic()
    with Store.open(memory_folder) as store:
        assert time.monotonic() - began < 2
        store.record(Looked(content="next", plan_hash="0"))
    page = read(memory_folder / "journal.jsonl")
    assert [record.fence for record in page.records] == [1, 2]


def test_a_writer_that_lost_its_lease_cannot_append(memory_folder: Path) -> None:
    """Paused, its lock file taken away from under it, and resumed: not one record."""
    zombie = hold(memory_folder)
    os.kill(zombie.pid, signal.SIGSTOP)
    shutil.rmtree(memory_folder / "lease")
    with Store.open(memory_folder) as store:
        store.publish = lambda *, force=False: False  # type: ignore[method-assign]
        store.record(Looked(content="new holder", plan_hash="0"))
        os.kill(zombie.pid, signal.SIGCONT)
        said, wrong = zombie.communicate("zombie\n")
        assert said == ""
        assert "E-busy" in wrong
        assert zombie.returncode != 0
        assert not (memory_folder / "results").exists(), "nor does it publish"
        store.record(Looked(content="still holder", plan_hash="0"))
    contents = [record.data["content"] for record in read(memory_folder / "journal.jsonl").records]
    assert contents == ["held", "new holder", "still holder"]


def test_a_reader_never_meets_a_lock(memory_folder: Path, capsys) -> None:
    """Processes that query and read while another one applies and publishes as often as it can."""
    miniature.applied(memory_folder, miniature.make_plan("first", arms=("zero-shot",)))
    readers = [
        subprocess.Popen([sys.executable, HERE / "spectator.py", memory_folder], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    plan = miniature.make_plan("second", arms=("zero-shot", "pattern + LoRA r=8"), seeds=3)
    published = 0
    with Store.open(memory_folder) as store:
        for _ in miniature.apply(store, plan, publish=False):
            published += store.publish(force=True)
    (memory_folder / "stop").touch()
    answers = [json.loads(reader.communicate()[0]) for reader in readers]
    for answer in answers:
        assert answer["queries"] > 0
        assert answer["offsets"] == sorted(answer["offsets"]), "results never go back"
        assert answer["finished"] == sorted(answer["finished"])
    with capsys.disabled():
        queries = sum(answer["queries"] for answer in answers)
        print(f" [{published} publications, {queries} queries, 0 locks]", end="")


def told(program: Path, *arguments: object) -> dict[str, Any]:
    """What a program says at its end."""
    done = preloaded.run(program, *map(str, arguments), timeout=3600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("races", [6, pytest.param(50, marks=pytest.mark.full)])
def test_two_applies_at_once_and_one_takeover_from_the_dead(memory_folder: Path, races: int, capsys) -> None:
    found = told(HERE / "racing.py", memory_folder, races)
    assert (found["race_violations"], found["takeover_violations"]) == ([], [])
    assert found["refused"] > 0
    assert found["slowest_takeover_s"] < 2
    with capsys.disabled():
        print(f" [{races} races, {found['refused']} refused; takeovers in {found['slowest_takeover_s']} s]", end="")


@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.full)])
def test_a_writer_that_was_stopped_anywhere_and_comes_back_adds_nothing(
    memory_folder: Path, every: int, capsys
) -> None:
    """Also where it stood between its last look at the lease and the write."""
    found = told(HERE / "zombies.py", memory_folder, every)
    assert found["violations"] == []
    assert found["zombies"] >= 117 // every
    with capsys.disabled():
        print(f" [{found['zombies']} zombies]", end="")


def test_queries_beside_a_writer(capsys) -> None:
    """The first seconds of `tests/bench/sql_readers.py`, which runs for two minutes."""
    found = told(HERE.parent / "bench" / "sql_readers.py", "--seconds", 4, "--readers", 2)
    assert (found["errors"], found["lock_errors"], found["went_back"]) == (0, 0, 0)
    assert found["reads"] > 10
    assert found["publications_seen"] > 1
    assert 0 < found["behind_worst_s"] < 10
    with capsys.disabled():
        print(f" [{found['reads']} reads, 0 locks, {found['behind_worst_s']} s behind at worst]", end="")
