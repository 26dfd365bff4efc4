"""apply: from a plan to results."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fewtune.api.absent import absent
from fewtune.api.saved import plan_any
from fewtune.api.session import Planned
from fewtune.compiler.facts import DeviceFacts
from fewtune.compiler.packing import MOST_WORKERS
from fewtune.compiler.plan import Plan
from fewtune.runtime.applying import Application, Reporter, refuse_without_libraries
from fewtune.runtime.executor import Executor, InProcess, Setting, threads_each
from fewtune.runtime.folders import encoder_folder
from fewtune.runtime.job import ModelRef
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.store.reader import Reader
from fewtune.store.writer import Store

Engine = Callable[[Setting], Executor]
"""Starts what executes jobs."""
Permit = Callable[[Planned], Callable[[], None]]
"""Lets a plan run or raises; returns a watch that raises once the run has taken more than it may."""


@dataclass(frozen=True)
class How:
    """How the operator wants a run to be executed."""

    in_process: bool = False
    workers: int | None = None
    """Workers; None: one for each GPU, up to four on a processor."""
    cluster: str | None = None
    """Address of a running Ray cluster."""
    slots: int | None = None
    """Trainings that share a step; None: as many as the plan says."""
    wait_seconds: float = 0.0
    """How long to wait for another apply."""


@dataclass(frozen=True)
class Applied:
    """What an apply did."""

    planned: Planned
    run: str
    state: str
    started: int
    """Attempts that were started."""
    seconds: float
    overrun: Diagnostic | None = None


def apply(
    path: Path,
    workspace: Path,
    how: How,
    reporter: Reporter,
    *,
    within: str | None = None,
    permit: Permit | None = None,
    engine: Engine | None = None,
) -> Applied:
    """Plan again, compare, and run what is missing.

    Args:
        path: a spec, or a file of `plan --save`.
        workspace: where results are kept.
        how: engine and workers.
        reporter: is told what happens.
        within: a limit on the clock that replaces the spec's.
        permit: whose word lets the plan run; omitted: the caller's.
        engine: what executes; omitted: Ray, or this process, as `how` says.

    Raises:
        FewtuneError: the plan is refused, stale or edited; the workspace is busy; the run was interrupted.
    """
    began = time.monotonic()
    planned = plan_any(path, workspace, within=within)
    unchanged = _unchanged(planned, workspace)
    if unchanged is not None:
        return Applied(planned, unchanged, "succeeded", 0, time.monotonic() - began)
    watch = permit(planned) if permit else lambda: None
    start = engine or _engine(planned, how)
    with Store.open(workspace, wait_seconds=how.wait_seconds) as store, interruptible() as interrupted:
        return _run(store, planned, how, reporter, began, interrupted, start, watch)


def _engine(planned: Planned, how: How) -> Engine:
    """Ray, or this process."""

    def start(setting: Setting) -> Executor:
        refuse_without_libraries(planned.plan.arms)
        _refuse_without_model(planned)
        if how.in_process:
            return InProcess(setting)
        from fewtune.runtime.cluster import RayCluster

        return RayCluster(setting, address=how.cluster)

    return start


def _run(
    store: Store,
    planned: Planned,
    how: How,
    reporter: Reporter,
    began: float,
    interrupted: Callable[[], bool],
    start: Engine,
    watch: Callable[[], None],
) -> Applied:
    facts = planned.probed.facts
    setting = _setting(planned, how)
    application = Application(
        store, planned.compiled, facts.data, planned.probed.corpus, reporter, lambda: start(setting), watch,
        base=planned.base, device=setting.device,
    )  # fmt: skip
    if application.changes().stages:
        refuse_without_libraries(planned.plan.arms)
        _refuse_without_model(planned)
    try:
        state = application.run(
            spec_folder=os.path.relpath(planned.base, store.workspace.root),
            devices=(facts.device.name,) * facts.device.count, workers=setting.workers,
            engine="in-process" if how.in_process else "ray", cores=_shared_cores(facts.device, setting, how),
            slots=how.slots,
        )  # fmt: skip
    except (KeyboardInterrupt, Exception):
        if not interrupted():  # whatever a library makes of the interrupt: DuckDB says RuntimeError
            raise
        store.end_run("cancelled", "interrupted")
        message = "interrupted; what is finished is kept, the next apply goes on"
        raise RunError(Diagnostic(code="E-interrupted", message=message), exit_status=12) from None
    run = next(reversed(store.history.runs))
    seconds = time.monotonic() - began
    return Applied(planned, run, state, store.history.attempts.get(run, 0), seconds, _overrun(planned, seconds))


def _overrun(planned: Planned, seconds: float) -> Diagnostic | None:
    limit = planned.plan.experiment.constraints.wall_time
    if limit is None or seconds <= limit.seconds:
        return None
    message = f"the run took {seconds:.0f} s, more than {limit}"
    remedy = "this machine is slower than its class, or was busy; a smaller wall_time plans for less"
    return Diagnostic(
        code="W-overrun", severity="warning", message=message, pointer="/constraints/wall_time", remedy=remedy
    )


def _setting(planned: Planned, how: How) -> Setting:
    facts = planned.probed.facts
    workers = 1 if how.in_process else how.workers or workers_for(planned, how)
    model = ModelRef(
        path=str(planned.probed.model_folder), weights_hash=facts.model.weights_hash, encoder=str(encoder_folder()),
        tuned_encoder=str(planned.probed.tuned_encoder),
    )  # fmt: skip
    threads, steady = threads_each(facts.device.cores, workers)
    return Setting(model, planned.probed.corpus, facts.device.kind, workers, threads, steady)


def workers_for(planned: Planned, how: How) -> int:
    """One for each GPU; on a processor several of one thread, 1.4 times as fast as one (tests/bench/workers.py)."""
    device, estimate = planned.probed.facts.device, planned.compiled.estimate
    if device.kind != "cpu" or how.cluster:
        return device.count
    threads, fixed = threads_each(device.cores)
    free = planned.probed.facts.weather.free_memory_bytes
    wider = max([1.0, *(min(how.slots or 0, group.fitting) / group.slots for group in estimate.packing)])
    room = int(free / max(1, wider * estimate.peak_memory_bytes.high)) if free else 1
    plan, actions = planned.plan, planned.changes.trials
    reading = {arm.name for arm in plan.arms if arm.reads}
    jobs = sum(actions[trial.id] in ("create", "retry") and trial.arm in reading for trial in plan.trials)
    return max(1, min(device.cores // threads if fixed else device.cores, MOST_WORKERS, room, jobs))


def _shared_cores(device: DeviceFacts, setting: Setting, how: How) -> int:
    """Cores that this machine's workers share out among the jobs at work."""
    return device.cores if device.kind == "cpu" and not setting.steady and not how.cluster else 0


