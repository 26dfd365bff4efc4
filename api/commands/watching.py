"""watch: events as they happen, one line each."""

import sys
import time
from pathlib import Path

from fewtune.api.commands.answering import Answered, answer
from fewtune.api.envelope import Envelope
from fewtune.api.runs.following import Happened, Page, Status, events, latest, status
from fewtune.api.shows.console import clock, console, safe
from fewtune.specs.diagnostic import FewtuneError

EXIT_OF_STATE = {"succeeded": 0, "partial": 10, "failed": 11, "cancelled": 12, "lost": 11}
STILL = 9
"""Exit status where it goes on after one has waited long enough."""


def watch_run(
    workspace: Path, run: str | None, cursor: str | None, *, content: bool, seconds: float | None, as_json: bool
) -> None:
    """Print a run's events until it is over, then its status; with `as_json` an envelope a line.

    Without a run the latest is watched.
    """
    last: Page | FewtuneError
    name = run or ""
    try:
        name = run or latest(workspace)
        last = _follow(workspace, name, cursor, content=content, seconds=seconds, as_json=as_json)
    except FewtuneError as error:
        last = error

    def work() -> Answered:
        if isinstance(last, FewtuneError):
            raise last
        return _last(workspace, name, last)

    answer("watch", as_json, work)


def _follow(
    workspace: Path, run: str, cursor: str | None, *, content: bool, seconds: float | None, as_json: bool
) -> Page:
    """Print pages until the last one, which is returned."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        page = events(workspace, run, cursor, content=content)
        _print(page, as_json)
        cursor = page.cursor
        if page.done or (deadline is not None and time.monotonic() >= deadline):
            return page
        try:
            time.sleep(0.05 if page.events else 0.5)
        except KeyboardInterrupt:  # the watching ends, not the run
            return page


def _print(page: Page, as_json: bool) -> None:
    for event in page.events:
        if as_json:
            data = {"event": event.model_dump(mode="json")}
            sys.stdout.write(Envelope(ok=True, verb="watch", data=data).text() + "\n")
            sys.stdout.flush()
        else:
            console(talk=True).print(_line(event))


def _last(workspace: Path, run: str, page: Page) -> Answered:
    found: Status = status(workspace, run)
    exit_status = EXIT_OF_STATE.get(found.state, STILL)
    data = {**found.model_dump(mode="json"), "cursor": page.cursor, "over": page.done, "exit_status": exit_status}
    following = ("fewtune results",) if page.done else (f"fewtune watch {run} --cursor {page.cursor}",)

    def show() -> None:
        left = f", about {clock(found.left_seconds)} left" if found.left_seconds else ""
        sys.stdout.write(f"{found.handle}: {found.state}{left}\n")

    return Envelope(ok=exit_status == 0, verb="watch", data=data, next=following), show


def _line(event: Happened) -> str:
    """An event in a line."""
    what = event.what
    said = {
        "run_started": "run {run} begins, {workers} workers",
        "attempt_started": "{attempt} {job} begins",
        "attempt_ended": "{attempt} {state}",
        "fitted": "{attempt} fitted in {steps} steps",
        "evaluated": "{attempt} {split}: {scores}",
        "selected": "{arm} is chosen ({gate})",
        "run_ended": "run {state}",
    }.get(event.kind, event.kind)
    scores = ", ".join(f"{name} {value:.3f}" for name, value in what.get("metrics", {}).items())
    loss = f", loss {what['loss']:.3f}" if what.get("loss") is not None else ""
    failure = f": {what['failure']}" if what.get("failure") else ""
    return safe(f"{event.at[11:19]} {said.format(**what, scores=scores)}{loss}{failure}")
