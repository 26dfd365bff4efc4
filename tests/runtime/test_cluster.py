"""Ray for real: two workers of which one dies, a cluster of two nodes, an interrupt."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import Project, make_project, slow_project


def start(made: Project, *more: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "fewtune.api.cli", "apply", "spec.json", "-w", "workspace", "--json", *more]
    return subprocess.Popen(
        command,
        cwd=made.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )


def events(made: Project) -> list[dict[str, object]]:
    path = made.workspace / "journal.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def busy_worker(made: Project) -> int:
    """The process of an actor that holds a training job."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        started = {e["data"]["attempt"] for e in events(made) if e["kind"] == "attempt_started"}  # type: ignore[index]
        ended = {e["data"]["attempt"] for e in events(made) if e["kind"] == "attempt_ended"}  # type: ignore[index]
        training = [e["data"] for e in events(made) if e["kind"] == "attempt_started"  # type: ignore[index]
                    and "lora" in str(e["data"])]  # fmt: skip
        if any(job["attempt"] in started - ended for job in training):  # type: ignore[index]
            found = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _is_actor(p, made)]
            if found:
                return found[0]
        time.sleep(0.1)
    raise AssertionError("no worker was seen at work")


def _is_actor(entry: Path, made: Project) -> bool:
    try:
        title = (entry / "cmdline").read_bytes()  # run: until the first answer; more: until the next one
        at_work = b"ray::Worker.run" in title or b"ray::Worker.more" in title
        return at_work and os.readlink(entry / "cwd") == str(made.folder)
    except OSError:
        return False


def first_result(made: Project) -> None:
    """Wait until something is finished."""
    until = time.monotonic() + 120
    while not any(event["kind"] == "evaluated" for event in events(made)):
        assert time.monotonic() < until, "no result was seen"
        time.sleep(0.1)


@pytest.mark.full  # the grid loses a worker, too
def test_dead_worker_costs_each_of_its_jobs_one_attempt(tmp_path: Path) -> None:
    made = slow_project(tmp_path, 150)
    process = start(made, "--workers", "2")
    os.kill(busy_worker(made), signal.SIGKILL)
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert json.loads(output)["data"]["state"] == "succeeded"
    each_lost_job_was_tried_twice(made)
    found = Counter(e["data"]["fingerprint"] for e in events(made) if e["kind"] in ("fitted", "evaluated"))  # type: ignore[index]
    plan = made.plan().plan
    assert found == Counter(s.fingerprint for s in plan.stages if s.kind in ("train", "evaluate"))


def each_lost_job_was_tried_twice(made: Project) -> None:
    attempts = {e["data"]["attempt"]: e["data"] for e in events(made) if e["kind"] == "attempt_started"}  # type: ignore[index]
    ends = [e["data"] for e in events(made) if e["kind"] == "attempt_ended"]
    lost = [end for end in ends if end["failure"] == "worker_lost"]  # type: ignore[index]
    gone = [attempts[end["attempt"]] for end in lost]  # type: ignore[index]
    assert len({attempt["worker"] for attempt in gone}) == 1, "one worker died, with all that it held"  # type: ignore[index]
    tried = Counter(a["job"] for a in attempts.values())  # type: ignore[index]
    assert {tried[attempt["job"]] for attempt in gone} == {2}  # type: ignore[index]
    assert sum(tried.values()) == len(tried) + len(gone)


def test_a_second_apply_is_told_who_is_busy_and_goes_on_after_an_interrupt(tmp_path: Path) -> None:
    made = slow_project(tmp_path, 100)
    process = start(made, "--workers", "1")
    busy_worker(made)
    second = made.cli("apply", "spec.json", "--in-process", "--json")
    assert second.returncode == 8
    assert str(process.pid) in json.loads(second.stdout)["diagnostics"][0]["message"]
    rows = made.cli("sql", "SELECT count(*) FROM trials", "--json")
    assert rows.returncode == 0, rows.stderr
    first_result(made)  # also an instant at which results are being published
    process.send_signal(signal.SIGTERM)  # which Ray would take for itself
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 12
    assert json.loads(output)["diagnostics"][0]["code"] == "E-interrupted"
    assert events(made)[-1]["data"]["state"] == "cancelled"  # type: ignore[index]
    kept = sum(e["kind"] == "evaluated" for e in events(made))
    again = made.cli("apply", "spec.json", "--in-process", "--json")
    assert again.returncode == 0, again.stderr
    assert kept
    found = Counter(e["data"]["fingerprint"] for e in events(made) if e["kind"] == "evaluated")  # type: ignore[index]
    assert set(found.values()) == {1}


