"""apply's answer: what was run, and the verdict."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from fewtune.api.answers import Results, results
from fewtune.api.console import clock, console, diagnostics
from fewtune.api.envelope import Envelope
from fewtune.api.progress import reporter
from fewtune.api.running import Applied, How, apply
from fewtune.api.show_results import show_results
from fewtune.specs.diagnostic import StoreError

EXIT_OF_STATE = {"succeeded": 0, "partial": 10, "failed": 11}


def applied(spec: Path, workspace: Path, how: How, within: str | None) -> tuple[Envelope, Callable[[], None]]:
    """Apply, and put the results beside what was done."""
    talk = console(talk=True)
    told = reporter(talk)
    try:
        done = apply(spec, workspace, how, told, within=within)
    finally:
        told.close()
    found = _results(done, workspace)
    warnings = (done.overrun,) if done.overrun else ()

    def show() -> None:
        started = "nothing to do: every result is there" if not done.started else f"{done.started} jobs started"
        talk.print(f"{started}; {clock(done.seconds)}")
        diagnostics(talk, warnings)
        if found is not None:
            show_results(console(), found)

    data = {
        "run": done.run,
        "state": done.state,
        "plan_hash": done.planned.plan.hash,
        "started": done.started,
        "seconds": round(done.seconds, 3),
        "predicted_seconds": done.planned.compiled.estimate.seconds.model_dump(),
        "verdict": asdict(found.verdict) if found and found.verdict else None,
        "forecast": asdict(found.forecast) if found and found.forecast else None,
        "exit_status": EXIT_OF_STATE[done.state],
    }
    following = ("fewtune results", 'fewtune sql "SELECT * FROM leaderboard"', "fewtune predict FILE")
    envelope = Envelope(ok=done.state == "succeeded", verb="apply", data=data, diagnostics=warnings, next=following)
    return envelope, show


def _results(done: Applied, workspace: Path) -> Results | None:
    try:
        return results(workspace, done.planned.plan.experiment_name)
    except StoreError:
        return None  # nothing was finished; the run's state says so
