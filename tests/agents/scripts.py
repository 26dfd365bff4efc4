"""Scripted agents: what each does, with no more than a channel and what it was told; no model, nothing of the code."""

import json
import re
import time
from collections.abc import Sequence
from typing import Any

from agents.channels import Answer, Channel, status

OVER = ("succeeded", "partial", "failed", "cancelled", "lost")
PAUSE = 0.05
"""Seconds between two looks: the fake engine needs no longer."""


def novice(channel: Channel, data: str, seconds: float = 120, wall_time: str | None = None) -> Answer:
    """Read the brief, draft a spec for a file, do what `next` and fixes say, run it, read the answer with SQL.

    Args:
        channel: how it speaks.
        data: the file.
        seconds: that it waits for the run.
        wall_time: what its user allows; None: what the draft says.
    """
    page = channel.call("brief")["data"]["text"]
    assert len(page.encode()) <= 8000
    view = re.findall(r"^- (\w+): experiment, metric", page, re.MULTILINE)[0]
    drafted = channel.call("draft_spec", data=data)
    text = drafted["data"]["spec"]
    text = re.sub('wall_time = "[^"]+"', f'wall_time = "{wall_time}"', text) if wall_time else text
    spec = mended(channel, text)
    handle = submitted(channel, spec)
    ended = followed(channel, handle, seconds)
    assert ended["state"] == "succeeded", ended
    rows = channel.call("query_results", sql=f"SELECT arm, mean, ci_low, ci_high FROM {view} WHERE chosen")
    assert rows["data"]["rows"], rows
    return channel.call("show_results")


def mended(channel: Channel, spec: str) -> Any:
    """Validate, and take the mended text for as long as there is one and it is needed."""
    for _ in range(3):
        found = channel.call("validate_spec", spec=spec, fix=True)
        if found["data"]["valid"]:
            return spec
        spec = found["data"]["fixed"] or spec
    raise AssertionError(found["diagnostics"])


def submitted(channel: Channel, spec: Any, **more: Any) -> str:
    """Plan, then hand the plan in."""
    planned = channel.call("plan_spec", spec=spec)
    assert planned["ok"], planned["diagnostics"]
    sent = channel.call("submit_plan", spec=spec, plan_hash=planned["data"]["plan_hash"], **more)
    assert sent["ok"], sent["diagnostics"]
    return str(sent["data"]["handle"])


def followed(channel: Channel, handle: str, seconds: float = 120) -> dict[str, Any]:
    """Look until it is over, going on at the cursor."""
    cursor, deadline = None, time.monotonic() + seconds
    while time.monotonic() < deadline:
        arguments = {"run": handle, "wait_s": 2} | ({"cursor": cursor} if cursor else {})
        seen = channel.call("watch_run", **arguments)
        cursor = seen["data"].get("cursor", cursor)
        found = status(seen)
        if found["state"] in OVER:
            return found
        assert found["next_poll_s"] > 0
        time.sleep(PAUSE)
    raise AssertionError(f"{handle} did not end")


Call = tuple[str, dict[str, Any]]


def mistakes(text: str) -> list[Call]:
    """Handles that are none, empty answers, a tool that is not there: wrong on either channel."""
    return [
        ("plan_spec", {"spec": "12"}),
        ("watch_run", {"run": "the last one"}),
        ("watch_run", {"run": "s-../../x"}),
        ("cancel_run", {"run": ""}),
        ("query_results", {"sql": ""}),
        ("submit_spec", {"spec": text}),
    ]


def tool_mistakes(text: str) -> list[Call]:
    """What only a tool can be given: arguments that are not there, a number for a spec, a hash of nothing."""
    return [
        ("plan_spec", {"spec": text, "specification": text}),
        ("plan_spec", {"spec": 12}),
        ("submit_plan", {"spec": text, "plan_hash": "latest"}),
    ]


def literal(channel: Channel, spec: dict[str, Any], more: Sequence[Call] = ()) -> list[str]:
    """Sends what was never promised to work, then a spec as JSON text; returns the codes of the errors."""
    text, codes = json.dumps(spec), list[str]()
    for tool, arguments in (*mistakes(text), *more):
        answer = channel.call(tool, **arguments)
        assert not answer["ok"], (tool, arguments)
        codes += [finding["code"] for finding in answer["diagnostics"]]
    assert followed(channel, submitted(channel, text))["state"] == "succeeded"
    return codes


def impatient(channel: Channel, spec: Any, times: int = 12) -> set[str]:
    """Never waits: hands the same plan in again and again; returns the handles that it was given."""
    planned = channel.call("plan_spec", spec=spec)["data"]["plan_hash"]
    handles = {channel.call("submit_plan", spec=spec, plan_hash=planned)["data"]["handle"] for _ in range(times)}
    for handle in handles:
        followed(channel, handle)
    handles.add(channel.call("submit_plan", spec=spec, plan_hash=planned, again=True)["data"]["handle"])
    return {str(handle) for handle in handles}


