"""How a faulty spec is answered and mended: the mutation corpus of tests/mutations, 81 valid specs x 22 mutators.

    python tests/bench/repair.py [--cases 2000] [--first 0] [--jobs 2] [--output tests/bench/repair.md]

Recall: the first answer has a diagnostic at or one level above the fault's pointer (of damaged text: at its line).
Noise: errors a fault. Repaired: no error is left after one or two rounds of the fixes marked safe or likely. Restored:
the mended spec plans to the hash of the sound one. pydantic: what the bare models find in the text as the usual reader
gives it. Every fifth case was held out while the repairs were written.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mutations.cases import case
from mutations.judging import Judged, judge
from mutations.seeds import SEEDS, write_files

from fewtune.api.checking import findings


@dataclass(frozen=True)
class Row:
    """What is kept of a judged case."""

    number: int
    kinds: tuple[str, ...]
    lost: tuple[str, ...]
    """Of each fault, why nobody but the user can mend it; empty where its mutator says that a repair might."""
    found: tuple[bool, ...]
    pydantic: tuple[bool, ...]
    errors: int
    fixes: int
    unclean: int
    widened: int
    repaired: tuple[bool, ...]
    restored: bool

    @property
    def held_out(self) -> bool:
        """As of its case."""
        return self.number % 5 == 4

    @property
    def mendable(self) -> bool:
        """Whether some repair may find, without asking, what was meant by each of its faults."""
        return not any(self.lost)


def row(judged: Judged) -> Row:
    """The numbers of a case."""
    return Row(
        number=judged.case.number, kinds=tuple(fault.kind for fault in judged.case.faults),
        lost=tuple(fault.lost for fault in judged.case.faults), found=judged.found, pydantic=judged.pydantic,
        errors=judged.diagnostics, fixes=judged.fixes, unclean=judged.unclean, widened=len(judged.widened),
        repaired=judged.repaired, restored=judged.restored,
    )  # fmt: skip


def rows(numbers: Sequence[int]) -> list[Row]:
    """Judge some cases in a folder of their own."""
    base = Path(tempfile.mkdtemp(prefix="repair-"))
    try:
        write_files(base)
        return [row(judge(case(number), base)) for number in numbers]
    finally:
        shutil.rmtree(base, ignore_errors=True)


def false_alarms() -> int:
    """Valid specs of which an error is told."""
    base = Path(tempfile.mkdtemp(prefix="repair-"))
    try:
        write_files(base)
        found = [findings(json.dumps(tree).encode(), "json", base) for tree in SEEDS.values()]
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return sum(any(one.severity == "error" for one in answer) for answer in found)


def share(values: Sequence[bool]) -> str:
    """A share in per cent."""
    return f"{100 * sum(values) / len(values):.1f}" if values else "-"


def summary(found: Sequence[Row]) -> list[str]:
    """One line of the overall table."""
    faults = [hit for one in found for hit in one.found]
    bare = [hit for one in found for hit in one.pydantic]
    open_ones = [one for one in found if one.mendable]
    noise = sum(one.errors for one in found) / max(1, len(faults))
    return [
        str(len(found)), str(len(faults)), share(faults), share(bare), f"{noise:.2f}",
        share([one.repaired[0] for one in open_ones]), share([one.repaired[1] for one in open_ones]),
        share([one.restored for one in open_ones]), share([one.repaired[0] for one in found]),
        share([one.repaired[1] for one in found]), share([one.restored for one in found]),
        f"{sum(one.unclean for one in found)} of {sum(one.fixes for one in found)}",
        str(sum(one.widened for one in found)),
    ]  # fmt: skip


HEAD = ("cases", "faults", "recall %", "pydantic %", "noise", "repaired 1 %", "repaired 2 %", "restored %",
        "all: repaired 1 %", "all: repaired 2 %", "all: restored %", "unclean fixes", "widened")  # fmt: skip


def by_kind(found: Sequence[Row]) -> list[list[str]]:
    """Lines of the table by kind: recall over all faults, repairs over cases with this fault alone."""
    lines = []
    for kind in sorted({kind for one in found for kind in one.kinds}):
        hits = [(hit, bare) for one in found for name, hit, bare in zip(one.kinds, one.found, one.pydantic, strict=True)
                if name == kind]  # fmt: skip
        alone = [one for one in found if one.kinds == (kind,) and one.mendable]
        lines.append([
            kind, str(len(hits)), share([hit for hit, _ in hits]), share([bare for _, bare in hits]), str(len(alone)),
            share([one.repaired[0] for one in alone]), share([one.repaired[1] for one in alone]),
            share([one.restored for one in alone]), *only_by_the_user(kind, found),
        ])  # fmt: skip
    return lines


KINDS = ("kind", "faults", "recall %", "pydantic %", "alone", "repaired 1 %", "repaired 2 %", "restored %",
         "the user's", "because")  # fmt: skip


def only_by_the_user(kind: str, found: Sequence[Row]) -> tuple[str, str]:
    """(how many faults of a kind nobody but the user can mend, why)."""
    lost = [why for one in found for name, why in zip(one.kinds, one.lost, strict=True) if name == kind and why]
    return str(len(lost)), "; ".join(sorted(set(lost)))


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines))


def report(found: Sequence[Row], command: str, alarms: int) -> str:
    """The page."""
    parts = {
        "development": [one for one in found if not one.held_out],
        "held out": [one for one in found if one.held_out],
    }
    overall = [[name, *summary(part)] for name, part in parts.items()]
    return (
        f"# Faulty specs, answered and mended\n\n`{command}`\n\n{about()}\n\n"
        f"{table(('part', *HEAD), overall)}\n\nFalse alarms on the {len(SEEDS)} valid specs: {alarms}.\n\n"
        f"The first three shares of repairs leave out the cases with a fault of a kind that no fix may mend without "
        "asking; those after `all` count every case. By kind, held-out cases included; repairs where the fault is the "
        f"only one:\n\n{table(KINDS, by_kind(found))}\n"
    )


def about() -> str:
    """The module's words about the columns."""
    return (__doc__ or "").partition("repair.md]\n\n")[2].strip()


def main() -> None:
    """Judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.cases)
    parts = [numbers[start : start + 50] for start in range(0, len(numbers), 50)]
    with ProcessPoolExecutor(options.jobs) as pool:
        found = [one for part in pool.map(rows, parts) for one in part]
    text = report(
        found, f"python tests/bench/repair.py --first {options.first} --cases {options.cases}", false_alarms()
    )
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
