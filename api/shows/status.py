"""Where runs stand, for a reader."""

from collections.abc import Sequence

from fewtune.api.runs.following import Status
from fewtune.api.runs.submitting import Cancelled
from fewtune.api.shows.console import clock, console, safe, table
from fewtune.store.submission import ENDED


def show_status(found: Sequence[Status]) -> None:
    """A line for each run."""
    out = console()
    if not found:
        out.print("nothing was handed in here: `fewtune apply SPEC --detach`")
        return
    rows = []
    for one in found:
        work = f"{one.done}/{one.jobs}" if one.jobs is not None else ""
        left = f"about {clock(one.left_seconds)} left" if one.left_seconds else ""
        rows.append((one.handle, one.run or "", one.state, work, safe(one.why_waiting or one.now or left or one.hint)))
    table(out, ("handle", "run", "state", "jobs", ""), rows)


def done(cancelled: Cancelled, *, dry_run: bool) -> str:
    """What cancel did, beside the state that followed."""
    if not cancelled.changed:
        return "nothing to do"
    if dry_run:
        return "would be ended"
    return "what is finished is kept" if cancelled.state in ENDED else "asked to end"
