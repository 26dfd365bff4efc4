"""Apply a plan: run what is missing, record what happened, decide the gates.

One loop: decide what can be decided, hand ready jobs to idle workers, wait, record, publish. A result counts once the
journal holds it; everything else can be computed again. Workers are never trusted to stay alive, and no failure of one
trial stops the others.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from fewtune.compiler.arm import Arm, Precision
from fewtune.compiler.diff import Changes
from fewtune.compiler.facts import DataFacts
from fewtune.compiler.plan import Compiled, Gate, Plan, Stage
from fewtune.runtime.agenda import Agenda
from fewtune.runtime.augmenting import Augmenting
from fewtune.runtime.batches import Batches, Work
from fewtune.runtime.choosing import choose
from fewtune.runtime.executor import Executor, Finished, Lost
from fewtune.runtime.families import Family, JobMaker
from fewtune.runtime.job import Answer, Batch, Corpus, Fitted, Job, Progress, Scored
from fewtune.runtime.pace import Pace
from fewtune.runtime.recording import Recorder
from fewtune.runtime.supply import Supply
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.store import event as happened
from fewtune.store.looks import looked_at, shown_by
from fewtune.store.writer import Store

WAIT = 1.0
"""Seconds between two looks at workers and publication."""


class Reporter(Protocol):
    """Who is told what happens while a run goes on."""

    def began(self, run: str, jobs: int, seconds: float) -> None:
        """A run began; so many jobs, about so many seconds."""

    def progress(self, progress: Progress) -> None:
        """A worker gave a sign of life."""

    def ended(self, job: str, outcome: str, done: int, jobs: int, left: float) -> None:
        """A job came to its end; about so many seconds are left."""

    def said(self, text: str) -> None:
        """Something worth a line."""


@dataclass(frozen=True)
class Held:
    """A job that a worker holds."""

    family: Family
    job: Job
    attempt: str
    since: float
    """When it began, or its pack, the seconds of those that ended taken off."""
    slots: int = 1


@dataclass
class Application:
    """One apply of one plan on an open store."""

    store: Store
    compiled: Compiled
    data: DataFacts
    corpus: Corpus
    reporter: Reporter
    start_executor: Callable[[], Executor]
    watch: Callable[[], None] = lambda: None
    """Raises where the run has taken more than it may; asked between two waits."""
    base: Path = Path()
    """The spec's folder."""
    device: str = "cpu"
    """Where a teacher of this machine and the encoder compute."""
    held: dict[str, dict[str, Held]] = field(default_factory=dict)
    """Worker -> job -> what it holds."""
    bases: dict[str, tuple[Precision, bool]] = field(default_factory=dict)
    """Worker -> the base that it used last: what needs the same one comes first."""
    workers: int = 1
    cores: int = 0
    """Cores that the jobs at work share; 0: workers keep the threads that they were given."""
    jobs: int = 0
    """Jobs at the beginning, those that were dropped since among them."""
    finished: int = 0

    def __post_init__(self) -> None:
        """Read what is known and order the work."""
        self.maker = JobMaker(self.compiled, self.data)
        self.recorder = Recorder(self.plan, self.maker, self.corpus)
        self.augmenting = Augmenting(self.plan, self.maker, self.corpus)
        known = self.store.known({stage.fingerprint for stage in self.plan.stages})
        self.agenda = Agenda(self.plan, known, self.store.history)
        for stage in self.augmenting.stages:
            if self.agenda.done[stage.id]:
                self.supply.restore(stage)

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.compiled.plan

    def changes(self) -> Changes:
        """What is missing."""
        return self.agenda.changes()

    def run(
        self, *, spec_folder: str, devices: tuple[str, ...], workers: int, engine: str, cores: int = 0,
        slots: int | None = None,
    ) -> str:  # fmt: skip
        """Do what is missing.

        Args:
            spec_folder: the spec's, seen from the workspace.
            devices: their names.
            workers: how many jobs may run at the same time.
            engine: in-process or ray.
            cores: of the machine, where all workers share it; 0: each worker keeps its threads.
            slots: trainings that share a step; None: as many as the plan says.

        Returns:
            The run's state: succeeded, partial or failed.
        """
        run = self.store.start_run(
            self.plan,
            self.compiled.estimate,
            spec_folder=spec_folder,
            devices=devices,
            workers=workers,
            engine=engine,
        )
        self.workers, self.cores = workers, cores
        self.batches = Batches(self.compiled, slots)
        self.pace = Pace(self.compiled, workers, sharing=cores > 0)
        self._record_samples()
        self.jobs = self.agenda.jobs()
        self.reporter.began(run, self.jobs, self.pace.whole(self.changes(), engine))
        self._say_slots(slots)
        self._decide(run)
        due = any(self._due())
        executor = self.start_executor() if due or any(self._ready()) else None
        try:
            if executor is not None:
                self.augmenting.ask_student(list(self._due()), executor)
            while executor is not None and (self._hand_out(run, executor) or self.held or self._augment(run)):
                if executor.idle():
                    self._augment(run)
                for outcome in executor.wait(WAIT, self.reporter.progress):
                    self._take(outcome)
                    self._decide(run)
                self._look()
                self.store.publish()
                self.watch()
        finally:
            if executor is not None:
                executor.close()
        return self._end()

    @cached_property
    def supply(self) -> Supply:
        """What makes synthetic examples."""
        return Supply(
            self.plan, self.data, self.corpus, self.maker, self.augmenting, self.store, self.base, self.device,
            self.reporter.said, self.watch,
        )  # fmt: skip

    def _due(self) -> Iterator[Stage]:
        """Synthetic data sets that are not there and still needed."""
        return self.augmenting.due(self.agenda.done, self.agenda.kept, self.agenda.refits())

    def _augment(self, run: str) -> bool:
        """Make the next synthetic data set that is due; whether one was.

        Where its teacher is in this machine's memory, all that are due are made before anything is trained on them.
        """
        made = False
        try:
            while not made or self.supply.holds_teacher:
                stage = next(self._due(), None)
                if stage is None:
                    break
                made = True
                self._make(stage, run)
        finally:
            if made:
                self.supply.release_teacher()
        return made

    def _make(self, stage: Stage, run: str) -> None:
        """Make a synthetic data set, or give up what needs it."""
        if not self.supply.make(stage, run):
            self.agenda.give_up(stage)
            return
        self.agenda.done[stage.id] = True
        kept = self.supply.restore(stage)
        if kept is not None:
            self.agenda.keep(stage, kept)

    def _say_slots(self, asked: int | None) -> None:
        """Where memory allows less than the operator asks for."""
        for group in self.compiled.estimate.packing:
            if asked is not None and 1 < group.fitting < asked:
                self.reporter.said(f"{group.arms[0]}: {group.fitting} trainings share a step, {asked} do not fit")

    def _end(self) -> str:
        self._look()
        failed = self.agenda.unfinished()
        state = "succeeded" if not failed else "failed" if len(failed) == len(self.agenda.families) else "partial"
        message = "" if not failed else f"{len(failed)} jobs did not finish: {', '.join(failed[:3])}"
        self.store.end_run(state, message)  # type: ignore[arg-type]
        self.store.publish(force=True)
        return state

    def _look(self) -> None:
        """Count the look at each split whose scores are about to be published."""
        known, history = self.store.history.evaluated, self.store.history
        splits = looked_at(self.data)
        new = {
            name: split for name, split in splits.items()
            if self.plan.hash not in history.looks(split.digest, split.alike)
        }  # fmt: skip
        if not new:
            return
        scored = {stage.split for stage in self.plan.stages if stage.kind == "evaluate" and stage.fingerprint in known}
        for name in new.keys() & scored:
            look = happened.Looked(
                content=new[name].digest, alike=new[name].alike, plan_hash=self.plan.hash, split=name,
                arms=len(self.plan.arms), shown=shown_by(self.plan, name),
            )  # fmt: skip
            self.store.record(look)

    def _record_samples(self) -> None:
        self.store.record(
            *(
                happened.Sampled(
                    sample=sample.id, content=sample.content, n=sample.n, data_seed=sample.data_seed, fold=sample.fold,
                    train=sample.train, validation=sample.validation, scored=sample.scored,
                    flipped=tuple((flip.row, flip.label) for flip in sample.flipped),
                )
                for sample in self.compiled.samples
            )
        )  # fmt: skip

    def _decide(self, run: str) -> None:
        """Decide halvings, then the choice, as soon as all that they compare is there (or has failed)."""
        for stage, gate in self.agenda.decidable():
            dropped = self.agenda.drop()
            selected = choose(self.plan, stage, gate, self.store.history, self.store.read, run, dropped=dropped)
            self.store.record(selected)
            self.agenda.done[stage.id] = True
            if selected.kept:
                self.agenda.keep(stage, selected.kept)
            self.reporter.said(_decided(gate, selected))

    def _ready(self) -> Iterator[Work]:
        """What could run now and is not at work."""
        return self.agenda.ready({held.family.id for jobs in self.held.values() for held in jobs.values()})

    def _hand_out(self, run: str, executor: Executor) -> bool:
        """Give ready jobs to idle workers; whether any was given."""
        given = False
        for worker in executor.idle():
            ready = list(self._ready())
            if not ready:
                break
            ready = self._in_order(ready, worker)
            alone = {family.id for family, _, _ in ready if self.agenda.troubles[family.id].alone}
            chosen, slots = self.batches.first(ready, alone, workers=self.workers)
            self._submit(executor, worker, run, chosen, slots)
            given = True
        return given

    def _in_order(self, ready: Sequence[Work], worker: str) -> list[Work]:
        """What needs the worker's base comes first, then the longest."""

        def order(work: Work) -> tuple[bool, float]:
            loaded = self.bases.get(worker)
            return loaded is not None and work[0].arm.base != loaded, -self.pace.predicted(work)

        return sorted(ready, key=order)

    def _work(self, held: Held) -> Work:
        """What a job that was handed out is about."""
        asked = {score.stage for score in held.job.scores}
        return held.family, tuple(s for s in held.family.scores if s.id in asked), held.job.fit is not None

    def _submit(self, executor: Executor, worker: str, run: str, chosen: Sequence[Work], slots: int) -> None:
        left = len(list(self._ready())) - len(chosen)
        together = min(self.workers, len(self.held) + 1 + left)
        threads = max(1, self.cores // together) if self.cores else None
        events, held = [], dict[str, Held]()
        names = self.store.attempt_names(len(chosen))
        for attempt, (family, scores, fit) in zip(names, chosen, strict=True):
            trouble = self.agenda.troubles[family.id]
            job = self.maker.job(
                family, scores, fit=fit, micro_batch=trouble.micro_batch, attempt=trouble.attempt, threads=threads
            )
            stages = ([family.fit] if fit and family.fit else []) + list(scores)
            events.append(
                happened.AttemptStarted(
                    attempt=attempt, run=run, job=family.id, trial=family.trial,
                    stages=tuple(stage.id for stage in stages),
                    fingerprints=tuple(stage.fingerprint for stage in stages), arm=family.arm.name, worker=worker,
                    micro_batch=job.recipe.micro_batch,
                )
            )  # fmt: skip
            held[job.id] = Held(family, job, attempt, time.monotonic(), slots)
        self.store.record(*events)
        self.held[worker] = held
        if not chosen[-1][0].arm.plain:
            self.bases[worker] = chosen[-1][0].arm.base
        states = tuple(None if fit else self._state(family) for family, _, fit in chosen)
        executor.submit(worker, Batch(tuple(one.job for one in held.values()), states, slots))

    def _state(self, family: Family) -> bytes | None:
        """What was fitted before; None where the arm needs nothing."""
        if family.fit is None:
            return None
        fitted = self.store.history.fitted[family.fit.fingerprint]
        return self.store.read(fitted.artefact) if fitted.artefact else b""

    # What came of it.

    def _take(self, outcome: Finished | Lost) -> None:
        if isinstance(outcome, Lost):
            self._lost(outcome)
            return
        jobs, answer = self.held[outcome.worker], outcome.answer
        held = jobs.pop(outcome.job)
        seconds = time.monotonic() - held.since
        if held.slots > 1:
            seconds = min(seconds, sum(found.seconds for found in answer.outcomes))
        jobs.update({name: replace(other, since=other.since + seconds) for name, other in jobs.items()})
        if not jobs:
            del self.held[outcome.worker]
        events, artefacts = self.recorder.record(held.family, held.attempt, answer)
        state = "succeeded" if answer.failure is None else "failed"
        ended = happened.AttemptEnded(
            attempt=held.attempt,
            state=state,
            failure=answer.failure,
            message=answer.message,
            seconds=seconds,
        )
        self.store.record(*events, ended, artefacts=artefacts)
        for found in answer.outcomes:
            self.agenda.mark(found.fingerprint)
        self._after(held, answer)

    def _after(self, held: Held, answer: Answer) -> None:
        trouble = self.agenda.troubles[held.family.id]
        if answer.failure == "out_of_memory":
            trouble.ran_out(held.job.recipe.micro_batch)
            outcome = "out of memory" + ("" if trouble.given_up else f", again with micro-batch {trouble.micro_batch}")
        elif answer.failure is not None:
            trouble.given_up = True
            outcome = f"failed: {answer.message}"
        else:
            outcome = self._told(answer)
            self.pace.keep(self._work(held), answer)
        self._report(held, outcome, over=answer.failure is None or trouble.given_up)

    def _lost(self, lost: Lost) -> None:
        """Give a dead worker's jobs to others; those that were at work may be why it died, and go alone from now on."""
        held = list(self.held.pop(lost.worker).values())
        seated = held[: held[0].slots]
        seconds = (time.monotonic() - held[0].since) / len(seated)
        for one in held:
            began = one in seated
            if began:
                self.agenda.troubles[one.family.id].lost_worker()
            ended = happened.AttemptEnded(
                attempt=one.attempt, state="failed", failure="worker_lost",
                message=lost.message if began else f"not begun: {lost.message}", seconds=seconds if began else 0.0,
            )  # fmt: skip
            self.store.record(ended)
        over = [one for one in seated if self.agenda.troubles[one.family.id].given_up]
        again, alone = len(held) - len(over), len(seated) - len(over)
        self.reporter.said(f"{lost.worker} lost ({lost.message}): {again} jobs go to another, {alone} of them alone")
        for one in over:
            self._report(one, f"{lost.worker} lost ({lost.message}), given up", over=True)

    def _told(self, answer: Answer) -> str:
        """What a finished job brought, in a few words."""
        said = []
        for outcome in answer.outcomes:
            if isinstance(outcome, Fitted) and outcome.diverged:
                said.append("diverged")
            elif isinstance(outcome, Fitted) and outcome.steps:
                said.append(f"{self._steps(outcome)} steps in {outcome.seconds:.0f} s")
            elif isinstance(outcome, Scored):
                found = self.store.history.evaluated.get(outcome.fingerprint)
                value = getattr(found.metrics, self.plan.metric) if found else None
                said.append(f"{outcome.split} {self.plan.metric} " + ("n/a" if value is None else f"{value:.3f}"))
        return ", ".join(said)

    def _steps(self, fitted: Fitted) -> str:
        """The steps of a fit, those on texts without labels apart."""
        stage = self.plan.stage_index[fitted.stage]
        arm = self.plan.arm(stage.arm or "")
        before = next((recipe.pretraining_steps for recipe in arm.recipes), 0)
        return f"{before} + {fitted.steps}" if before else str(fitted.steps)

    def _report(self, held: Held, outcome: str, *, over: bool) -> None:
        if over:
            self.finished += 1
        coming = [*self._ready(), *(self._work(one) for jobs in self.held.values() for one in jobs.values())]
        jobs = self.jobs - self.agenda.dropped_jobs
        self.reporter.ended(held.family.id, outcome, self.finished, jobs, self.pace.left(coming))


def _decided(gate: Gate, selected: happened.Selected) -> str:
    """A gate's outcome as a line."""
    if not selected.kept:
        return f"chosen: {selected.arm} ({gate.because})"
    return f"go on: {', '.join(selected.kept)} ({gate.because})"


def refuse_without_libraries(arms: Iterable[Arm] = ()) -> None:
    """Say plainly which library of training is missing.

    Args:
        arms: what is to run; only some need bitsandbytes.

    Raises:
        RunError: E-training-missing.
    """
    from importlib.util import find_spec

    needed = ["torch", "transformers", "safetensors", "sklearn"]
    needed += ["bitsandbytes"] if any(arm.four_bit for arm in arms) else []
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        message = f"not installed: {', '.join(missing)}"
        raise RunError(Diagnostic(code="E-training-missing", message=message, remedy="pip install 'fewtune[train]'"))
