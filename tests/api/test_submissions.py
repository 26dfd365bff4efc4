"""Plans that run without anybody waiting: one start for one plan, budgets that bind, one end."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import preloaded
import pytest
from agents.home import SPEC, make
from fake_engine import launch
from project import Project

from fewtune.api.client import Client
from fewtune.api.runs.ending import ending
from fewtune.api.runs.following import Happened, Status, events, recent, status
from fewtune.api.runs.submitting import Cancelled, Launched, approve, cancel, submit
from fewtune.api.shows.status import done
from fewtune.specs.diagnostic import PlanError, StoreError
from fewtune.specs.policy import NO_POLICY, Policy
from fewtune.store.submission import ENDED, State
from fewtune.store.submissions import Submissions, Submitted
from fewtune.store.workspace import Workspace

SOME = ["majority", "zero-shot", "tfidf", "head+lora"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("submitted"))


@pytest.fixture
def project(folder: Path, tmp_path: Path) -> Iterator[Project]:
    """Four arms on the fake engine, in a workspace of its own; whatever still runs at the end is ended."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    made = Project(tmp_path, deepcopy({**SPEC, "methods": {"include": SOME}}))
    yield made
    for one in Submissions(Workspace(made.workspace)).all():
        cancel(one, at_once=True)


def send(project: Project, policy: Policy = NO_POLICY, **more: Any) -> Launched:
    return submit(project.plan(), project.workspace, policy, "terminal", launch=launch, **more)


def until(project: Project, handle: str, states: tuple[str, ...] = ENDED, seconds: float = 60) -> Status:
    deadline = time.monotonic() + seconds
    while (found := status(project.workspace, handle)).state not in states:
        assert time.monotonic() < deadline, found
        assert len(found.model_dump_json()) <= 600
        time.sleep(0.05)
    return found


def _gone(submitted: Submitted) -> None:
    """Wait for the supervisor's process to leave: it has said that it ended."""
    deadline = time.monotonic() + 10
    while submitted.alive:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_plan_is_begun_once_and_comes_to_one_end(project: Project) -> None:
    first, second = send(project), send(project)
    assert first.changed
    assert not second.changed
    assert first.handle == second.handle
    end = until(project, first.handle)
    assert (end.state, end.run, end.next_poll_s) == ("succeeded", "r0001", 0)
    assert not send(project).changed, "what has succeeded is not begun again"
    assert not send(project, again=True).changed
    assert list(project.reader.history().runs) == ["r0001"]
    kept = Submissions(Workspace(project.workspace)).all()[0].end
    assert kept is not None
    assert kept.started == project.attempts()["r0001"]


def test_events_resume_at_any_cursor_without_gap_or_repetition(project: Project) -> None:
    os.environ["FEWTUNE_FAKE_SECONDS"] = "0.1"
    try:
        handle = send(project).handle
    finally:
        del os.environ["FEWTUNE_FAKE_SECONDS"]
    seen: list[Happened] = []
    cursor, done = None, False
    while not done:
        page = events(project.workspace, handle, cursor)
        seen += page.events
        cursor, done = page.cursor, page.done
        time.sleep(0.05)
    whole = events(project.workspace, handle).events
    assert len(whole) == 50, "a page is bounded"
    rest = events(project.workspace, handle, events(project.workspace, handle).cursor).events
    assert [one.seq for one in (*whole, *rest)][: len(seen)] == [one.seq for one in seen]
    assert [seen[0].kind, seen[-1].kind] == ["run_started", "run_ended"]
    ended = [one for one in seen if one.kind == "attempt_ended"]
    assert len(ended) == project.attempts()["r0001"]
    for wrong in ("", "x", "1.2.3.4", "-5.1.0000000000000000.1", "5.1.0000000000000000.1"):
        with pytest.raises(StoreError):
            events(project.workspace, handle, wrong)


@pytest.mark.parametrize(("state", "changed", "dry_run", "said"), [
    ("cancelled", True, False, "what is finished is kept"), ("running", True, False, "asked to end"),
    ("running", True, True, "would be ended"), ("succeeded", False, False, "nothing to do"),
])  # fmt: skip
def test_what_cancel_says(state: State, changed: bool, dry_run: bool, said: str) -> None:
    assert done(Cancelled("s-1", state, changed), dry_run=dry_run) == said


