"""The writing end of a workspace: what apply holds while it runs.

The order is the promise: an artefact is on the disk before the journal names it, the journal is on the disk before
anything is acknowledged, and the database comes last. Death at any point leaves garbage at worst, never a result that
is half there or there twice.
"""

import os
import socket
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from fewtune.compiler.plan import Plan
from fewtune.compiler.price import Estimate
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, StoreError
from fewtune.store import durable
from fewtune.store.artefacts import Artefact, Artefacts
from fewtune.store.event import (
    ArtefactRef,
    AttemptEnded,
    Augmented,
    Evaluated,
    Event,
    Fitted,
    Looked,
    RunEnded,
    RunStarted,
    RunState,
    Sampled,
    Selected,
)
from fewtune.store.history import History
from fewtune.store.journal import JournalWriter, read
from fewtune.store.known import Known, known
from fewtune.store.lease import Lease, Purpose, acquire
from fewtune.store.publisher import Publisher
from fewtune.store.record import Record
from fewtune.store.saved_plan import save_plan
from fewtune.store.workspace import Workspace

DIED = "the process that ran it ended without a word"


class Store:
    """A workspace, opened for writing under its lease.

    Contract: what `record` returned from is on the disk, once, for ever; where it raises, none of its events is. A
    result that is there already, with its artefact as recorded, is not recorded again. The database follows within
    seconds and holds nothing of its own: trouble with it stops nobody (`trouble`). One thread at a time.
    """

    def __init__(self, workspace: Workspace, lease: Lease, journal: JournalWriter) -> None:
        """Take over the workspace: end what a dead process left open. `Store.open` calls this."""
        self.workspace = workspace
        self.artefacts = Artefacts(workspace.artefacts)
        self.history = History()
        self._lease, self._journal = lease, journal
        self._run: str | None = None
        self._run_began = 0.0
        self._publisher = Publisher(workspace, journal, lease)
        self.history.add(journal.recovered.records, journal.end)
        self._settle(DIED)

    @classmethod
    @contextmanager
    def open(cls, root: Path, *, wait_seconds: float = 0, purpose: Purpose = "apply") -> Iterator["Store"]:
        """Hold a workspace for writing; it is made where there is none.

        A run that is still open at the end is ended as failed (cancelled, for an interrupt), and the results are
        published.

        Args:
            root: the workspace's folder.
            wait_seconds: how long to wait for another writer.
            purpose: refresh: nothing is recorded, only the database is brought up to date.

        Raises:
            StoreError: E-busy, naming the other writer; E-journal, E-store-too-new; E-store-full, E-store-unwritable.
        """
        workspace = Workspace(root.absolute())
        durable.make_folder(workspace.root)
        with acquire(workspace.lease, wait_seconds=wait_seconds, purpose=purpose) as lease:
            journal = JournalWriter(workspace.journal, lease)
            try:
                store = cls(workspace, lease, journal)
                try:
                    store.sweep()
                    yield store
                    store.end_run("failed", "nobody said how it ended")
                except BaseException as error:
                    store._end_after(error)
                    raise
                finally:
                    store._publisher.close()
                    store.publish(force=True)
            finally:
                journal.close()

    def known(self, of: Collection[str] | None = None, *, deep: bool = True) -> Known:
        """What need not be computed again; see `fewtune.store.known`."""
        return known(self.history, self.artefacts, of, deep=deep)

    def read(self, ref: ArtefactRef) -> bytes:
        """The content of an artefact; StoreError E-artefact where it is lost."""
        return self.artefacts.read(ref)

    def start_run(
        self,
        plan: Plan,
        estimate: Estimate,
        *,
        spec_folder: str = ".",
        devices: Sequence[str] = (),
        workers: int = 1,
        engine: str = "",
    ) -> str:
        """Record that this plan is applied now; returns the run's name."""
        saved = save_plan(plan, estimate)
        run = f"r{len(self.history.runs) + 1:04d}"
        started = RunStarted(
            run=run,
            plan_hash=saved.plan_hash,
            experiment=plan.experiment_name,
            spec=plan.experiment.model_dump(mode="json"),
            plan=saved.artefact.ref,
            spec_folder=spec_folder,
            devices=tuple(devices),
            workers=workers,
            engine=engine,
            version=version("fewtune"),
            pid=os.getpid(),
            host=socket.gethostname(),
        )
        self.record(started, artefacts=[saved.artefact])
        self._run, self._run_began = run, time.monotonic()
        self._lease.sign(run)
        return run

    def attempt_names(self, count: int) -> list[str]:
        """Names for the next attempts of the run, which are recorded together."""
        known = self.history.attempts.get(self._run or "", 0)
        return [f"{self._run}-{known + number}" for number in range(1, count + 1)]

    def record(self, *events: Event, artefacts: Sequence[Artefact] = ()) -> tuple[Record, ...]:
        """Record what happened; on return it is on the disk.

        Args:
            events: what happened. A result, sample, choice or look that is there already is left out.
            artefacts: what the events name; those of left-out events are not written.

        Raises:
            StoreError: E-busy where the lease was lost; E-store-full, E-store-unwritable. Nothing was recorded then.
        """
        self._catch_up()
        fresh = self._fresh(events)
        if not fresh:
            return ()
        named = {_artefact_of(event) for event in fresh}
        for artefact in artefacts:
            if (artefact.fingerprint, artefact.name) in named:
                self.artefacts.write(artefact)
        records = self._journal.append(*fresh)
        self.history.add(records, self._journal.end)
        return records

    def end_run(self, state: RunState, message: str = "") -> None:
        """Record how the run ended; attempts that are still open were interrupted."""
        if self._run is not None:
            self._catch_up()
            seconds = time.monotonic() - self._run_began
            ended = RunEnded(run=self._run, state=state, seconds=seconds, message=message)
            self.record(*self._interrupted("the run ended before it"), ended)
            self._run = None

    @property
    def trouble(self) -> Diagnostic | None:
        """Why the results could not be published last time; None: they could."""
        return self._publisher.trouble

    def publish(self, *, force: bool = False) -> bool:
        """Bring the database up to date and publish it; without `force` at most every few seconds.

        Returns:
            Whether there is a new publication now. Where it failed, `trouble` says why.
        """
        return self._publisher.publish(force=force)

    def sweep(self) -> int:
        """Remove unfinished files of processes that died; returns how many.

        A finished file that no event names stays: it is overwritten when its stage runs again, and it may belong to
        a kind of event that only a later version knows.
        """
        submissions = self.workspace.submissions  # these files are written by others, who need no lease
        found = [path for path in durable.leftovers(self.workspace.root) if submissions not in path.parents]
        for path in found:
            durable.remove(path)
        return len(found)

    def _catch_up(self) -> None:
        """Take in what was recorded when an interrupt came between the journal and the history."""
        if self.history.end != self._journal.end:
            self.history.add(read(self.workspace.journal, self.history.end).records, self._journal.end)

    def _fresh(self, events: Sequence[Event]) -> list[Event]:
        """The events that are not there already, each thing once."""
        fresh: dict[object, Event] = {}
        for event in events:
            if not self._there(event):
                fresh.setdefault(_thing(event) or len(fresh), event)
        return list(fresh.values())

    def _there(self, event: Event) -> bool:
        match event:
            case Sampled():
                return event.content in self.history.sampled
            case Fitted():
                before = self.history.fitted.get(event.fingerprint)
                return before is not None and (before.artefact is None or self.artefacts.sound(before.artefact))
            case Augmented():
                made = self.history.augmented.get(event.fingerprint)
                return made is not None and self.artefacts.sound(made.artefact)
            case Evaluated():
                earlier = self.history.evaluated.get(event.fingerprint)
                return earlier is not None and self.artefacts.sound(earlier.artefact)
            case Selected():
                decided = self.history.selected.get(event.fingerprint)
                return decided is not None and decided.model_copy(update={"run": event.run}) == event
            case Looked():
                return event.plan_hash in self.history.looks(event.content, event.alike)
            case _:
                return False

    def _settle(self, message: str) -> None:
        """End the attempts and runs of processes that died."""
        open_runs = [run.id for run in self.history.runs.values() if run.ended is None]
        events = [RunEnded(run=run, state="failed", seconds=None, message=message) for run in open_runs]
        if open_runs or self.history.open_attempts:
            self.record(*self._interrupted(message), *events)

    def _interrupted(self, message: str) -> list[AttemptEnded]:
        return [
            AttemptEnded(attempt=attempt, state="failed", failure="interrupted", message=message, seconds=None)
            for attempt in self.history.open_attempts
        ]

    def _end_after(self, error: BaseException) -> None:
        """End the run that an exception ended; where even that cannot be written, the next writer does it."""
        state: RunState = "failed" if isinstance(error, Exception) else "cancelled"
        message = str(error) if isinstance(error, FewtuneError) else f"{type(error).__name__}: {error}"
        with suppress(StoreError):
            self.end_run(state, message)


def _artefact_of(event: Event) -> tuple[str, str] | None:
    """Fingerprint and name of the file that an event names."""
    match event:
        case RunStarted():
            return event.plan.fingerprint, event.plan.name
        case Augmented() | Fitted() | Evaluated() if event.artefact is not None:
            return event.artefact.fingerprint, event.artefact.name
        case _:
            return None


def _thing(event: Event) -> tuple[str, str] | None:
    """What an event is about, where that can happen only once."""
    match event:
        case Augmented() | Fitted() | Evaluated() | Selected():
            return event.kind, event.fingerprint
        case Sampled():
            return event.kind, event.content
        case _:
            return None
