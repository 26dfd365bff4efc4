"""apply's answer: what was run, and the verdict."""

import sys
from collections.abc import Callable
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

from fewtune.api.answers import Results, results
from fewtune.api.envelope import EXIT_OF_CODE, Envelope
from fewtune.api.running import Applied, How, Permit, apply
from fewtune.api.runs.following import status
from fewtune.api.runs.permission import admission, needs_word, operators_policy, permit
from fewtune.api.runs.submitting import submit
from fewtune.api.saved import plan_any
from fewtune.api.session import Planned
from fewtune.api.shows.console import clock, console, diagnostics
from fewtune.api.shows.progress import reporter
from fewtune.api.shows.results import show_results
from fewtune.specs.diagnostic import Diagnostic, RunError, StoreError
from fewtune.store.submission import Asked

EXIT_OF_STATE = {"succeeded": 0, "partial": 10, "failed": 11}


def applied(spec: Path, workspace: Path, how: How, within: str | None) -> tuple[Envelope, Callable[[], None]]:
    """Apply, and put the results beside what was done."""
    talk = console(talk=True)
    told = reporter(talk)
    try:
        done = apply(spec, workspace, how, told, within=within, permit=_operators(workspace, how))
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


def detached(
    spec: Path, workspace: Path, how: How, within: str | None, *, again: bool
) -> tuple[Envelope, Callable[[], None]]:
    """Hand the plan in, and say how to follow it."""
    planned = plan_any(spec, workspace, within=within)
    asked = Asked(in_process=how.in_process, workers=how.workers, slots=how.slots)
    sent = submit(planned, workspace, operators_policy(), "terminal", asked=asked, again=again, client="fewtune apply")
    waits = sent.state == "awaiting_approval"
    first = f"the operator, at a terminal: fewtune approve {sent.handle}" if waits else f"fewtune watch {sent.handle}"
    following = (first, f"fewtune status {sent.handle}")
    data = {**status(workspace, sent.handle).model_dump(mode="json"), "changed": sent.changed}
    found: tuple[Diagnostic, ...] = ()
    if waits:
        said = sent.admission or admission(planned, workspace, operators_policy(), "terminal")
        found, data["exit_status"] = needs_word(said, sent.plan_hash), EXIT_OF_CODE["E-approval"]

    def show() -> None:
        sys.stdout.write(f"{sent.handle}: {sent.state}{'' if sent.changed else ' (it was handed in before)'}\n")
        console(talk=True).print(f"it waits for {first}" if waits else f"follow it: {first}")

    return Envelope(ok=not waits, verb="apply", data=data, diagnostics=found, next=following), show


def _operators(workspace: Path, how: How) -> Permit:
    """The operator's policy at the terminal."""

    def let(planned: Planned) -> Callable[[], None]:
        policy = operators_policy()
        if how.cluster and not any(fnmatchcase(how.cluster, pattern) for pattern in policy.clusters):
            message = f"the operator's policy has no cluster {how.cluster!r}"
            raise RunError(Diagnostic(code="E-policy", message=message), exit_status=13)
        return permit(planned, workspace, policy).check

    return let


def _results(done: Applied, workspace: Path) -> Results | None:
    try:
        return results(workspace, done.planned.plan.experiment_name)
    except StoreError:
        return None  # nothing was finished; the run's state says so