def test_cancelling_is_idempotent_and_what_is_finished_is_kept(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWTUNE_FAKE_SECONDS", "0.3")
    handle = send(project).handle
    until(project, handle, ("running",))
    submitted = Submissions(Workspace(project.workspace)).get(handle)
    assert submitted is not None
    assert cancel(submitted, dry_run=True).state == "running"
    assert cancel(submitted).changed
    assert until(project, handle).state == "cancelled"
    assert not cancel(submitted).changed
    _gone(submitted)
    history = project.reader.history()
    assert history.runs["r0001"].ended is not None
    assert history.runs["r0001"].ended.state == "cancelled"
    finished = set(history.evaluated)
    again = send(project, again=True)
    assert again.handle.endswith("-2")
    monkeypatch.setenv("FEWTUNE_FAKE_SECONDS", "0")
    assert until(project, again.handle).state == "succeeded"
    assert finished <= set(project.reader.history().evaluated)


def test_a_queued_plan_says_what_it_waits_for_and_can_be_cancelled(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWTUNE_FAKE_SECONDS", "0.5")
    first = send(project).handle
    until(project, first, ("running",))
    project.spec["evaluation"]["data_seeds"] = 3
    second = send(project).handle
    waiting = until(project, second, ("queued",))
    assert "r0001" in (waiting.why_waiting or "")
    waits = Submissions(Workspace(project.workspace)).get(second)
    assert waits is not None
    assert cancel(waits).state == "cancelled"
    assert [one.state for one in recent(project.workspace)] == ["cancelled", "running"]


def test_a_dead_supervisor_is_lost_and_its_plan_may_be_submitted_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWTUNE_FAKE_SECONDS", "0.5")
    handle = send(project).handle
    until(project, handle, ("running",))
    holder = Submissions(Workspace(project.workspace)).all()[0].supervisor
    assert holder is not None
    os.kill(holder.pid, signal.SIGKILL)
    lost = until(project, handle)
    assert (lost.state, lost.retryable) == ("lost", True)
    monkeypatch.setenv("FEWTUNE_FAKE_SECONDS", "0")
    assert until(project, send(project, again=True).handle).state == "succeeded"


def test_what_is_above_a_ceiling_waits_for_the_operators_word(project: Project) -> None:
    policy = Policy.model_validate({"policy_version": 1, "each": {"trials": 3}})
    sent = send(project, policy)
    assert sent.state == "awaiting_approval"
    assert not send(project, policy).changed
    waiting = status(project.workspace, sent.handle)
    assert re.search("each.trials: [0-9]+ trials asked, 3 allowed", waiting.why_waiting or "")
    assert not project.reader.runs()
    approve("0" * 24, "another plan", project.workspace, "operator", launch=launch)
    assert status(project.workspace, sent.handle).state == "awaiting_approval"
    approve(sent.plan_hash, "each.trials", project.workspace, "operator", launch=launch)
    assert until(project, sent.handle).state == "succeeded"


@pytest.mark.parametrize(
    ("policy", "channel", "says"),
    [
        ({}, "agent", "read and plan, not submit"),
        ({"agents_submit": True, "models": ["facebook/*"]}, "agent", "no model"),
        ({"roots": ["/nowhere"]}, "terminal", "none of the roots"),
    ],
)
def test_what_the_policy_refuses_leaves_nothing(
    project: Project, policy: dict[str, Any], channel: Any, says: str
) -> None:
    with pytest.raises(PlanError, match=says) as caught:
        submit(project.plan(), project.workspace, Policy.model_validate({"policy_version": 1, **policy}), channel)
    assert caught.value.exit_status == 13
    assert Submissions(Workspace(project.workspace)).all() == []


def test_a_run_that_takes_more_than_it_was_admitted_with_is_ended(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = project.plan()
    allowed = plan.compiled.estimate.seconds.high + 1
    policy = Policy.model_validate({"policy_version": 1, "each": {"wall_time": f"{allowed:.0f} s"}})
    monkeypatch.setenv("FEWTUNE_FAKE_SECONDS", "0.6")
    sent = send(project, policy)
    record = Submissions(Workspace(project.workspace)).all()[0].folder / "submission.json"
    asked = json.loads(record.read_text())
    assert asked["ceiling_seconds"] == round(allowed)
    cancel(Submissions(Workspace(project.workspace)).all()[0], at_once=True)
    record.write_text(json.dumps(asked | {"ceiling_seconds": 1.0}))
    (record.parent / "end.json").unlink()
    (record.parent / "cancel").unlink()
    subprocess.run(launch(Submissions(Workspace(project.workspace)).all()[0], project.workspace), check=False)
    over = status(project.workspace, sent.handle)
    assert (over.state, over.failure) == ("failed", "budget")
    assert "E-ceiling" in over.hint


@pytest.mark.parametrize(("failure", "kind"), [("out_of_memory", "out_of_memory"), ("error", "error")])
def test_a_failure_has_its_class_and_changes_that_plan_without_it(
    project: Project, failure: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake engine fails the trained arm; every offered change of the spec plans, and leaves that arm out."""
    monkeypatch.setenv("FEWTUNE_FAKE_FAILURE", failure)
    sent = send(project)
    assert until(project, sent.handle).state == "partial"
    end = ending(project.workspace, sent.handle)
    assert end is not None
    assert (end["failure"], end["retryable"]) == (kind, False)
    assert len(json.dumps(end).encode()) <= 2000
    assert end["fixes"]
    client = Client(root=project.folder, workspace=project.workspace)
    for fix in end["fixes"]:
        assert fix["applicability"] == "choose"
        changed = client.plan(project.path, what_if=fix["patches"])
        assert "head+lora" not in {arm.method for arm in changed.plan.arms}


@pytest.mark.parametrize("clients", [6, pytest.param(50, marks=pytest.mark.full)])
def test_many_identical_submissions_at_once_are_one_run(project: Project, clients: int) -> None:
    said = _crowd(project, [2] * clients)
    assert len({handle for handle, _ in said}) == 1
    assert sum(changed for _, changed in said) == 1
    until(project, said[0][0])
    assert len(project.reader.runs()) == 1


@pytest.mark.parametrize("clients", [5, pytest.param(20, marks=pytest.mark.full)])
def test_a_crowd_never_reserves_beyond_the_budget(project: Project, clients: int) -> None:
    """Each plan takes at most two shares of a budget of seven: three are admitted, the others wait for a word."""
    share = project.plan().compiled.estimate.seconds.high
    said = _crowd(project, list(range(2, 2 + clients)), window_hours=f"{int(share * 4)} s")
    known = Submissions(Workspace(project.workspace)).all()
    reserved = sum(one.record.reserve_hours for one in known if not one.record.needs_approval)
    assert 0 < reserved <= share * 4 / 3600
    assert len(known) == len(said) == clients
    assert any(one.record.needs_approval for one in known)


CROWD = """
import sys
sys.path[:0] = {paths!r}
import os
from pathlib import Path
from fake_engine import launch
from fewtune.api.session import plan_spec
from fewtune.api.runs.submitting import submit
from fewtune.specs.policy import Policy
workspace, limit, *specs = sys.argv[1:]
workspace = Path(workspace)
totals = {{"totals": {{"device_hours": limit}}}} if limit != "-" else {{}}
policy = Policy.model_validate({{"policy_version": 1, **totals}})
waiting, begin = os.pipe()
for spec in specs:
    if not os.fork():
        os.close(begin)
        planned = plan_spec(Path(spec), workspace)
        os.read(waiting, 1)
        sent = submit(planned, workspace, policy, "terminal", launch=launch)
        os.write(1, f"{{sent.handle}} {{int(sent.changed)}}\\n".encode())
        os._exit(0)
os.close(begin)
for _ in specs:
    assert os.wait()[1] == 0
"""


def _crowd(project: Project, seeds: list[int], window_hours: str = "-") -> list[tuple[str, bool]]:
    """Submit from as many processes at the same instant."""
    specs = []
    for index, number in enumerate(seeds):
        project.spec["evaluation"]["data_seeds"] = number
        spec = project.folder / f"spec{index}.json"
        spec.write_text(json.dumps(project.spec | {"name": "toy"}))
        specs.append(spec)
    program = CROWD.format(paths=[str(Path(__file__).parents[1])])
    done = preloaded.run("-c", program, project.workspace, window_hours, *specs)
    assert done.returncode == 0, done.stderr
    return [(handle, changed == "1") for handle, changed in map(str.split, done.stdout.splitlines())]
