"""Runs that nobody waits for, from the command line with the real supervisor; and the operator's word at a terminal."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from project import Project, write_csv
from tiny import tiny_model, tiny_rows


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two arms that need no language model."""
    tiny_model(tmp_path / "model")
    write_csv(tmp_path / "train.csv", tiny_rows(24, seed=1))
    write_csv(tmp_path / "test.csv", tiny_rows(12, seed=2))
    keep = ["majority", "tfidf"]
    spec: dict[str, Any] = {
        "spec_version": 1, "name": "toy", "task": {"type": "classification"},
        "data": {"train": "train.csv", "test": "test.csv", "label_budget": 12}, "model": {"path": "model"},
        "evaluation": {"data_seeds": 2},
        "methods": {"include": keep, "exclude": ["encoder", "probe", "zero-shot", "in-context", "pattern+lora",
                                                 "head+lora", "pattern+full"]},
    }  # fmt: skip
    made = Project(tmp_path, spec)
    assert made.path.exists()
    return made


def said(project: Project, *arguments: str, status: int = 0, policy: Path | None = None) -> dict[str, Any]:
    """The envelope of a verb."""
    env = {"FEWTUNE_POLICY": str(policy)} if policy else {}
    done = project.cli(*arguments, "--json", env=env)
    assert done.returncode == status, done.stdout + done.stderr
    envelope: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return envelope


def test_hand_in_follow_and_read_the_results(project: Project) -> None:
    sent = said(project, "apply", "spec.json", "--detach", "--in-process")
    handle = sent["data"]["handle"]
    assert sent["next"][0] == f"fewtune watch {handle}"
    watched = project.cli("watch", handle, "--json")
    lines = [json.loads(line) for line in watched.stdout.splitlines()]
    assert watched.returncode == 0, watched.stderr
    assert lines[-1]["data"]["state"] == "succeeded"
    seqs = [line["data"]["event"]["seq"] for line in lines[:-1]]
    assert seqs == sorted(set(seqs))
    assert said(project, "status", handle)["data"]["state"] == "succeeded"
    assert [one["handle"] for one in said(project, "status")["data"]["runs"]] == [handle]
    again = said(project, "apply", "spec.json", "--detach", "--in-process")
    assert again["data"]["changed"] is False
    assert said(project, "cancel", handle)["data"]["changed"] is False
    assert said(project, "results")["data"]["verdict"]
    assert said(project, "cancel", "r0001")["data"]["handle"] == handle, "a run's name leads to its handle"


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("status", "s-000000000000"), 7, "E-not-found"),
        (("watch", "s-000000000000"), 7, "E-not-found"),
        (("cancel", "r0007"), 7, "E-not-found"),
        (("approve", "s-000000000000"), 7, "E-not-found"),
        (("apply", "spec.json", "--detach", "--cluster", "x"), 2, "E-usage"),
    ],
)
def test_what_cannot_be_followed_says_so(project: Project, arguments: tuple[str, ...], status: int, code: str) -> None:
    assert said(project, *arguments, status=status)["diagnostics"][0]["code"] == code


def test_the_operators_word_counts_at_a_terminal_only(project: Project, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("policy_version = 1\n[each]\ntrials = 1\n")
    refused = said(project, "apply", "spec.json", "--in-process", status=5, policy=policy)
    assert refused["diagnostics"][0]["code"] == "E-approval"
    sent = said(project, "apply", "spec.json", "--detach", "--in-process", status=5, policy=policy)
    handle = sent["data"]["handle"]
    assert (sent["data"]["state"], sent["diagnostics"][0]["code"]) == ("awaiting_approval", "E-approval")
    planned = said(project, "plan", "spec.json", policy=policy)
    assert ("E-approval", "warning") in [(one["code"], one["severity"]) for one in planned["diagnostics"]]
    plan_hash = planned["data"]["plan_hash"]
    assert said(project, "approve", handle, status=5, policy=policy)["diagnostics"][0]["code"] == "E-approval"
    assert at_terminal(project, policy, handle, "nonsense") == 5
    assert said(project, "status", handle)["data"]["state"] == "awaiting_approval"
    assert at_terminal(project, policy, handle, plan_hash[:6]) == 0
    deadline = time.monotonic() + 60
    while said(project, "status", handle)["data"]["state"] != "succeeded":
        assert time.monotonic() < deadline
    over = said(project, "approve", handle, policy=policy)["data"]
    assert (over["approved"], over["text"]) == (False, f"{handle} is over (succeeded): it needs no word")
    said(project, "apply", "spec.json", "--in-process", policy=policy)


def at_terminal(project: Project, policy: Path, handle: str, word: str) -> int:
    """Run `approve` on a terminal of its own and type a word; returns the exit status."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "FEWTUNE_WORKSPACE": "workspace", "FEWTUNE_POLICY": str(policy)}
    command = [sys.executable, "-m", "fewtune.api.cli", "approve", handle]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=project.folder, env=env)
    os.close(theirs)
    shown = b""
    while b"to allow this plan" not in shown:
        assert select.select([ours], [], [], 60)[0], shown
        shown += os.read(ours, 4096)
    assert b"above each.trials" in shown
    os.write(ours, word.encode() + b"\n")
    while True:
        try:
            if not os.read(ours, 4096):
                break
        except OSError:  # the other end is closed
            break
    os.close(ours)
    return process.wait(60)
