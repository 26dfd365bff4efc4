"""validate: every fault of a spec, and of what it names, at once; and the spec with its fixes applied."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fewtune.api.envelope import Envelope
from fewtune.api.given import Given
from fewtune.specs.authority import SOURCES
from fewtune.specs.diagnostic import OF_THE_WHOLE, Diagnostic, FewtuneError, Fix
from fewtune.specs.examine import Examined, examine
from fewtune.specs.meanings import COLUMNS
from fewtune.specs.parse import Format
from fewtune.specs.partial import Partial
from fewtune.specs.repairs.fixing import add, at, first, has, noted, replace
from fewtune.specs.rewrite import rewritten

if TYPE_CHECKING:
    from fewtune.compiler.facts import Facts

LOOKS = 5
"""How often data and plan are looked at, each time without what was found before."""
ROUNDS = 3
"""Rounds of fixes."""


@dataclass(frozen=True)
class Checked:
    """What was found, and the mended document if one was asked for."""

    name: str
    found: tuple[Diagnostic, ...]
    fixed: str | None = None
    left: tuple[Diagnostic, ...] = ()
    """What is found in the mended document."""

    @property
    def valid(self) -> bool:
        """Whether nothing forbids to plan."""
        return all(finding.severity != "error" for finding in self.found)

    def envelope(self) -> Envelope:
        """The answer for `--json`; an invalid spec is a successful validation that ends with 3."""
        left = [finding.model_dump(mode="json") for finding in self.left if finding.severity == "error"]
        data: dict[str, Any] = {
            "valid": self.valid,
            "fixed": self.fixed,
            "exit_status": 0 if self.valid else 3,
            "left": left,
        }
        return Envelope(ok=self.valid, verb="validate", data=data, diagnostics=self.found,
                        next=(f"fewtune plan {self.name}",) if self.valid else ())  # fmt: skip

    def show(self) -> None:
        """Print the findings, or the mended document."""
        from fewtune.api.shows.console import console, diagnostics

        diagnostics(console(talk=self.fixed is not None), self.found, self.name)
        if self.fixed is not None:
            sys.stdout.write(self.fixed)
        elif self.valid:
            sys.stdout.write(f"{self.name}: valid\n")


def check(spec: Given, *, fix: bool) -> Checked:
    """Check a spec: its text, its types, and the data and model that it names.

    Args:
        spec: as it was given.
        fix: apply the safe and likely fixes and return the mended text.
    """
    found = findings(spec.content, spec.format, spec.base, spec.roots)
    if not fix:
        return Checked(spec.name, found)
    text, left = fixed(spec, found)
    return Checked(spec.name, found, text, left)


def fixed(spec: Given, found: tuple[Diagnostic, ...]) -> tuple[str | None, tuple[Diagnostic, ...]]:
    """(the text with its fixes, what is found in it then), round by round as long as it gets better.

    The text is None where nothing can be read of it.
    """
    content, format = spec.content, spec.format
    best = examine(content, format).text or None
    for _ in range(ROUNDS):
        text = rewritten(content, format, found)
        if text is None or text == best:
            break
        after = findings(text.encode(), format, spec.base, spec.roots)
        if _errors(after) > _errors(found) and not any(finding.code == "E-syntax" for finding in found):
            break
        content, best, found = text.encode(), text, after
        if not _errors(found):
            break
    return best, found


def _errors(found: Iterable[Diagnostic]) -> int:
    return sum(finding.severity == "error" for finding in found)


def findings(content: bytes, format: Format | None, base: Path, roots: Sequence[Path] = ()) -> tuple[Diagnostic, ...]:
    """Everything against a spec: its text, its types, what they mean, and what planning finds; errors first."""
    from fewtune.api.standing import standing

    examined = examine(content, format, standing(base))
    found = list(examined.found)
    if examined.partial is not None:
        look = _Look(examined, base, roots)
        found = look.completed(found)
        found += look.planned(sound=not found)
    return tuple(sorted(found, key=lambda finding: finding.severity != "error"))


class _Look:
    """A look at data and plan through a scratch copy of the spec."""

    def __init__(self, examined: Examined, base: Path, roots: Sequence[Path]) -> None:
        self.examined, self.base, self.roots = examined, base, roots
        assert examined.partial is not None
        self.partial = examined.partial
        self.told: dict[tuple[str, str, str], Diagnostic] = {}

    def completed(self, found: list[Diagnostic]) -> list[Diagnostic]:
        """The findings of the text, with what the spec's folder adds to them."""
        from fewtune.api.advice import Setting, advised

        missing = [
            one for one in found if not first(one.fixes) and (one.code == "E-missing" or _is_source(one.pointer))
        ]
        written = self.examined.document.tree if self.examined.document else self.partial.tree
        for finding in missing:
            gone = any(f"{finding.pointer}/".startswith(f"{place}/") for place in self.partial.dropped)
            left_out = gone and has(written, finding.pointer)
            bare = finding.model_copy(update={"fixes": ()})
            better = advised(bare, Setting(written if left_out else self.partial.tree, None, self.base))
            fix = first(better.fixes)
            mended = fix is not None and not left_out and self.partial.mend(fix)
            if fix is not None and left_out:
                self.partial.mend(add(finding.pointer, fix.patches[-1].value, "likely"))
            if mended or (fix is not None and left_out):
                found = [better if one is finding else one for one in found]
                self.partial.whole = self.partial.whole or mended
        return [self._column(one) for one in found]

    def _column(self, finding: Diagnostic) -> Diagnostic:
        """The finding with a column that there is, where a value of another type stands for one."""
        from fewtune.api.advice import Setting, columns, nearest_column

        document, place = self.examined.document, finding.pointer
        written = isinstance(at(self.partial.tree, place), str) and document is not None and has(document.tree, place)
        if finding.code != "E-value" or not place.startswith("/data/") or not written or document is None:
            return finding
        setting = Setting(self.partial.tree, self.partial.experiment(), self.base)
        if place.rpartition("/")[2] not in COLUMNS or at(self.partial.tree, place) in columns(setting):
            return finding
        better = nearest_column(place, setting)
        if better is None:
            return finding
        self.partial.mend(replace(self.partial.tree, place, better))
        return finding.model_copy(update={"fixes": (replace(document.tree, place, better),)})

    def planned(self, *, sound: bool) -> list[Diagnostic]:
        """What planning finds; its warnings only where nothing else is wrong."""
        warnings = list[Diagnostic]()
        for _ in range(LOOKS):
            self._stand_in()
            experiment = self.partial.experiment()
            if experiment is None or not self.partial.whole:
                break
            facts, faults, warnings = _compiled(experiment, self.base, self.roots)
            if not self._note(faults, facts):
                break
        found = list(self.told.values())
        return found if found or not sound else [self.examined.located(one) for one in warnings]

    def _stand_in(self) -> None:
        """A training file in the place of one that cannot be told, so that the rest is looked at."""
        from fewtune.api.advice import Setting, train_file

        data = self.partial.tree.get("data")
        if self.partial.whole or not isinstance(data, dict) or "/data/train" not in self.partial.replaced:
            return
        found = train_file(Setting(self.partial.tree, None, self.base))
        if found is not None:
            data["train"] = found
            self.partial.whole = True

    def _note(self, faults: list[Diagnostic], facts: "Facts | None") -> bool:
        """Tell what is new, and take it out of the way; whether to look again."""
        from fewtune.api.advice import Setting, advised

        setting = Setting(self.partial.tree, self.partial.experiment(), self.base, facts)
        fresh = [fault for fault in faults if fault.severity == "error" and self._is_news(fault)]
        again = False
        for fault in _uncascaded(fresh):
            better = advised(fault, setting)
            place = self.partial.written(fault.pointer)
            told = better.model_copy(update={"pointer": place, "fixes": self._offered(better.fixes)})
            self.told[fault.code, place, fault.message] = self.examined.located(told)
            again = self._aside(better) or again
        return again

    def _offered(self, fixes: tuple[Fix, ...]) -> tuple[Fix, ...]:
        """One fix to apply, and those to choose from; none that counts on a fix before it."""
        moved, best = tuple(self.partial.moved), first(fixes)
        kept = [best] if best else fixes
        here = [fix for fix in kept if not moved or not any(patch.path.startswith(moved) for patch in fix.patches)]
        document = self.examined.document
        if document is None:
            return tuple(here)
        return tuple(noted(fix, document.tree) for fix in here if Partial(document.tree).mend(fix))

    def _is_news(self, fault: Diagnostic) -> bool:
        place = self.partial.written(fault.pointer)
        whole = fault.code in OF_THE_WHOLE
        if self.partial.is_hearsay(fault, holders=not whole) or any(place == known for _, known, _ in self.told):
            return False
        gone = any(place.startswith(("/data", "/task/type")) for place in self.partial.dropped)
        return not (gone and whole)

    def _aside(self, finding: Diagnostic) -> bool:
        """Mend the scratch copy, or leave out what is wrong; whether that changed anything."""
        if finding.code == "E-too-many-trials":
            return self._shortened()
        fix = first(finding.fixes) or next(iter(finding.fixes), None)
        if fix is not None and self.partial.mend(fix):
            return True
        if finding.code == "E-memory":
            self.partial.drop("/constraints/gpu_memory")
        elif finding.pointer.count("/") >= 2:
            self.partial.drop(finding.pointer)
        else:
            return False
        return True

    def _shortened(self) -> bool:
        """Each list of settings cut to its first value."""
        methods, cut = self.partial.tree.get("methods", {}), list[Fix]()
        tables = {"/methods/pin": methods.get("pin", {})}
        tables |= {f"/methods/arms/{index}": arm for index, arm in enumerate(methods.get("arms", ()))}
        for place, table in tables.items():
            cut += [replace(self.partial.tree, f"{place}/{name}", value[:1]) for name, value in table.items()
                    if isinstance(value, list) and len(value) > 1 and name != "targets"]  # fmt: skip
        return bool([self.partial.mend(fix) for fix in cut])


