"""Results are there while a run goes on: each finished trial within five seconds."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from project import Project, slow_project

from fewtune.runtime.applying import Application
from fewtune.specs.diagnostic import RunError

LIMIT = 5.0
"""Seconds after a trial's last result within which sql must show it."""


def finished(project: Project) -> dict[str, datetime]:
    """Trial -> when the journal acknowledged its last result, for jobs of one trial."""
    found: dict[str, datetime] = {}
    trials: dict[str, str] = {}
    journal = project.workspace / "journal.jsonl"
    for line in (journal.read_bytes() if journal.exists() else b"").split(b"\n")[:-1]:
        event = json.loads(line)
        if event["kind"] == "attempt_started" and event["data"]["trial"]:
            trials[event["data"]["attempt"]] = event["data"]["trial"]
        if event["kind"] == "attempt_ended" and event["data"]["attempt"] in trials:
            found[trials[event["data"]["attempt"]]] = datetime.fromisoformat(event["ts"])
    return found


def test_sql_shows_each_finished_trial_within_five_seconds(tmp_path: Path) -> None:
    project = slow_project(tmp_path, 120)
    project.spec["evaluation"]["data_seeds"] = 3
    project.path  # noqa: B018 -- written once
    command = [sys.executable, "-m", "fewtune.api.cli", "apply", "spec.json", "-w", "workspace", "--in-process"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    looked = 0
    while process.poll() is None:
        asked = datetime.now(UTC)
        answer = project.cli("sql", "SELECT trial FROM trials WHERE state = 'finished'", "--json")
        if answer.returncode == 0:
            shown = {row[0] for row in json.loads(answer.stdout)["data"]["rows"]}
            due = {trial for trial, at in finished(project).items() if (asked - at).total_seconds() > LIMIT}
            assert due <= shown
            looked += len(shown) > 0
        time.sleep(0.5)
    assert process.returncode == 0
    assert looked >= 2


def test_an_interrupt_is_one_whatever_a_library_calls_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB makes a RuntimeError of a signal that arrives during a query."""
    project = slow_project(tmp_path, 1)

    def renamed(self: Application, **_: object) -> str:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)
        except KeyboardInterrupt:
            raise RuntimeError("Query interrupted") from None
        return "succeeded"

    monkeypatch.setattr(Application, "run", renamed)
    with pytest.raises(RunError) as caught:
        project.apply()
    assert (caught.value.exit_status, caught.value.diagnostics[0].code) == (12, "E-interrupted")
