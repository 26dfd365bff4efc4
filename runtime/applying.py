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

from fewtune.compiler.cost import FINISH, START
from fewtune.compiler.diff import Changes, KnownWork, diff, is_dropped
from fewtune.compiler.facts import DataFacts
from fewtune.compiler.plan import Arm, Compiled, Gate, Plan, Precision, Stage
from fewtune.runtime.augmenting import Augmenting
from fewtune.runtime.batches import Batches, Work
from fewtune.runtime.choosing import choose
from fewtune.runtime.executor import Executor, Finished, Lost
from fewtune.runtime.families import Family, JobMaker, families, pending
from fewtune.runtime.job import Answer, Batch, Corpus, Fitted, Job, Progress, Scored
from fewtune.runtime.recording import Recorder
from fewtune.runtime.supply import Supply
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.store import event as happened
from fewtune.store.looks import looked_at, shown_by
from fewtune.store.writer import Store

MOST_ATTEMPTS = 3
"""Times a job is given to a worker that dies under it."""
MOST_HALVINGS = 3
"""Times a micro-batch is halved after running out of memory."""
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


@dataclass
class Trouble:
    """What went wrong with a family so far."""

    lost: int = 0
    halvings: int = 0
    micro_batch: int | None = None
    given_up: bool = False

    @property
    def alone(self) -> bool:
        """Whether it is given to a worker by itself: it may be what went wrong."""
        return self.lost > 0 or self.halvings > 0


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
    done: dict[str, bool] = field(default_factory=dict)
    kept: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Halvings that are decided, by fingerprint -> the arms that go on."""
    troubles: dict[str, Trouble] = field(default_factory=dict)
    held: dict[str, dict[str, Held]] = field(default_factory=dict)
    """Worker -> job -> what it holds."""
    bases: dict[str, tuple[Precision, bool]] = field(default_factory=dict)
    """Worker -> the base that it used last: what needs the same one comes first."""
    workers: int = 1
    cores: int = 0
    """Cores that the jobs at work share; 0: workers keep the threads that they were given."""
    jobs: int = 0
    finished: int = 0
    predicted_done: float = 0.0
    """Predicted seconds of the jobs that are over, the tiny ones left out."""
    taken: float = 0.0
    """Seconds that the work in these jobs really took."""

    def __post_init__(self) -> None:
        """Read what is known and order the work."""
        self.maker = JobMaker(self.compiled, self.data)
        self.recorder = Recorder(self.plan, self.maker, self.corpus)
        self.augmenting = Augmenting(self.plan, self.maker, self.corpus)
        self.families = families(self.plan)
        self.gates = {gate.stage: gate for gate in self.plan.gates}
        self.known = self.store.known({stage.fingerprint for stage in self.plan.stages})
        self._note_known()

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.compiled.plan

    def changes(self) -> Changes:
        """What is missing."""
        return diff(self.plan, self.known.work(self.plan))

    def _note_known(self) -> None:
        tables: dict[str, object] = {
            "train": self.known.fitted, "refit": self.known.fitted, "evaluate": self.known.evaluated,
            "select": self.known.selected, "halve": self.known.kept, "augment": self.known.augmented,
        }  # fmt: skip
        for stage in self.plan.stages:
            self.done[stage.id] = stage.kind == "sample" or stage.fingerprint in tables[stage.kind]  # type: ignore[operator]
        for stage in self._decisions:
            needs = (self.plan.stage_index[need] for need in stage.needs)
            if not all(self.done[need.id] or is_dropped(need, self.plan, self.kept) for need in needs):
                self.done[stage.id] = False  # decided while an arm had failed: once its scores are there, again
            elif stage.fingerprint in self.known.kept:
                self.kept[stage.fingerprint] = self.known.kept[stage.fingerprint]
        for stage in self.augmenting.stages:
            if self.done[stage.id]:
                self._take_synthetic(stage)
        self._drop()

    def _take_synthetic(self, stage: Stage) -> None:
        """Synthetic rows are there for the fits that need them, unless their gate stayed closed."""
        kept = self.supply.restore(stage)
        if kept is not None:
            self.kept[stage.fingerprint] = kept

    @property
    def _decisions(self) -> Iterator[Stage]:
        """What is decided while the plan is applied: halvings in their order, then the choice."""
        stages = (self.plan.stage_index[gate.stage] for gate in self.plan.gates)
        return (stage for stage in stages if stage.kind in ("halve", "select"))

    def _drop(self) -> set[str]:
        """Nothing is left to do for the trials that halvings dropped; returns their arms."""
        stages = [stage for stage in self.plan.stages if is_dropped(stage, self.plan, self.kept)]
        self.done.update({stage.id: True for stage in stages})
        return {stage.arm for stage in stages if stage.arm}

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
        self._record_samples()
        self.jobs = self._count()
        self.reporter.began(run, self.jobs, self._expected(engine))
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
        refits = [family.id for family in self.families.values() if family.trial is None and self._wanted(family)]
        return self.augmenting.due(self.done, self.kept, refits)

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
            for family in self.families.values():
                if family.fit is not None and stage.id in family.fit.needs:
                    self.troubles.setdefault(family.id, Trouble()).given_up = True
            return
        self.done[stage.id] = True
        before = sum(map(self._rounds, self.families.values()))
        self._take_synthetic(stage)
        self._drop()
        self.jobs -= before - sum(map(self._rounds, self.families.values()))

    def _say_slots(self, asked: int | None) -> None:
        """Where memory allows less than the operator asks for."""
        for group in self.compiled.estimate.packing:
            if asked is not None and 1 < group.fitting < asked:
                self.reporter.said(f"{group.arms[0]}: {group.fitting} trainings share a step, {asked} do not fit")

    def _expected(self, engine: str) -> float:
        """Predicted seconds of what is missing; where nothing is known yet, those of the plan."""
        missing = self.changes().stages
        if len(missing) == len(diff(self.plan, KnownWork()).stages):
            return self.compiled.estimate.seconds.mid
        seconds = sum(self.compiled.estimate.stage_seconds.get(stage, 0.0) for stage in missing)
        return START[engine] + (seconds if self.cores else seconds / self.workers) + FINISH

    def _count(self) -> int:
        """Jobs that are missing: a fit that is named twice is one, and one candidate will be trained on all labels."""
        refits = [family for family in self.families.values() if family.fit and family.fit.kind == "refit"]
        wanted = [family for family in self.families.values() if self._wanted(family) and family not in refits]
        trained = {family.fit.fingerprint for family in wanted if family.fit}
        decided = self.plan.stage_index["select"].fingerprint in self.store.history.selected
        final = [family.fit for family in refits if family.fit and (not decided or self._is_open(family))]
        return sum(map(self._rounds, wanted)) + any(
            not self.done[fit.id] and fit.fingerprint not in trained for fit in final[:1]
        )

    def _end(self) -> str:
        self._look()
        failed = [family.id for family in self.families.values() if self._wanted(family)]
        state = "succeeded" if not failed else "failed" if len(failed) == len(self.families) else "partial"
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

    # What can be decided.

    def _decide(self, run: str) -> None:
        """Decide halvings, then the choice, as soon as all that they compare is there (or has failed)."""
        for stage in self._decisions:
            if not self.done[stage.id] and all(self._settled(need) for need in stage.needs):
                gate = self.gates[stage.id]
                selected = choose(
                    self.plan, stage, gate, self.store.history, self.store.read, run, dropped=self._drop()
                )
                self.store.record(selected)
                self.done[stage.id] = True
                self._halve(stage.fingerprint, selected)
                self.reporter.said(_decided(gate, selected))

    def _halve(self, fingerprint: str, selected: happened.Selected) -> None:
        """Leave out the jobs of the arms that do not go on."""
        if selected.kept:
            before = sum(map(self._rounds, self.families.values()))
            self.kept[fingerprint] = selected.kept
            self._drop()
            self.jobs -= before - sum(map(self._rounds, self.families.values()))

    def _settled(self, stage: str) -> bool:
        if self.done[stage]:
            return True
        own = self.plan.stage_index[stage]
        return any(
            self.troubles.get(family.id, Trouble()).given_up
            for family in self.families.values()
            if own in family.scores
        )

    def _is_open(self, family: Family) -> bool:
        """Whether the family's gate, if it has one, lets it run."""
        gate = self.gates.get(family.id)
        if gate is None or gate.kind != "is-chosen":
            return True
        select = self.plan.stage_index["select"]
        selected = self.store.history.selected.get(select.fingerprint)
        chosen = selected is not None and self.done[select.id] and selected.arm in gate.arms
        return chosen and family.arm.seeded

    # What is to be done.

    def _wanted(self, family: Family) -> bool:
        """Whether anything of the family is missing, now or once a gate opens."""
        if family.fit is not None and family.fit.kind == "refit":
            return self._is_open(family) and not self.done[family.id]
        return not all(self.done[stage.id] for stage in family.scores)

    def _rounds(self, family: Family) -> int:
        """How many jobs a family still takes: what waits for the choice comes after the rest."""
        if family.fit is not None and family.fit.kind == "refit":
            return int(self._wanted(family))
        chosen = self.done["select"]
        return len({not chosen and "select" in stage.needs for stage in family.scores if not self.done[stage.id]})

    def _ready(self) -> Iterator[Work]:
        """(family, evaluations, whether to fit) of everything that could run now, in the plan's order."""
        busy = {held.family.id for jobs in self.held.values() for held in jobs.values()}
        for family in self.families.values():
            if family.id in busy or self.troubles.get(family.id, Trouble()).given_up:
                continue
            if family.fit is not None and family.fit.kind == "refit":
                there = all(self.done[need] for need in family.fit.needs)
                if there and self._wanted(family) and not self._comes_otherwise(family):
                    yield family, (), True
                continue
            scores = pending(family, self.done)
            if scores:
                yield family, scores, family.fit is not None and not self._is_kept(family.fit)

    def _is_kept(self, fit: Stage) -> bool:
        """Whether a fitted state is there."""
        return self.done[fit.id] and not self.plan.is_part(fit)

    def _comes_otherwise(self, refit: Family) -> bool:
        """Whether a trial is the same training, and is still to come or at work."""
        return any(
            refit.fit and other.fit and other.id != refit.id and other.fit.fingerprint == refit.fit.fingerprint
            and self._wanted(other) and not self.troubles.get(other.id, Trouble()).given_up
            for other in self.families.values()
        )  # fmt: skip

    def _hand_out(self, run: str, executor: Executor) -> bool:
        """Give ready jobs to idle workers; whether any was given."""
        given = False
        for worker in executor.idle():
            ready = list(self._ready())
            if not ready:
                break
            ready = self._in_order(ready, worker)
            alone = {family.id for family, _, _ in ready if self.troubles.get(family.id, Trouble()).alone}
            chosen, slots = self.batches.first(ready, alone, workers=self.workers)
            self._submit(executor, worker, run, chosen, slots)
            given = True
        return given

    def _in_order(self, ready: Sequence[Work], worker: str) -> list[Work]:
        """What needs the worker's base comes first, then the longest."""

        def order(work: Work) -> tuple[bool, float]:
            loaded = self.bases.get(worker)
            return loaded is not None and work[0].arm.base != loaded, -self._predicted(work)

        return sorted(ready, key=order)

    def _predicted(self, work: Work) -> float:
        family, scores, fit = work
        stages = [stage.id for stage in scores] + ([family.id] if fit else [])
        return sum(self.compiled.estimate.stage_seconds.get(stage, 0.0) for stage in stages)

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
            trouble = self.troubles.setdefault(family.id, Trouble())
            job = self.maker.job(
                family, scores, fit=fit, micro_batch=trouble.micro_batch, attempt=trouble.lost + trouble.halvings + 1,
                threads=threads,
            )  # fmt: skip
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
            self._mark(found.fingerprint)
        self._after(held, answer)

    def _mark(self, fingerprint: str) -> None:
        """All stages of this name are done: the training on all labels may be one of the trials."""
        self.done.update({stage.id: True for stage in self.plan.stages if stage.fingerprint == fingerprint})

    def _after(self, held: Held, answer: Answer) -> None:
        trouble = self.troubles[held.family.id]
        if answer.failure == "out_of_memory":
            micro = held.job.recipe.micro_batch
            trouble.halvings += 1
            trouble.given_up = micro <= 1 or trouble.halvings > MOST_HALVINGS
            trouble.micro_batch = max(1, (micro + 1) // 2)
            outcome = "out of memory" + ("" if trouble.given_up else f", again with micro-batch {trouble.micro_batch}")
        elif answer.failure is not None:
            trouble.given_up = True
            outcome = f"failed: {answer.message}"
        else:
            outcome = self._told(answer)
            self._keep_pace(held, answer)
        self._report(held, outcome, over=answer.failure is None or trouble.given_up)

    def _keep_pace(self, held: Held, answer: Answer) -> None:
        """Compare the work's seconds (imports and loading apart) with the predicted ones, where they say something."""
        predicted = self._predicted(self._work(held))
        if predicted > 2.0:
            self.predicted_done += predicted
            self.taken += sum(outcome.seconds for outcome in answer.outcomes)

    def _lost(self, lost: Lost) -> None:
        """Give a dead worker's jobs to others; those that were at work may be why it died, and go alone from now on."""
        held = list(self.held.pop(lost.worker).values())
        seated = held[: held[0].slots]
        seconds = (time.monotonic() - held[0].since) / len(seated)
        for one in held:
            trouble, began = self.troubles[one.family.id], one in seated
            trouble.lost += began
            trouble.given_up = trouble.lost >= MOST_ATTEMPTS
            ended = happened.AttemptEnded(
                attempt=one.attempt, state="failed", failure="worker_lost",
                message=lost.message if began else f"not begun: {lost.message}", seconds=seconds if began else 0.0,
            )  # fmt: skip
            self.store.record(ended)
        over = [one for one in seated if self.troubles[one.family.id].given_up]
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
        left = sum(map(self._predicted, coming)) / max(1, self.workers)
        sharing = self.workers if self.cores else 1.0  # jobs side by side on one processor take longer each
        pace = self.taken / self.predicted_done if self.predicted_done else sharing
        self.reporter.ended(held.family.id, outcome, self.finished, self.jobs, left * pace)


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
