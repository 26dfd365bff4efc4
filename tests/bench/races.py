"""Races for a workspace: applies at once, takeovers from the dead, writers that come back.

    python tests/bench/races.py [--races 50] [--output tests/bench/races.md]

Runs the programs of tests/chaos with their full counts, and shows their figures.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CHAOS = Path(__file__).parents[1] / "chaos"
SHARED = Path("/dev/shm")


def told(program: str, *arguments: object) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=SHARED if SHARED.is_dir() else None) as folder:
        command = [sys.executable, CHAOS / program, folder, *map(str, arguments)]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def main() -> None:
    from workplace import machine

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--races", type=int, default=50)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    leases = told("contender.py", 20, 10)
    races = told("racing.py", given.races)
    zombies = told("zombies.py", 1)
    violations = [*races["race_violations"], *races["takeover_violations"], *zombies["violations"]]
    text = (
        f"# Races for a workspace\n\n`python tests/bench/races.py --races {given.races}`, {machine()}.\n\n"
        "Two applies start at the same moment; in every second race they wait for each other, in the others the loser "
        "must name the winner's process within a second. A holder is killed while four wait: one ends its run, all get "
        "the workspace in turn, in every second race with garbage in the files of the lease. A writer is stopped "
        "before each of its operations on the disk, its lease is taken away, another one does the work, and it goes "
        "on.\n\n| what | times | wrong | |\n| --- | --- | --- | --- |\n"
        f"| 20 processes contend for a lease | {len(leases['numbers'])} | {sum(map(bool, leases['failed']))} "
        "| each with the next number |\n"
        f"| two applies at once | {races['races']} | {len(races['race_violations'])} | {races['refused']} refused, "
        "naming the winner |\n"
        f"| takeover from a killed holder | {races['races']} | {len(races['takeover_violations'])} | the slowest after "
        f"{races['slowest_takeover_s']} s |\n"
        f"| a stopped writer comes back | {zombies['zombies']} | {len(zombies['violations'])} | rows added: 0 |\n"
    )
    print(text, *violations, sep="\n")
    if given.output and not violations:
        given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
