"""Bytes -> everything that can be said against a spec at once, with fixes that were tried; and what is left to plan.

A fault hides what lies behind it: a missing comma the keys, a misspelt key its value, a wrong type a contradiction.
So what can be mended is mended in a scratch copy, what cannot is left out of it, and the copy is looked at again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from fewtune.specs.authority import widens
from fewtune.specs.diagnostic import Diagnostic, Edit, Fix
from fewtune.specs.experiment import Experiment
from fewtune.specs.findings import MOST, Fault, faults_of
from fewtune.specs.meanings import meanings
from fewtune.specs.mends import Change
from fewtune.specs.parse import Document, Format
from fewtune.specs.partial import Partial
from fewtune.specs.patch import apply_patches
from fewtune.specs.position import Positions
from fewtune.specs.recovery import Mended, Recovered, recover
from fewtune.specs.repair import EFFORT, Workshop, cost
from fewtune.specs.repairs.fixing import first, has, noted
from fewtune.specs.repairs.fixing import replace as write
from fewtune.specs.repairs.senses import senses
from fewtune.specs.repairs.twice import Stands, possible
from fewtune.specs.secrets import TOKEN, scrubbed, secrets

ROUNDS = 4
"""Looks at the scratch copy."""
TRIED = 6
"""Findings about meaning whose fixes are tried: each trial judges the whole document."""


TRIALS = 8
"""Trials that the two values of one key take together, or so."""


@dataclass(frozen=True)
class Examined:
    """What was found, and what the document says apart from it."""

    found: tuple[Diagnostic, ...]
    document: Document | None
    """The document as written; None where its text cannot be read."""
    experiment: Experiment | None
    """Its meaning, mended or without what is faulty; None where too little is left."""
    partial: Partial | None
    text: str = ""

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return not self.found

    def located(self, finding: Diagnostic) -> Diagnostic:
        """The finding with its line and column."""
        return finding if self.document is None else locate(self.document, finding)


def locate(document: Document, finding: Diagnostic) -> Diagnostic:
    """The finding with its line and column; of the nearest existing parent where its own place is missing."""
    if finding.line is not None:
        return finding
    span = document.positions.at(finding.pointer)
    named = finding.code in ("E-unknown-key", "E-no-effect", "E-not-yet") and span.key is not None
    place = span.key if named and span.key else span.value
    return finding.located(place.line, place.column)


def examine(content: bytes, format: Format | None = None, stands: Stands = lambda tree, place: True) -> Examined:
    """Look at a spec: its text, its keys and values, and what they mean together.

    Args:
        content: the spec's bytes.
        format: of the text; None: by its look.
        stands: whether the spec's folder has what a place of a document names.
    """
    read = _decided(recover(content, format), stands)
    found = _of_text(read)
    if read.document is None:
        return Examined(_clean(found), None, None, None, read.text)
    partial = Partial(read.document.tree)
    found += _hidden(partial)
    found += _shapes(partial, read.unknown, _promised(read.document.tree, found))
    experiment = partial.experiment() if partial.whole else None
    if experiment is not None:
        found += _senses(partial, experiment)
        experiment = partial.experiment()
    located = [locate(read.document, _noted(finding, read.document.tree)) for finding in found]
    return Examined(_clean(located), read.document, experiment, partial, read.text)


def _noted(finding: Diagnostic, tree: Any) -> Diagnostic:
    """The finding with fixes that keep the notes as they are written."""
    return finding.model_copy(update={"fixes": tuple(noted(fix, tree) for fix in finding.fixes)})


def _decided(read: Recovered, stands: Stands) -> Recovered:
    """Of two values of one key the one that can stand there, where the other cannot."""
    if read.document is None or not any(one.ways for one in read.faults):
        return read
    tree, faults = read.document.tree, list[Mended]()
    left = EFFORT
    for one in read.faults:
        place = one.fault.pointer
        left -= TRIALS * cost(tree) if one.ways else 0
        able = [way for way in one.ways if left >= 0 and possible(tree, place, way.kept, stands)]
        only = able[0] if len(able) == 1 < len(one.ways) else None
        if only is not None and has(tree, place):
            tree = apply_patches(tree, write(tree, place, only.kept).patches)
        faults.append(replace(one, changes=(only.change,)) if only else one)
    return replace(read, faults=tuple(faults), document=replace(read.document, tree=tree))


def _of_text(read: Recovered) -> list[Diagnostic]:
    lines = Positions(read.text, {})
    return [_syntax(one, read.text, lines) for one in read.faults]


def _syntax(mended: Mended, text: str, lines: Positions) -> Diagnostic:
    fault = mended.fault
    fixes = tuple[Fix, ...]()
    if mended.changes:
        edits = tuple(_edit(change, text, lines) for change in mended.changes)
        fixes = (Fix(title=mended.changes[0].title, applicability=mended.changes[0].applicability, edits=edits),)
    else:
        fixes = tuple(Fix(title=way.change.title, applicability="choose", edits=(_edit(way.change, text, lines),))
                      for way in mended.ways)  # fmt: skip
    return Diagnostic(code=fault.code, message=fault.message, line=fault.line, column=fault.column,
                      remedy=fault.remedy, pointer=fault.pointer, fixes=fixes)  # fmt: skip


def _edit(change: Change, text: str, lines: Positions) -> Edit:
    place = lines.place(change.start)
    return Edit(line=place.line, column=place.column, removed=text[change.start : change.end], inserted=change.new)


def _hidden(partial: Partial) -> list[Diagnostic]:
    """Tokens, cut out of the scratch copy at once: nothing else may repeat them."""
    found = list(secrets(partial.tree))
    for finding in reversed(found):
        fix = first(finding.fixes)
        if fix is None or not partial.mend(fix):
            partial.drop(finding.pointer)
    return found


def _promised(tree: dict[str, Any], found: Iterable[Diagnostic]) -> Partial:
    """The document as it is once the fixes that need no choice were applied: nothing is left out of it."""
    promised = Partial(tree)
    for finding in found:
        if fix := first(finding.fixes):
            promised.mend(fix)
    return promised


def _shapes(partial: Partial, unknown: Iterable[str], promised: Partial) -> list[Diagnostic]:
    """What the types see, round by round."""
    found, seen = list[Diagnostic](), set[tuple[str, str]]()
    for pointer in sorted(unknown, reverse=True):
        partial.drop(pointer)
    effort = EFFORT
    for turn in range(ROUNDS):
        faults = faults_of(partial.tree)
        if not faults:
            return found
        workshop = Workshop(partial.tree, faults, effort)
        offers = [(fault, workshop.offer(fault) if len(faults) <= MOST else fault.diagnostic) for fault in faults]
        effort = workshop.left
        first_new = len(found)
        for fault, finding in _uncascaded(offers):
            place = partial.written(fault.place), finding.code
            told = finding.model_copy(update={"pointer": partial.written(finding.pointer)})
            if place in seen or len(found) >= MOST or (turn and partial.is_hearsay(finding, holders=False)):
                continue
            seen.add(place)
            told = _applicable(told, promised) if partial.dropped else told
            found.append(told if not turn or not partial.moved else _without_moved(told, partial))
        promised = _promised(promised.tree, found[first_new:])
        _settle(partial, offers)
    partial.whole = partial.whole and not faults_of(partial.tree)
    return found


def _uncascaded(offers: list[tuple[Fault, Diagnostic]]) -> list[tuple[Fault, Diagnostic]]:
    """Without the missing keys that another finding brings: a misspelt key is one fault, not two."""
    brought = {patch.path for _, finding in offers if (fix := first(finding.fixes)) is not None
               for patch in fix.patches if patch.op == "move"}  # fmt: skip

    def told(fault: Fault, finding: Diagnostic) -> bool:
        filled = {f"{fault.place}/path", f"{fault.place}/hub"} if finding.code == "E-conflict" else {fault.place}
        return finding.code not in ("E-missing", "E-conflict") or not filled & brought

    return [(fault, finding) for fault, finding in offers if told(fault, finding)]


def _applicable(finding: Diagnostic, promised: Partial) -> Diagnostic:
    """Without the fixes that test what nobody wrote: what a table or list says without its faulty entries."""
    fixes = tuple(fix for fix in finding.fixes if Partial(promised.tree).mend(fix))
    return finding.model_copy(update={"fixes": fixes})


def _without_moved(finding: Diagnostic, partial: Partial) -> Diagnostic:
    """Without the fixes that count on an earlier one: they are offered again when that was applied."""
    moved = tuple(partial.moved)
    fixes = tuple(fix for fix in finding.fixes if not any(patch.path.startswith(moved) for patch in fix.patches))
    return finding.model_copy(update={"fixes": fixes})


def _settle(partial: Partial, offers: list[tuple[Fault, Diagnostic]]) -> None:
    """Apply what is sure, and leave out what is not; the last entries of lists first."""
    left = list[tuple[Fault, Diagnostic]]()
    for fault, finding in offers:
        fix = first(finding.fixes)
        if fix is None or not partial.mend(fix):
            left.append((fault, finding))
    left = [
        (fault, finding) for fault, finding in left if finding.code != "E-missing" or not has(partial.tree, fault.place)
    ]
    for fault, finding in reversed(left):
        contradicts = finding.code == "E-conflict" and any(partial.mend(fix) for fix in finding.fixes)
        if not contradicts:
            partial.drop(fault.place)


def _senses(partial: Partial, experiment: Experiment) -> list[Diagnostic]:
    """What the types cannot see, with fixes that leave fewer of such faults."""
    said = [finding for finding in meanings(experiment) if not partial.is_hearsay(finding)]
    found, pristine = list[Diagnostic](), not partial.moved
    for number, finding in enumerate(said[:MOST]):
        ways = senses(partial.tree, experiment, finding) if number < TRIED else []
        fixes = tuple(fix for fix in ways if _helps(partial, fix, len(said)))
        best = first(fixes)
        kept = (best,) if best else fixes
        told = finding.model_copy(update={"pointer": partial.written(finding.pointer), "fixes": kept})
        found.append(told if pristine else _without_moved(told, partial))
    for finding in reversed(found):
        fix = first(finding.fixes) or next(iter(finding.fixes), None)
        if fix is None or not partial.mend(fix):
            partial.drop(finding.pointer)
    return found


def _helps(partial: Partial, fix: Fix, count: int) -> bool:
    trial = Partial(partial.tree)
    if not trial.mend(fix) or widens(partial.tree, trial.tree):
        return False
    meant = trial.experiment()
    return meant is not None and len(meanings(meant)) < count


def _clean(found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """No finding repeats a token, in whatever part of it."""
    return tuple(_without_tokens(finding) for finding in found)


def _without_tokens(finding: Diagnostic) -> Diagnostic:
    if not TOKEN.search(finding.model_dump_json()):
        return finding
    said: dict[str, Any] = {
        name: scrubbed(value) for name, value in finding.model_dump(exclude={"fixes"}).items() if isinstance(value, str)
    }
    fixes = tuple(fix for fix in finding.fixes if not TOKEN.search(fix.model_dump_json()))
    return finding.model_copy(update={**said, "fixes": fixes})
