"""Death before, in and after every operation on journal and artefacts loses nothing and repeats nothing."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import invariants
import kill_sweep
import preloaded
import pytest
import scenario

HERE = Path(__file__).parent


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.full)])
def test_every_operation_is_survived(memory_folder: Path, every: int, capsys: pytest.CaptureFixture[str]) -> None:
    parts = 1 if every > 1 else 2
    command = [sys.executable, HERE / "kill_sweep.py"]
    processes = [
        subprocess.Popen([*command, make(memory_folder / str(part)), str(part), str(parts), str(every)],
                         stdout=subprocess.PIPE)
        for part in range(parts)
    ]  # fmt: skip
    answers = [json.loads(process.communicate()[0]) for process in processes]
    operations, kills = answers[0]["operations"], sum(answer["kills"] for answer in answers)
    violations = [violation for answer in answers for violation in answer["violations"]]
    with capsys.disabled():
        print(f" [{operations} operations, {kills} kills, {len(violations)} violations]", end="")
    assert not violations, "\n".join(violations[:3])
    assert operations >= 100
    assert kills * every >= 2 * operations


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_real_process_dies_where_its_environment_says(memory_folder: Path, capsys) -> None:
    dice, kills = random.Random(11), 3
    for number in range(kills):
        workspace, acknowledged = memory_folder / f"w{number}", memory_folder / f"a{number}"
        fault = f"die-{dice.choice(['before', 'within', 'after'])}:{dice.randrange(1, 110)}"
        assert run(workspace, acknowledged, fault) == -signal.SIGKILL, fault
        assert run(workspace, acknowledged, None) == 0, fault
        invariants.check(workspace, acknowledged.read_text().split(), scenario.wanted())
        invariants.check_database(workspace)
    with capsys.disabled():
        print(f" [{kills} kills by environment]", end="")


def run(workspace: Path, acknowledged: Path, fault: str | None) -> int:
    if fault is None:
        return preloaded.run(HERE / "scenario.py", workspace, acknowledged).returncode
    command = [sys.executable, HERE / "scenario.py", workspace, acknowledged]
    return subprocess.run(command, env={**os.environ, "FEWTUNE_FAULT": fault}, check=False).returncode


@pytest.mark.parametrize("kills", [3, pytest.param(60, marks=pytest.mark.full)])
def test_random_kills_with_the_database(memory_folder: Path, kills: int, capsys) -> None:
    """Not at operations of ours: at any instant, DuckDB's own writes included."""
    dice = random.Random(kills)
    for number in range(kills):
        folder = make(memory_folder / str(number))
        workspace, acknowledged = folder / "workspace", folder / "ack"
        process = subprocess.Popen([sys.executable, HERE / "scenario.py", workspace, acknowledged])
        try:
            process.wait(dice.uniform(0.8, 3.0))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert run(workspace, acknowledged, None) == 0
        invariants.check(workspace, acknowledged.read_text().split(), scenario.wanted())
        invariants.check_database(workspace)
    with capsys.disabled():
        print(f" [{kills} kills at random instants]", end="")


def test_the_sweep_knows_torn_writes(memory_folder: Path) -> None:
    """The list of operations has the verbs that the sweep tears in the middle."""
    verbs = {verb for verb, _ in kill_sweep.operations(memory_folder / "r", publishing=False)}
    assert set(kill_sweep.TORN) < verbs
    assert {"fsync", "fsync-folder", "rename", "create", "mkdir"} < verbs
