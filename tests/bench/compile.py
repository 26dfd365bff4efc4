"""Seconds of compiling ten thousand trials in this process, and of `plan` beyond `--version` for the example specs.

python tests/bench/compile.py [--repeats 10] [--output tests/bench/compile.md]
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from situations import TEN_THOUSAND, experiment, facts
from workplace import machine

from fewtune.compiler.compilation import compile_plan

EXAMPLES = Path(__file__).parents[2] / "examples"


def compiling(repeats: int) -> tuple[list[float], int]:
    """(seconds of each time, trials of the plan)."""
    asked, found = experiment(**TEN_THOUSAND), []
    given = facts(asked, n_rows=400)
    compile_plan(experiment(), facts())  # what is built at the first use only
    for _ in range(repeats):
        began = time.perf_counter()
        trials = len(compile_plan(asked, given).plan.trials)
        found.append(time.perf_counter() - began)
    return found, trials


def running(*arguments: str) -> float:
    """Seconds of a command."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "fewtune.api.cli", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=EXAMPLES)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    os.environ["FEWTUNE_WORKSPACE"] = str(Path("/nonexistent"))
    seconds, trials = compiling(options.repeats)
    lines = [f"| {trials} trials, compiled in this process | {statistics.median(seconds):.2f} | {max(seconds):.2f} |"]
    for spec in sorted(set(EXAMPLES.glob("*.toml")) - {EXAMPLES / "hub.toml"}):  # which needs a network first
        both = [(running("plan", spec.name), running("--version")) for _ in range(options.repeats)]
        beyond = [plan - version for plan, version in both]
        lines.append(f"| `plan {spec.name}` beyond `--version` | {statistics.median(beyond):.2f} | {max(beyond):.2f} |")
    text = f"""# Compiling

`python tests/bench/compile.py --repeats {options.repeats}`, {machine()}; seconds.

| what | median | slowest |
| --- | --- | --- |
{chr(10).join(lines)}
"""
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
