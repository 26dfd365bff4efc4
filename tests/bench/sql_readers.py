"""Readers beside a writer: queries of several processes while another one applies and publishes.

    python tests/bench/sql_readers.py [--seconds 120] [--readers 4] [--output tests/bench/sql_readers.md]

The writer applies one small plan after the other (without training: predictions are drawn) and publishes as an apply
does. Each reader has a process of its own and one warm child for its queries. All errors are counted, those of locks
apart. An answer's staleness is what it says of itself: for how long the journal has known what it does not show.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "store"), str(Path(__file__).parent)]

QUERIES = (
    "SELECT arm, mean, ci_low, ci_high FROM leaderboard",
    "SELECT run, state, finished, trials FROM runs ORDER BY started DESC LIMIT 5",
    "SELECT arm, count(*), avg(correct::INT) FROM predictions GROUP BY arm",
    "SELECT t.arm, max(m.step), min(m.value) FROM metrics m JOIN trials t USING (run, trial) GROUP BY t.arm",
)


def read(root: Path, seconds: float) -> dict[str, Any]:
    """Query until the time is over."""
    from fewtune.specs.diagnostic import StoreError
    from fewtune.store.query import run_sql
    from fewtune.store.sandbox import Sandbox
    from fewtune.store.workspace import Workspace

    took: list[float] = []
    behind: list[float] = []
    as_of: list[str] = []
    errors: list[str] = []
    end = time.monotonic() + seconds
    with Sandbox() as box:
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                found = run_sql(Workspace(root), QUERIES[len(took) % len(QUERIES)], sandbox=box)
            except StoreError as error:
                errors.append(str(error))
            else:
                behind.append(found.behind_seconds)
                as_of.append(found.as_of or "")
            took.append(time.monotonic() - began)
    return {"took": took, "behind": behind, "errors": errors, "back": as_of != sorted(as_of), "seen": len(set(as_of))}


def write(root: Path, seconds: float) -> dict[str, Any]:
    """Apply and publish until the time is over."""
    import miniature

    from fewtune.store.journal import read as records
    from fewtune.store.writer import Store

    runs, end = 0, time.monotonic() + seconds
    with Store.open(root) as store:
        while time.monotonic() < end:
            plan = miniature.make_plan(
                arms=("zero-shot", "pattern + LoRA r=8"), seeds=3, learning_rate=1e-6 * (runs + 1)
            )
            for _ in miniature.apply(store, plan):
                time.sleep(0.05)
            runs += 1
    return {"runs": runs, "records": len(records(root / "journal.jsonl").records)}


def measure(seconds: float, readers: int) -> dict[str, Any]:
    """Start all, and put together what they say."""
    import miniature

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "workspace"
        miniature.applied(root, miniature.make_plan(arms=("zero-shot",)))
        parts = ["write", *["read"] * readers]
        children = [
            subprocess.Popen([sys.executable, __file__, "--part", part, str(root), "--seconds", str(seconds)],
                             stdout=subprocess.PIPE)
            for part in parts
        ]  # fmt: skip
        writer, *found = [json.loads(child.communicate()[0]) for child in children]
    took = sorted(value for one in found for value in one["took"])
    errors = [error for one in found for error in one["errors"]]
    return {
        "readers": readers, "seconds": seconds, **writer, "reads": len(took),
        "p50_ms": round(1000 * took[len(took) // 2]), "p95_ms": round(1000 * took[int(len(took) * 0.95)]),
        "worst_ms": round(1000 * took[-1]), "lock_errors": sum("lock" in error.lower() for error in errors),
        "errors": len(errors), "went_back": sum(one["back"] for one in found),
        "publications_seen": max(one["seen"] for one in found),
        "behind_p50_s": round(sorted(v for one in found for v in one["behind"])[len(took) // 2 - len(errors)], 1),
        "behind_worst_s": round(max(v for one in found for v in one["behind"]), 1),
    }  # fmt: skip


def table(found: dict[str, Any], command: str) -> str:
    from workplace import machine

    rows = "\n".join(f"| {name.replace('_', ' ')} | {value} |" for name, value in found.items())
    return (
        f"# Readers beside a writer\n\n`{command}`, {machine()}.\n\nOne process writes and publishes, the others query "
        "(a warm child each). `behind` is what an answer says of itself: for how long the journal has known what it "
        f"does not show.\n\n| | |\n| --- | --- |\n{rows}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        work = {"read": read, "write": write}[given.part[0]]
        print(json.dumps(work(Path(given.part[1]), given.seconds)))
        return
    found = measure(given.seconds, given.readers)
    print(json.dumps(found))
    if given.output:
        command = f"python tests/bench/sql_readers.py --seconds {given.seconds:g} --readers {given.readers}"
        given.output.write_text(table(found, command), encoding="utf-8")


if __name__ == "__main__":
    main()