def _refuse_without_model(planned: Planned) -> None:
    missing = absent(planned)
    if missing is not None:
        raise RunError(missing, exit_status=3)


def _unchanged(planned: Planned, workspace: Path) -> str | None:
    """The latest run of this experiment, if it was this plan, is complete, and nothing of it is missing."""
    latest = Reader(workspace).latest_run(planned.plan.experiment_name)
    if latest is None or latest.ended is None or latest.ended.state != "succeeded":
        return None
    same = latest.started.plan_hash == planned.plan.hash
    same = same and latest.started.spec == planned.plan.experiment.model_dump(mode="json")
    return latest.id if same and planned.changes.nothing and _sound(planned.plan, workspace) else None


def _sound(plan: Plan, workspace: Path) -> bool:
    """Whether the model that predict and export use is as it was recorded, to the last byte."""
    refits = {stage.fingerprint for stage in plan.stages if stage.kind == "refit"}
    reader = Reader(workspace)
    return reader.known(refits, deep=True).fitted.keys() == reader.known(refits, deep=False).fitted.keys()


_OPEN: list[list[int]] = []
"""What was asked of each that is open: an inner one answers for those around it, too."""


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Treat a request to terminate like Ctrl-C; the second one ends the process at once.

    Yields:
        A function that says whether there was one.
    """
    asked: list[int] = []
    _OPEN.append(asked)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for one in _OPEN:
            one.append(number)
        signal.signal(signal.SIGINT, _at_once)
        signal.signal(signal.SIGTERM, _at_once)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        del _OPEN[-1]


def _at_once(number: int, frame: FrameType | None) -> None:
    os._exit(12)
