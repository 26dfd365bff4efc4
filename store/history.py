"""What the journal says so far, folded into the few tables that planning and applying ask for.

Cheap on purpose: no database, no numpy. A later result for the same fingerprint replaces an earlier one; it is only
ever computed again where the earlier artefact was lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from fewtune.store.event import (
    AttemptEnded,
    AttemptStarted,
    Augmented,
    Evaluated,
    Fitted,
    Looked,
    RunEnded,
    RunStarted,
    Sampled,
    Selected,
)
from fewtune.store.journal import continues, read
from fewtune.store.record import START, Position, Record


@dataclass(frozen=True, kw_only=True)
class Run:
    """One apply of a plan, as far as it came."""

    started: RunStarted
    at: str
    """When it began (UTC)."""
    fence: int
    ended: RunEnded | None = None

    @property
    def id(self) -> str:
        """The run's name."""
        return self.started.run


@dataclass(kw_only=True)
class History:
    """The journal's content, by what one asks for. `add` is the only thing that changes it."""

    end: Position = START
    last_at: str | None = None
    """When the last event happened (UTC)."""
    runs: dict[str, Run] = field(default_factory=dict)
    """Run -> run, in the order of their beginning."""
    fitted: dict[str, Fitted] = field(default_factory=dict)
    """Fingerprint -> last result."""
    augmented: dict[str, Augmented] = field(default_factory=dict)
    """Fingerprint -> last synthetic data set."""
    evaluated: dict[str, Evaluated] = field(default_factory=dict)
    """Fingerprint -> last result."""
    selected: dict[str, Selected] = field(default_factory=dict)
    """Fingerprint of the select stage or of a halving -> last decision."""
    failed: dict[str, AttemptEnded] = field(default_factory=dict)
    """Fingerprint -> the failed attempt after which no other began."""
    sampled: set[str] = field(default_factory=set)
    """Contents of the samples that were told."""
    looked: list[Looked] = field(default_factory=list)
    """Looks at scores, in the order of looking."""
    open_attempts: dict[str, AttemptStarted] = field(default_factory=dict)
    """Attempts without an end."""
    attempts: dict[str, int] = field(default_factory=dict)
    """Run -> attempts that began."""

    @property
    def kept(self) -> dict[str, tuple[str, ...]]:
        """Fingerprint of each halving that was decided -> the arms that go on."""
        return {fingerprint: event.kept for fingerprint, event in self.selected.items() if event.kept}

    def looks(self, content: str, alike: str = "") -> dict[str, Looked]:
        """Plan -> its first look at scores on a split, in the order of looking.

        Args:
            content: digest of the split.
            alike: digest of its rows whatever their order, case, punctuation and spacing; empty: not known.
        """
        same = {alike, *(look.alike for look in self.looked if look.content == content)} - {""}
        contents = {content, *(look.content for look in self.looked if look.alike in same)}
        found: dict[str, Looked] = {}
        for look in self.looked:
            if look.content in contents:
                found.setdefault(look.plan_hash, look)
        return found

    def add(self, records: Iterable[Record], end: Position) -> None:
        """Take in the next records; the journal goes on at `end`."""
        for record in records:
            self._add(record)
        self.end = end

    def _add(self, record: Record) -> None:
        self.last_at = record.ts
        match record.event:
            case RunStarted() as event:
                self.runs[event.run] = Run(started=event, at=record.ts, fence=record.fence)
            case RunEnded() as event:
                self.runs[event.run] = replace(self.runs[event.run], ended=event)
            case AttemptStarted() as event:
                self._attempt_started(event)
            case AttemptEnded() as event:
                self._attempt_ended(event)
            case Augmented() as event:
                self.augmented[event.fingerprint] = event
            case Fitted() as event:
                self.fitted[event.fingerprint] = event
            case Evaluated() as event:
                self.evaluated[event.fingerprint] = event
            case Selected() as event:
                self.selected[event.fingerprint] = event
            case Sampled() as event:
                self.sampled.add(event.content)
            case Looked() as event:
                self.looked.append(event)
            case None:
                pass

    def _attempt_started(self, event: AttemptStarted) -> None:
        self.open_attempts[event.attempt] = event
        self.attempts[event.run] = self.attempts.get(event.run, 0) + 1
        for fingerprint in event.fingerprints:
            self.failed.pop(fingerprint, None)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        started = self.open_attempts.pop(event.attempt, None)
        if started is not None and event.state == "failed":
            there = (self.evaluated, self.fitted, self.augmented)
            missing = (f for f in started.fingerprints if not any(f in known for known in there))
            self.failed.update(dict.fromkeys(missing, event))


def follow(path: Path, history: History | None = None) -> History:
    """Bring a history up to date with the journal; begin anew where the journal is no longer the same.

    Raises:
        StoreError: E-journal, E-store-too-new.
    """
    history = history if history is not None and continues(path, history.end) else History()
    page = read(path, history.end)
    history.add(page.records, page.end)
    return history
