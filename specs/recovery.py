"""Reading on behind slips: each is mended where that is clear, and what it hid is looked at.

Reading is repeated on the mended text, as long as it helps and as all readings together stay as short as one of the
longest documents. Every place that is reported counts in the text as it was given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fewtune.specs.mends import Change, Way, bypass, mend, unfenced, ways
from fewtune.specs.parse import Attempt, Document, Format, ParseFault, attempt, attempt_text, fault_of
from fewtune.specs.position import MAX_NODES, Positions, RawSpan, Slip
from fewtune.specs.slips import MAX_BYTES

ROUNDS = 12
"""Most readings of one text."""
WEIGHED = 20
"""Faults of one text up to which two values of one key are read."""
FENCE = ParseFault(code="E-syntax", message="The spec stands between the marks of a code block.", line=1, column=1,
                   remedy="Give the text between the marks alone.")  # fmt: skip


@dataclass(frozen=True)
class Mended:
    """A fault of the text and the changes that mend it, in offsets of the text as given; none: a person must."""

    fault: ParseFault
    changes: tuple[Change, ...] = ()
    ways: tuple[Way, ...] = ()
    """Of a key with two values: how each would stay."""


@dataclass(frozen=True)
class Recovered:
    """A text as it was read."""

    text: str
    """As given, with LF line ends."""
    faults: tuple[Mended, ...]
    document: Document | None
    """What it says, all slips mended or passed by; text and positions as given. None where it cannot be told."""
    unknown: frozenset[str] = frozenset()
    """Pointers of values that could not be read."""


class Journal:
    """Changes of several readings, and the way back to the text as given."""

    def __init__(self, given: str) -> None:
        self.given = self.text = given
        self.lines = Positions(given, {})
        self.rounds: list[list[Change]] = []
        self.faults: list[Mended] = []
        self.unknown: set[str] = set()
        self._read = self._nodes = 0

    def apply(self, changes: list[Change]) -> None:
        """Change the text."""
        self.text = changed(self.text, changes)
        self.rounds.append(changes)

    def origin(self, offset: int) -> int:
        """Where a character of the present text stood in the text as given."""
        for changes in reversed(self.rounds):
            offset = _before(offset, changes)
        return offset

    def may_go_on(self, found: Attempt) -> bool:
        """Whether another reading keeps within the cost of one long document."""
        self._read += len(found.text)
        self._nodes += len(found.positions)
        again = self._read + len(found.text) <= MAX_BYTES and self._nodes + len(found.positions) <= MAX_NODES
        return again and len(self.rounds) < ROUNDS

    def note(self, slip: Slip, change: Change | None, ways: Sequence[Way] = ()) -> None:
        """Keep what slipped, at its place in the text as given."""
        other = slip.other if slip.other < 0 else self.origin(slip.other)
        fault = fault_of(
            Slip(
                kind=slip.kind, offset=self.origin(slip.offset), pointer=slip.pointer, detail=slip.detail, other=other
            ),
            self.lines,
        )
        given = tuple(Way(way.kept, self.as_given(way.change)) for way in ways)
        self.faults.append(Mended(fault, (self.as_given(change),) if change else (), given))

    def as_given(self, change: Change) -> Change:
        """The change in offsets of the text as given."""
        start = self.origin(change.start)
        end = self.origin(change.end) if change.end > change.start else start
        return Change(start, max(start, end), change.new, change.title, change.applicability)

    def document(self, found: Attempt) -> Document:
        """What was read, with its places in the text as given."""
        positions = found.positions
        if self.rounds:
            positions = Positions(self.given, {at: self._back(span) for at, span in positions.raw.items()})
        return Document(tree=found.tree, positions=positions, format=found.format, text=self.given)

    def _back(self, span: RawSpan) -> RawSpan:
        key, start, end = span
        return None if key is None else self.origin(key), self.origin(start), self.origin(end)


def recover(content: bytes, format: Format | None = None) -> Recovered:
    """Read a spec, and what lies behind its slips."""
    found = attempt(content, format)
    journal = Journal(found.text)
    if found.is_text and found.slips and (fence := unfenced(found.text)):
        journal.faults.append(Mended(FENCE, tuple(fence)))
        journal.apply(fence)
        found = attempt_text(journal.text, format)
    while found.slips and found.is_text and (changes := _mend_all(found, journal)):
        if not journal.may_go_on(found):
            return _unread(journal, ())
        journal.apply(changes)
        found = attempt_text(journal.text, found.format)
    if found.slips:
        return _unread(journal, found.slips)
    return Recovered(journal.given, _in_order(journal), journal.document(found), frozenset(journal.unknown))


def _unread(journal: Journal, slips: Sequence[Slip]) -> Recovered:
    for slip in slips:
        journal.note(slip, None)
    return Recovered(journal.given, _in_order(journal), None)


def _mend_all(found: Attempt, journal: Journal) -> list[Change]:
    """Changes for all slips that have one and do not overlap; these are noted, the others come again."""
    changes, is_json = list[Change](), found.format == "json"
    for slip in found.slips:
        change = mend(found.text, slip, is_json)
        passing = change or bypass(found.text, slip, is_json)
        if passing is None or any(_near(found.text, passing, other) for other in changes):
            continue  # what follows a slip on its line may be its doing
        if change is None and slip.kind != "duplicate":
            journal.unknown.add(slip.pointer)
        changes.append(passing)
        few = len(journal.faults) < WEIGHED
        journal.note(slip, change, ways(found.text, slip, is_json) if few and not change else ())
    return changes


def changed(text: str, changes: Iterable[Change]) -> str:
    """The text with the changes, which do not overlap."""
    pieces, at = list[str](), 0
    for change in sorted(changes, key=lambda change: (change.start, change.end)):
        pieces += (text[at : change.start], change.new)
        at = max(at, change.end)
    return "".join((*pieces, text[at:]))


def _before(offset: int, changes: list[Change]) -> int:
    """The offset before the changes."""
    shift = 0
    for change in sorted(changes, key=lambda change: (change.start, change.end)):
        begin = change.start + shift
        if offset < begin:
            break
        if offset < begin + len(change.new):
            return change.start
        shift += len(change.new) - (change.end - change.start)
    return offset - shift


def _near(text: str, one: Change, other: Change) -> bool:
    """Whether two changes touch one line."""
    first, second = sorted((one, other), key=lambda change: change.start)
    return second.start <= first.end or "\n" not in text[first.end : second.start]


def _in_order(journal: Journal) -> tuple[Mended, ...]:
    """The faults in the order of the text, none twice."""
    known = {(one.fault.line, one.fault.column, one.fault.message): one for one in reversed(journal.faults)}
    return tuple(sorted(known.values(), key=lambda one: (one.fault.line, one.fault.column)))
