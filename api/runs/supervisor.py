"""The process that runs one submission: waits for the workspace, applies the plan, says how it ended.

Started by `submit` in a session of its own, so that it lives on when who submitted goes away. It reads its orders from
the submission's folder alone, and ends once: with a record of how.
"""

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fewtune.api.answers import results
from fewtune.api.running import Applied, Engine, How, apply, interruptible
from fewtune.api.runs.failing import failure_class
from fewtune.api.runs.permission import Ceiling, operators_policy
from fewtune.api.session import Planned
from fewtune.runtime.job import Progress as Sign
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, RunError
from fewtune.store.submission import End, Progress, State, Supervisor
from fewtune.store.submissions import Submitted, began, now

QUEUE_SECONDS = 7 * 24 * 3600.0
"""How long a submission waits for the ones before it."""
WRITE_SECONDS = 1.0
"""Between two records of progress."""


class Recorded:
    """Writes what a run tells into the submission's folder."""

    def __init__(self, submitted: Submitted) -> None:
        """Take the submission."""
        self._submitted = submitted
        self._written = 0.0
        self.known = Progress()

    def began(self, run: str, jobs: int, seconds: float) -> None:
        """The run has a name now."""
        self._write(run=run, jobs=jobs, left_seconds=seconds, now="workers start")

    def progress(self, progress: Sign) -> None:
        """A sign of life."""
        if time.monotonic() - self._written >= WRITE_SECONDS:
            self._write(now=f"{progress.job}: {progress.phase} {progress.done}/{progress.total}"[:120])

    def ended(self, job: str, outcome: str, done: int, jobs: int, left: float) -> None:
        """A job is over."""
        self._write(done=done, jobs=jobs, left_seconds=left, now=f"{job}: {outcome}"[:120])

    def said(self, text: str) -> None:
        """Goes into the log."""
        print(text, file=sys.stderr)  # noqa: T201 -- the log is this process's standard error

    def _write(self, **what: object) -> None:
        self._written = time.monotonic()
        self.known = self.known.model_copy(update={**what, "at": now(), "at_seconds": time.time()})
        self._submitted.write("progress", self.known)


def supervise(folder: Path, workspace: Path, engine: Engine | None = None) -> State:
    """Run a submission to its end.

    Args:
        folder: the submission's.
        workspace: where results are kept.
        engine: what executes; None: as the submission says.
    """
    submitted = Submitted(folder)
    me = Supervisor(pid=os.getpid(), host=socket.gethostname(), began=began(os.getpid()) or 0.0, at=now())
    since = time.monotonic()
    told = Recorded(submitted)
    try:
        with interruptible() as interrupted:
            submitted.write("supervisor", me)
            try:
                done = None if submitted.cancelling else _apply(submitted, workspace, told, engine)
            except (KeyboardInterrupt, Exception) as error:
                if not interrupted():  # whatever a library makes of the interrupt
                    raise
                raise _cancelled() from error
        end = _end(done, workspace, told, since) if done else _failed(told, since, _cancelled())
    except FewtuneError as error:
        end = _failed(told, since, error)
    except Exception as error:
        fault = RunError(Diagnostic(code="E-run", message=f"{type(error).__name__}: {error}"[:300]))
        submitted.conclude(_failed(told, since, fault))
        raise
    submitted.conclude(end)
    return end.state


def _apply(submitted: Submitted, workspace: Path, told: Recorded, engine: Engine | None) -> Applied:
    record, how = submitted.record, submitted.record.how
    os.chdir(submitted.folder)  # where the saved plan's own folder is counted from

    def permit(planned: Planned) -> Callable[[], None]:
        if record.needs_approval and submitted.approval is None:
            raise RunError(Diagnostic(code="E-approval", message="the operator's word is not valid any more"))
        policy = operators_policy()
        if not policy.allows_model(planned.plan.facts.model):
            message = f"the operator's policy has no model {planned.plan.facts.model!r}"
            raise RunError(Diagnostic(code="E-policy", message=message), exit_status=13)
        return Ceiling.for_run(record.ceiling_seconds, record.ceiling_bytes, workspace).check

    asked = How(in_process=how.in_process, workers=how.workers, slots=how.slots, wait_seconds=QUEUE_SECONDS)
    return apply(submitted.plan, workspace, asked, told, permit=permit, engine=engine)


def _end(done: Applied, workspace: Path, told: Recorded, since: float) -> End:
    state: State = done.state  # type: ignore[assignment]
    estimate = done.planned.compiled.estimate
    verdict = ""
    try:
        found = results(workspace, done.planned.plan.experiment_name)
        verdict = found.verdict.sentence if found.verdict and found.run.id == done.run else ""
    except FewtuneError:
        pass  # nothing was finished; the state says so
    diagnostics = (done.overrun.model_dump(mode="json"),) if done.overrun else ()
    return End(
        state=state, at=now(), seconds=time.monotonic() - since, device_hours=_hours(done, since), run=done.run,
        started=done.started, failure=None if state == "succeeded" else "error", diagnostics=diagnostics,
        verdict=verdict[:1500], cost={"predicted_seconds": estimate.seconds.mid, "seconds": done.seconds},
    )  # fmt: skip


def _hours(done: Applied, since: float) -> float:
    """Device time: of each device, or of the machine where it has none."""
    device = done.planned.probed.facts.device
    return done.seconds / 3600 * (device.count if device.kind != "cpu" else 1) if done.started else 0.0


def _failed(told: Recorded, since: float, error: FewtuneError) -> End:
    code = error.diagnostics[0].code
    state: State = "cancelled" if code == "E-interrupted" else "failed"
    run_seconds = time.monotonic() - since if told.known.run else 0.0  # what it waited for others costs nothing
    found = tuple(one.model_dump(mode="json") for one in error.diagnostics[:5])
    return End(
        state=state, at=now(), seconds=time.monotonic() - since, device_hours=run_seconds / 3600, run=told.known.run,
        failure=failure_class(code), diagnostics=found,
    )  # fmt: skip


def _cancelled() -> RunError:
    return RunError(Diagnostic(code="E-interrupted", message="cancelled; what is finished is kept"), exit_status=12)


if __name__ == "__main__":
    supervise(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())