def _is_source(place: str) -> bool:
    """Whether a place is that of a data file, or of the model's folder."""
    return place == "/model/path" or place.removeprefix("/data/").removesuffix("/path") in SOURCES


def _uncascaded(faults: list[Diagnostic]) -> list[Diagnostic]:
    """One finding for a label word whose label is misspelt, and one for memory that nothing fits into."""
    strange = any(fault.code == "E-value" and fault.pointer.startswith("/task/verbalizer/") for fault in faults)
    kept, seen = list[Diagnostic](), set[str]()
    for fault in faults:
        if strange and fault.code == "E-missing" and fault.pointer == "/task/verbalizer":
            continue
        if fault.code == "E-memory" and fault.code in seen:
            continue
        seen.add(fault.code)
        kept.append(fault)
    return kept


def _compiled(
    experiment: Any, base: Path, roots: Sequence[Path]
) -> tuple["Facts | None", list[Diagnostic], list[Diagnostic]]:
    """(facts, errors, warnings) of planning, without keeping the plan."""
    from fewtune.compiler.compilation import check_plan
    from fewtune.runtime.probe.probing import probe

    facts = None
    try:
        facts = probe(experiment, base, base, roots).facts
        warnings = check_plan(experiment, facts)
    except FewtuneError as error:
        return facts, [one for one in error.diagnostics if one.severity == "error"], []
    return facts, [], warnings