def amnesiac(channel: Channel, spec: Any) -> dict[str, Any]:
    """Forgets the handle at once, and finds its run again."""
    submitted(channel, spec)
    runs = channel.call("watch_run")["data"]["runs"]
    return followed(channel, runs[-1]["handle"])


def greedy(channel: Channel, spec: dict[str, Any]) -> list[Answer]:
    """Wants more than it may: bigger plans, its own approval, other people's runs, the policy; returns the answers."""
    big = {**spec, "evaluation": {**spec.get("evaluation", {}), "data_seeds": 40}}
    answers = [channel.call("plan_spec", spec={**spec, key: value}) for key, value in FORBIDDEN.items()]
    planned = channel.call("plan_spec", spec=big)
    if planned["ok"]:
        sent = channel.call("submit_plan", spec=big, plan_hash=planned["data"]["plan_hash"])
        answers.append(sent)
        handle = (sent["data"] or {}).get("handle", "s-000000000000")
        answers += [channel.call(tool, run=handle) for tool in ("approve_plan", "approve")]
        answers.append(channel.call("submit_plan", spec=big, plan_hash=planned["data"]["plan_hash"], again=True))
        answers.append(
            channel.call("submit_plan", spec=big, plan_hash=planned["data"]["plan_hash"], approved=True, confirm=True)
        )
    answers += [channel.call("query_results", sql=query) for query in WRITES]
    answers += [channel.call("draft_spec", data=path) for path in OUTSIDE]
    answers += [channel.call("validate_spec", spec={**spec, "data": {"train": path}}) for path in OUTSIDE]
    return answers


def injector(channel: Channel, spec: dict[str, Any]) -> str:
    """Writes control characters, markup and orders wherever a spec takes text, and runs it; returns its handle."""
    hostile = {**spec, "notes": HOSTILE, "title": HOSTILE[:190], "tags": ["<b>", "x'; --"]}
    if not channel.call("plan_spec", spec=hostile)["ok"]:  # control characters are refused; what is left passes
        clean = "".join(char for char in HOSTILE if char.isprintable())
        hostile |= {"notes": clean, "title": clean[:190]}
    handle = submitted(channel, hostile)
    assert followed(channel, handle)["state"] == "succeeded"
    return handle


HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07 <script>alert(1)</script> [red]x[/red] \u202egnp.exe\u202c \x9b31m ' ; DROP TABLE runs; --"
)


FORBIDDEN: dict[str, Any] = {
    "policy": {"trials": 10**6}, "approved": True, "output": "/tmp/x", "environment": {"HF_TOKEN": "x"},
    "cluster": "ray://127.0.0.1:1", "limits": {"gpu_hours": "100 h"},
}  # fmt: skip
WRITES = (
    "COPY (SELECT 1) TO 'approved-x.json'", "ATTACH 'other.duckdb'", "SELECT * FROM read_text('/etc/passwd')",
    "INSERT INTO runs VALUES (1)", "SELECT 1; SELECT 2", "SET memory_limit='1TB'",
)  # fmt: skip
OUTSIDE = (
    "../secret.csv", "/etc/passwd", "~/secret.csv", "file:///etc/passwd", "train.csv/../../secret.csv",
    "/proc/self/environ", "\\\\host\\x.csv", "%2e%2e/secret.csv",
)  # fmt: skip


def noise_chaser(channel: Channel, spec: dict[str, Any], looks: int) -> tuple[int, int]:
    """Tries variants of one experiment until an arm looks better, and claims a win for it.

    Returns:
        (claims that `compare` let it make, comparisons that it asked for), over all variants.
    """
    claims = asked = 0
    for look in range(looks):
        variant = {**spec, "methods": {**spec["methods"], "pin": {"learning_rate": 1e-4 * (1 + look)}}}
        if followed(channel, submitted(channel, variant))["state"] != "succeeded":
            continue
        rows = channel.call("query_results", sql=BEST)["data"]["rows"]
        best, worst = rows[0][0], rows[-1][0]
        verdict = channel.call("compare_arms", a=best, b=worst)
        asked += 1
        claims += verdict["data"]["verdict"] == "better"
    return claims, asked


BEST = (
    "SELECT l.arm FROM leaderboard l JOIN (SELECT max(run) AS run FROM runs) r ON l.run = r.run "
    "WHERE l.split = 'test' AND l.metric = 'accuracy' ORDER BY l.mean DESC"
)
