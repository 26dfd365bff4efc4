"""The real apply: killed at each of its operations on journal and artefacts, and at random instants under Ray."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import invariants
import preloaded
import pytest
from project import Project, slow_project

HERE = Path(__file__).parent
PATIENCE = 30.0
"""Seconds after which what still runs is left behind; on an idle machine a second is enough."""


def sweep(folder: Path, every: int, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"FEWTUNE_TEST_PROJECT": str(folder / "project"), "FEWTUNE_CACHE": str(folder / "cache")}
    (folder / "project").mkdir()
    done = preloaded.run(HERE / "apply_sweep.py", folder, str(every), env=environment, timeout=3600)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    operations, kills, violations = found["operations"], found["kills"], found["violations"]
    with capsys.disabled():
        print(f" [{operations} operations of apply, {kills} kills, {len(violations)} violations]", end="")
    assert not violations, "\n".join(violations[:3])
    assert operations >= 60


def test_sampled_operations_of_apply(memory_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(memory_folder, 9, capsys)


@pytest.mark.full
def test_all_operations_of_apply(memory_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep(memory_folder, 1, capsys)


def command(made: Project, *more: str) -> list[str]:
    work = ("apply", "spec.json", "-w", "workspace", "--workers", "1", "--json")
    return [sys.executable, "-m", "fewtune.api.cli", *work, *more]


def children(mark: str) -> list[int]:
    """Processes whose working folder is the project's: apply, and everything that it started."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "cwd") == mark and int(entry.name) != os.getpid():
                    state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
                    found += [int(entry.name)] if state != "Z" else []
            except OSError:
                continue
    return found


def settle(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition comes true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def survives(folder: Path, kills: int, seed: int) -> int:
    """Kill apply at random instants until it ends by itself; returns how often it was killed."""
    made, dice, done = slow_project(folder, 60), random.Random(seed), 0
    while True:
        process = subprocess.Popen(command(made), cwd=made.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if done < kills:
            try:
                process.wait(dice.uniform(3.0, 22.0))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                done += 1
        output, _ = process.communicate()
        assert settle(lambda: not children(str(made.folder)), PATIENCE), "a process was left behind"
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
    assert json.loads(output)["ok"]
    judge(made)
    return done


def judge(made: Project) -> None:
    """Each result is there exactly once, every attempt has one end."""
    records = invariants.journal_records(made.workspace)
    invariants.check_artefacts(made.workspace, records)
    plan = made.plan().plan
    wanted = [stage.fingerprint for stage in plan.stages if stage.kind in ("train", "evaluate")]
    found = Counter(r["data"]["fingerprint"] for r in records if r["kind"] in ("fitted", "evaluated"))
    assert found == Counter(wanted)
    invariants.check_ends(records)


def test_random_kills_under_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = survives(tmp_path, 1, seed=3)
    with capsys.disabled():
        print(f" [{done} kills of apply under Ray]", end="")
    assert done >= 1


@pytest.mark.full
def test_twenty_kills_under_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = number = 0
    while done < 20:
        done += survives(tmp_path / str(number), 5, seed=number)
        number += 1
    with capsys.disabled():
        print(f" [{done} kills of apply under Ray]", end="")
