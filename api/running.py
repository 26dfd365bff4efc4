"""apply: from a plan to results."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from fewtune.api.session import Planned, plan_spec
from fewtune.compiler.plan import Compiled
from fewtune.runtime.applying import Application, Reporter, refuse_without_libraries
from fewtune.runtime.executor import Executor, InProcess, Setting
from fewtune.runtime.job import ModelRef
from fewtune.specs.diagnostic import Diagnostic, PlanError, RunError
from fewtune.specs.experiment import Experiment
from fewtune.store.reader import Reader
from fewtune.store.writer import Store


@dataclass(frozen=True)
class How:
    """How the operator wants a run to be executed."""

    in_process: bool = False
    workers: int | None = None
    """Workers; None: one for each device."""
    cluster: str | None = None
    """Address of a running Ray cluster."""
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


def apply(path: Path, workspace: Path, how: How, reporter: Reporter, *, within: str | None = None) -> Applied:
    """Plan again, compare, and run what is missing.

    Args:
        path: a spec, or a file of `plan --save`.
        workspace: where results are kept.
        how: engine and workers.
        reporter: is told what happens.
        within: a limit on the clock that replaces the spec's.

    Raises:
        FewtuneError: the plan is refused, stale or edited; the workspace is busy; the run was interrupted.
    """
    began = time.monotonic()
    planned = plan_file(path, workspace, within=within) if is_saved(path) else plan_spec(path, workspace, within=within)
    unchanged = _unchanged(planned, workspace)
    if unchanged is not None:
        return Applied(planned, unchanged, "succeeded", 0, time.monotonic() - began)
    with Store.open(workspace, wait_seconds=how.wait_seconds) as store, interruptible():
        return _run(store, planned, how, reporter, began)


def _run(store: Store, planned: Planned, how: How, reporter: Reporter, began: float) -> Applied:
    facts = planned.probed.facts
    setting = _setting(planned, how)

    def start() -> Executor:
        refuse_without_libraries()
        _refuse_without_model(planned)
        if how.in_process:
            return InProcess(setting)
        from fewtune.runtime.cluster import RayCluster

        return RayCluster(setting, address=how.cluster)

    application = Application(store, planned.compiled, facts.data, planned.probed.corpus, reporter, start)
    if application.changes().stages:
        refuse_without_libraries()
        _refuse_without_model(planned)
    try:
        state = application.run(
            devices=(facts.device.name,) * facts.device.count, workers=setting.workers,
            engine="in-process" if how.in_process else "ray",
        )  # fmt: skip
    except KeyboardInterrupt:
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
    workers = 1 if how.in_process else how.workers or facts.device.count
    model = ModelRef(path=str(planned.probed.model_folder), weights_hash=facts.model.weights_hash)
    threads = max(1, facts.device.cores // workers)
    return Setting(model, planned.probed.corpus, facts.device.kind, workers, threads)


def _refuse_without_model(planned: Planned) -> None:
    from fewtune.runtime.smollm2 import is_ready

    if planned.probed.facts.model.source == "embedded" and not is_ready():
        message = f"the model {planned.plan.facts.model} is not on this machine yet"
        raise RunError(
            Diagnostic(code="E-facts-missing", message=message, remedy="run `fewtune pull SPEC`"), exit_status=3
        )


def _unchanged(planned: Planned, workspace: Path) -> str | None:
    """The latest run of this experiment, if it was this plan, is complete, and nothing of it is missing."""
    latest = Reader(workspace).latest_run(planned.plan.experiment_name)
    if latest is None or latest.ended is None or latest.ended.state != "succeeded":
        return None
    same = latest.started.plan_hash == planned.plan.hash
    same = same and latest.started.spec == planned.plan.experiment.model_dump(mode="json")
    return latest.id if same and planned.changes.nothing else None


@contextmanager
def interruptible() -> Iterator[None]:
    """Treat a request to terminate like Ctrl-C; the second one ends the process at once."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, _at_once)
        signal.signal(signal.SIGTERM, _at_once)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _at_once(number: int, frame: FrameType | None) -> None:
    os._exit(12)


# Plans that were saved.


def is_saved(path: Path) -> bool:
    """Whether this is a file of `plan --save`; a spec has no plan_hash."""
    if path.suffix != ".json" or not path.is_file():
        return False
    with path.open("rb") as handle:
        return b'"plan_hash"' in handle.read(20_000_000)


def plan_file(path: Path, workspace: Path, *, within: str | None = None) -> Planned:
    """Plan the spec that a saved plan holds, and refuse the file if the result is not the same.

    Raises:
        PlanError: E-plan-edited where the file contradicts itself, E-plan-stale where facts or rules have changed.
    """
    saved = _read_saved(path)
    spec = saved["plan"]["experiment"]
    base = Path(saved.get("base", ".")).resolve()
    planned = _plan_experiment(spec, saved["plan"]["experiment_name"], base, workspace, within)
    if saved["plan"] != planned.plan.model_dump(mode="json"):
        raise PlanError(_stale(saved, planned.compiled), exit_status=4)
    return planned


def _read_saved(path: Path) -> dict[str, Any]:
    try:
        saved: dict[str, Any] = json.loads(path.read_bytes())
        plan = saved["plan"]
        Experiment.model_validate(plan["experiment"])
        plan["facts"]["identity"], plan["rule_set"], plan["experiment_name"], saved["plan_hash"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        message = f"{path.name} is not a whole plan"
        remedy = "save it again: fewtune plan SPEC --save FILE"
        raise PlanError(Diagnostic(code="E-plan-edited", message=message, remedy=remedy), exit_status=4) from error
    return saved


def _plan_experiment(spec: dict[str, Any], name: str, base: Path, workspace: Path, within: str | None) -> Planned:
    """Plan a spec that is given as values."""
    with tempfile.TemporaryDirectory() as scratch:
        written = Path(scratch) / f"{name}.json"
        written.write_text(json.dumps(spec))
        return plan_spec(written, workspace, within=within, base=base)


def _stale(saved: dict[str, Any], compiled: Compiled) -> Diagnostic:
    """Say which part differs: facts, rules, or the file itself."""
    was, now = saved["plan"], compiled.plan
    if was["facts"].get("identity") != now.facts.identity:
        reason, code = "the data, the model or the device are not those of the plan", "E-plan-stale"
    elif was.get("rule_set") != now.rule_set:
        reason, code = f"the plan was made with other rules ({was.get('rule_set')}, now {now.rule_set})", "E-plan-stale"
    else:
        reason, code = "the file says something else than its spec and facts give", "E-plan-edited"
    return Diagnostic(code=code, message=reason, got=str(saved["plan_hash"]), expected=now.hash,
                      remedy="plan again: fewtune plan SPEC --save FILE")  # fmt: skip
