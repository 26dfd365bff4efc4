"""What a reader of specs survives: damaged texts through the loader, hostile paths through every field under an audit.

    python tests/bench/hostile_inputs.py [--texts 100000] [--paths 500] [--output tests/bench/hostile_inputs.md]

Texts are those of tests/fuzz/test_loader.py: changed bytes and tokens, faults of the mutation corpus, overgrown trees.
CPU time of one reading in one process; of one that takes longer than its limit, the best of three. A traceback is any
exception but the answer that a spec is faulty. Paths are those of tests/fuzz/test_paths.py.
"""

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "fuzz"))

from hostile import PATHS
from mutations.seeds import write_files
from test_loader import LIMIT, LIMIT_SMALL, SMALL, damaged, seconds
from test_paths import allowed, fields, recorded, spec_with
from workplace import machine

from fewtune.api.checking import check
from fewtune.api.given import Given
from fewtune.specs.parse import Format


@dataclass
class Texts:
    """What became of the texts of one size."""

    limit: float
    count: int = 0
    slow: int = 0
    total: float = 0.0
    worst: float = 0.0
    largest: int = 0
    tracebacks: Counter[str] = field(default_factory=Counter)

    def add(self, content: bytes, form: Format | None) -> None:
        """Read one."""
        self.count += 1
        self.largest = max(self.largest, len(content))
        try:
            took = seconds(content, form)
            if took > self.limit:
                took = min(took, *(seconds(content, form) for _ in range(2)))
        except Exception:
            self.tracebacks[traceback.format_exc().splitlines()[-1][:100]] += 1
            return
        self.total += took
        self.worst = max(self.worst, took)
        self.slow += took > self.limit

    def line(self, name: str) -> str:
        """One row of the table."""
        mean = 1000 * self.total / max(1, self.count)
        figures = (self.count, self.largest, sum(self.tracebacks.values()), f"{mean:.1f}", f"{1000 * self.worst:.0f}",
                   f"{1000 * self.limit:.0f}", self.slow)  # fmt: skip
        return f"| {name} | " + " | ".join(map(str, figures)) + " |"


def texts(count: int) -> list[str]:
    """So many damaged texts, read one after the other."""
    small, large = Texts(LIMIT_SMALL), Texts(LIMIT)
    for content, form in damaged(1, count):
        (small if len(content) <= SMALL else large).add(content, form)
    for kind, times in (small.tracebacks + large.tracebacks).most_common(5):
        print(f"{times} x {kind}", file=sys.stderr)
    return [small.line("up to 16 KiB"), large.line("above, up to what is read")]


def paths(count: int) -> list[str]:
    """So many hostile spellings in each field: fields, answers, opened outside, taken for sound."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        (root / "outside").mkdir()
        (root / "outside" / "secret.csv").write_text("text,label\nnobody reads this,a\nor this,b\n")
        (root / "out.csv").write_text("text,label\nnor this,a\nor this,b\n")
        (root / "specs").mkdir()
        base = write_files(root / "specs")
        (base / "link").symlink_to(root / "outside")
        own = ["../out.csv", "link/secret.csv", f"{root}/outside/secret.csv"]
        chosen = [*own, *Random(count).sample(PATHS, count - len(own))]
        opened, sound, answers = set[str](), 0, 0
        for name in fields():
            for path in chosen:
                with recorded() as found:
                    sound += check(Given(spec_with(name, path), "spec.json", base, "json"), fix=False).valid
                answers += 1
                opened |= {one for one in found if not allowed(one, base)}
    for one in sorted(opened)[:5]:
        print(f"opened {one}", file=sys.stderr)
    return [f"| {len(fields())} | {len(chosen)} | {answers} | {sound} | {len(opened)} |"]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--paths", type=int, default=500)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    start = time.process_time()
    outside = paths(options.paths)
    middle = time.process_time()
    print("\n".join(outside), f"{middle - start:.0f} s", flush=True)
    read = texts(options.texts)
    spent = f"{middle - start:.0f} s of CPU for the paths, {time.process_time() - middle:.0f} s for the texts"
    asked = f"--texts {options.texts} --paths {options.paths}"
    page = (
        f"# Hostile specs\n\n`python tests/bench/hostile_inputs.py {asked}`, "
        f"{machine()}; {spent}.\n\nDamaged texts through the loader, milliseconds of CPU:\n\n"
        "| size | texts | largest, bytes | tracebacks | mean | worst | limit | above it |\n" + "| --- " * 8 + "|\n"
        + "\n".join(read)
        + "\n\nHostile paths through every field, under an audit of what is opened or listed:\n\n"
        "| fields | paths | answers | taken for sound | opened outside |\n" + "| --- " * 5 + "|\n"
        + "\n".join(outside) + "\n"
    )  # fmt: skip
    print(page)
    if options.output:
        options.output.write_text(page)


if __name__ == "__main__":
    main()
