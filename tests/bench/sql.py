"""The sandbox of queries: what it costs, and every attack of the corpus against it.

    python tests/bench/sql.py [--seconds 1] [--output tests/bench/sql.md]

Each attack of tests/fixtures/sql_attacks.toml is one statement, and is judged from outside: what came back has no
content of a file, no value of the environment and no path; no file or folder has changed; it ended within its time and
a second; the next question is answered. Memory is the largest resident size of any child.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "store"), str(Path(__file__).parent)]

TIMES = 20


def attack_all(workspace: Any, seconds: float) -> list[str]:
    """A row of the table for each class."""
    import attacking

    rows, every = [], attacking.attacks()
    before = attacking.files(workspace)
    with attacking.Sandbox() as box:
        for kind in dict.fromkeys(attack.kind for attack in every):
            ends: dict[str, int] = {}
            wrong = late = dead = killed = 0
            worst = 0.0
            mine = [attack for attack in every if attack.kind == kind]
            for attack in mine:
                sql = attacking.filled(attack.sql, workspace)
                found = attacking.run(workspace, box, sql, seconds)
                ends[found.end] = ends.get(found.end, 0) + 1
                broken = list(attacking.violations(attack, sql, found, workspace, before))
                if broken:
                    print(kind, attack.sql[:200], broken, file=sys.stderr)
                wrong, late, worst = (
                    wrong + bool(broken),
                    late + (found.seconds > seconds + 1),
                    max(worst, found.seconds),
                )
                killed += box.pid is None
                dead += attacking.run(workspace, box, "SELECT count(*) FROM runs", 10).end != "answered"
            shown = [str(ends.get(end, 0)) for end in ("refused", "limit", "answered")]
            rows.append(
                f"| {kind} | {len(mine)} | {' | '.join(shown)} | {wrong} | {late} | {killed} | {dead} | {worst:.2f} |"
            )
    return rows


def median_ms(work: Callable[[], object]) -> float:
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        took.append(time.perf_counter() - began)
    return 1000 * sorted(took)[TIMES // 2]


def main() -> None:
    import attacking
    import duckdb
    import miniature
    from workplace import machine

    from fewtune.store.query import run_sql
    from fewtune.store.sandbox import Sandbox
    from fewtune.store.sandbox_child import ADDRESS_SPACE
    from fewtune.store.workspace import Workspace

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "workspace")
        miniature.applied(workspace.root, miniature.make_plan())
        attacking.plant(workspace)
        query = "SELECT * FROM leaderboard"
        cold = median_ms(lambda: run_sql(workspace, query))
        with Sandbox() as box:
            warm = median_ms(lambda: run_sql(workspace, query, sandbox=box))
            good = [attacking.run(workspace, box, sql, 10).end for sql in attacking.good_queries()]
        rows = attack_all(workspace, given.seconds)
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    text = (
        f"# The sandbox of queries\n\n`python tests/bench/sql.py --seconds {given.seconds:g}`, {machine()}, DuckDB "
        f"{duckdb.__version__}.\n\nA query with a process of its own: {cold:.0f} ms; with a warm one: {warm:.0f} ms "
        f"(medians of {TIMES}). Good queries answered: {good.count('answered')} of {len(good)}. Largest resident "
        f"memory of a child: {memory / 1e6:.0f} MB of {ADDRESS_SPACE / 1e6:.0f} MB of address space. Time limit of an "
        f"attack: {given.seconds:g} s.\n\n"
        "| class | statements | refused | cut off | answered, harmless | successes | later than limit + 1 s | killed "
        "| next query not answered | longest, s |\n"
        f"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )
    print(text)
    if given.output:
        given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
