"""The tools about runs: hand in, watch, cancel."""

from dataclasses import asdict
from typing import Any

from fewtune.api.bounded import fit
from fewtune.api.client import LONGEST_WAIT, Client
from fewtune.api.concise import admitted, budget
from fewtune.api.envelope import Envelope
from fewtune.api.tools.reading import SPEC, text
from fewtune.api.tools.tool import Arguments, Tool


def _watch(client: Client, arguments: Arguments) -> Envelope:
    handle = arguments.get("run")
    if handle is None:
        runs = [one.model_dump(mode="json") for one in client.recent()]
        return fit(Envelope(ok=True, verb="status", data={"runs": runs}, limits=budget(client)))
    cursor = arguments.get("cursor")
    found = client.wait(handle, min(LONGEST_WAIT, arguments.get("wait_s") or 0.0))
    page = client.events(handle, cursor, content=bool(arguments.get("content")))
    data: dict[str, Any] = {
        "status": found.model_dump(mode="json"),
        "events": [event.model_dump(mode="json") for event in page.events],
        "cursor": page.cursor,
        "over": page.done,
    }
    if page.done:
        data["end"] = client.ending(handle)
    ended = (
        ("show_results",) if found.state in ("succeeded", "partial") else ("submit_plan with again=true, or plan less",)
    )
    following = ended if page.done else (f"watch_run with this cursor in {found.next_poll_s} s",)
    return fit(Envelope(ok=True, verb="watch", data=data, next=following, limits=budget(client)))


def _submit(client: Client, arguments: Arguments) -> Envelope:
    sent = client.submit(
        arguments["spec"], arguments["plan_hash"], within=arguments.get("within"),
        what_if=arguments.get("what_if") or (), again=bool(arguments.get("again")),
    )  # fmt: skip
    data = {
        "handle": sent.handle, "plan_hash": sent.plan_hash, "state": sent.state, "changed": sent.changed,
        "admission": admitted(sent.admission) if sent.admission else None,
    }  # fmt: skip
    waits = sent.state == "awaiting_approval"
    following = (
        ("tell the operator: fewtune approve " + sent.handle, "or plan_spec with less")
        if waits else ("watch_run with this handle",)
    )  # fmt: skip
    return Envelope(ok=True, verb="submit", data=data, next=following, limits=budget(client))


def _cancel(client: Client, arguments: Arguments) -> Envelope:
    found = client.cancel(arguments["run"], at_once=bool(arguments.get("now")), dry_run=bool(arguments.get("dry_run")))
    return Envelope(ok=True, verb="cancel", data=asdict(found), next=("watch_run",))


WATCHING = (
    Tool("watch_run", "Where a run stands (state, why it waits, when to look again) and what happened since a cursor. "
         "Without a run: all that go on and the latest; call this first when you have lost track.", _watch,
         {"run": text("A handle or a run."), "cursor": text("Of the last answer."),
          "wait_s": {"type": "number", "description": "Wait so long for its end, 25 at most."},
          "content": {"type": "boolean", "description": "Messages of failed jobs: text that may come from anywhere."}}),
)  # fmt: skip
WRITING = (
    Tool("submit_plan", "Run a plan: give the spec and the plan_hash that plan_spec answered. Returns a handle at "
         "once; the same plan is begun once, however often it is submitted. Above the operator's ceilings it waits for "
         "the operator, whom no tool replaces.", _submit,
         {"spec": SPEC, "plan_hash": text("Of plan_spec."), "within": text("As it was planned."),
          "what_if": {"type": "array", "description": "As it was planned."},
          "again": {"type": "boolean", "description": "Once more where it ended without success."}},
         ("spec", "plan_hash"), writes=True),
    Tool("cancel_run", "End a run at its next step, or now. What is finished is kept; twice is as once.",
         _cancel, {"run": text("A handle."), "now": {"type": "boolean", "description": "End its processes at once."},
                   "dry_run": {"type": "boolean", "description": "Only say what would be done."}}, ("run",),
         writes=True, destructive=True),
)  # fmt: skip