@pytest.fixture
def two_nodes() -> Iterator[str]:
    """The address of a Ray cluster of two nodes on this machine."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "1"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    yield cluster.address
    cluster.shutdown()


def test_cluster_of_two_nodes(tmp_path: Path, two_nodes: str) -> None:
    made = make_project(tmp_path)
    made.path  # noqa: B018 -- written once
    process = start(made, "--cluster", two_nodes, "--workers", "2")
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert json.loads(output)["data"]["state"] == "succeeded"
    workers = {e["data"]["worker"] for e in events(made) if e["kind"] == "attempt_started"}  # type: ignore[index]
    assert workers == {"worker-1", "worker-2"}


@pytest.mark.parametrize("seeds", [2, pytest.param(10, marks=pytest.mark.full)])
def test_a_grid_shares_its_steps_and_survives_a_killed_worker(tmp_path: Path, seeds: int) -> None:
    """20 arms on a few seeds: slots are refilled, a worker dies with its whole pack, each result is there once."""
    pins = {"rank": [1, 2, 4, 8], "learning_rate": [1e-3, 2e-3, 3e-3, 5e-3, 8e-3], "steps": 60}
    made = make_project(
        tmp_path, train=200, test=20,
        methods={"exclude": ["pattern+full", "head+lora", "in-context", "probe", "encoder"], "pin": pins},
        evaluation={"data_seeds": seeds},
    )  # fmt: skip
    made.path  # noqa: B018 -- written once
    began = time.monotonic()
    process = start(made, "--workers", "2", "--slots", "4")
    first_result(made)
    os.kill(busy_worker(made), signal.SIGKILL)
    output, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert json.loads(output)["data"]["state"] == "succeeded"
    took = time.monotonic() - began
    trained = [trial for trial in made.plan().plan.trials if "lora" in trial.id]
    assert len(trained) == 20 * seeds
    found = Counter(e["data"]["fingerprint"] for e in events(made) if e["kind"] in ("fitted", "evaluated"))  # type: ignore[index]
    plan = made.plan().plan
    assert found == Counter(s.fingerprint for s in plan.stages if s.kind in ("train", "evaluate"))
    attempts = [e["data"] for e in events(made) if e["kind"] == "attempt_started"]
    lost = [e["data"] for e in events(made) if e["kind"] == "attempt_ended" and e["data"]["failure"] == "worker_lost"]  # type: ignore[index]
    assert lost
    each_lost_job_was_tried_twice(made)
    assert sum(ended["seconds"] > 0 for ended in lost) <= 4  # type: ignore[index]  # what had a seat
    shares = Counter(attempt["worker"] for attempt in attempts if "lora" in attempt["job"])  # type: ignore[index]
    assert len(shares) >= 2
    spent = sum(e["data"]["seconds"] for e in events(made) if e["kind"] == "attempt_ended")  # type: ignore[index]
    assert spent < 2 * took  # two workers
    assert len({attempt["attempt"] for attempt in attempts}) == len(attempts)  # type: ignore[index]
    assert len({attempt["job"] for attempt in attempts}) + len(lost) == len(attempts)  # type: ignore[index]
    assert 4 in {e["data"]["slots"] for e in events(made) if e["kind"] == "fitted"}  # type: ignore[index]
    rows = json.loads(made.cli("sql", "SELECT count(*) FROM trials WHERE state = 'finished'", "--json").stdout)
    assert rows["data"]["rows"] == [[len(made.plan().plan.trials)]]
