"""The operator's policy: what its file may say, and what an unreadable one allows."""

from typing import Any

import pytest

from fewtune.specs.diagnostic import PlanError
from fewtune.specs.policy import NO_POLICY, Policy, read_policy

FULL = b"""
policy_version = 1
roots = ["/data"]
models = ["smollm2-135m-instruct", "facebook/*"]
network = false
agents_submit = true
[each]
trials = 60
device_hours = "2 h"
wall_time = "1 h"
disk = "5 GB"
looks = 3
[totals]
window = "2 days"
device_hours = "8 h"
submissions = 20
"""


def test_a_whole_policy_is_read() -> None:
    policy = read_policy(FULL, "policy.toml")
    assert policy.each.trials == 60
    assert policy.each.disk is not None
    assert policy.each.disk.bytes == 5 * 10**9
    assert policy.totals.window.seconds == 2 * 86_400
    assert Policy.model_validate(policy.model_dump(mode="json")) == policy


@pytest.mark.parametrize(
    ("content", "pointer"),
    [
        (b"", "/policy_version"),
        (b"policy_version = 2", "/policy_version"),
        (b"policy_version = 1\nagent_submit = true", "/agent_submit"),
        (b"policy_version = 1\nagents_submit = 'yes'", "/agents_submit"),
        (b"policy_version = 1\n[each]\ntrials = -1", "/each/trials"),
        (b"policy_version = 1\n[each]\ntrials = true", "/each/trials"),
        (b"policy_version = 1\n[each]\ndevice_hours = 2", "/each/device_hours"),
        (b"policy_version = 1\nnetwork = [", ""),
        (b"\xff\xfe", ""),
        (b"a = " + b"[" * 100_000, ""),
        (b"#" * 70_000, ""),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(content: bytes, pointer: str) -> None:
    with pytest.raises(PlanError) as caught:
        read_policy(content, "policy.toml")
    assert caught.value.exit_status == 13
    assert {found.code for found in caught.value.diagnostics} == {"E-policy"}
    assert pointer in {found.pointer for found in caught.value.diagnostics}


def test_a_misspelt_key_has_the_nearest_name() -> None:
    with pytest.raises(PlanError) as caught:
        read_policy(b"policy_version = 1\nagents_sumbit = true\n[each]\ntrails = 3", "policy.toml")
    assert [found.nearest for found in caught.value.diagnostics] == ["trials", "agents_submit"]


@pytest.mark.parametrize(
    ("models", "name", "allowed"),
    [
        (None, "anything", True),
        ([], "smollm2-135m-instruct", False),
        (["facebook/*"], "facebook/opt-125m", True),
        (["facebook/*"], "Facebook/opt-125m", False),
        (["facebook/*"], "notfacebook/opt", False),
    ],
)
def test_models_are_allowed_by_pattern(models: Any, name: str, allowed: bool) -> None:
    assert Policy.model_validate({"policy_version": 1, "models": models}).allows_model(name) is allowed


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("http://localhost:8000/v1", True),
        ("http://localhost/v1", True),
        ("https://localhost:8000", False),
        ("http://localhost:80@evil.example/v1", False),
        ("http://localhost:x", False),
        ("http://evil.example/http://localhost:80", False),
        ("http://localhost.evil.example:80", False),
        ("file:///etc/passwd", False),
        ("localhost:8000", False),
        ("", False),
    ],
)
def test_a_teacher_is_allowed_by_host_and_port(address: str, allowed: bool) -> None:
    policy = Policy.model_validate({"policy_version": 1, "teachers": ["http://localhost:*"]})
    assert policy.allows_teacher(address) is allowed


def test_without_a_file_agents_do_not_submit_and_people_may() -> None:
    assert not NO_POLICY.agents_submit
    assert NO_POLICY.network
    assert NO_POLICY.allows_model("anything")
    assert set(NO_POLICY.each.model_dump().values()) == {None}
