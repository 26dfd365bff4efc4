"""How long validate takes: in one process over the examples and a faulty set, over MCP, and as a cold command.

    python tests/bench/validate.py [--faulty 120] [--cold 12] [--output tests/bench/validate.md]

In one process: each spec once to fill the cache of measured facts, then three times; seconds on the clock and of the
processor. The faulty set is the corpus of tests/mutations. MCP: the official client on a server in memory, which checks
the examples and the first of the faulty set. Cold: `fewtune validate SPEC --json` in a new process.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from mcp import Client as McpClient
from mutations.cases import case
from mutations.seeds import write_files
from workplace import machine

from fewtune.api.checking import check, findings
from fewtune.api.client import Client
from fewtune.api.given import given
from fewtune.api.tools.server import server

EXAMPLES = Path(__file__).parents[2] / "examples"
Times = list[tuple[float, float]]
"""(seconds on the clock, of the processor) of each call."""


def timed(call: Callable[[], object]) -> tuple[float, float]:
    """One call."""
    clock, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - clock, time.process_time() - processor


def examples() -> Times:
    """Every example, three times."""
    found = Times()
    for path in sorted(EXAMPLES.glob("*.toml")):
        check(given(path, Path()), fix=False)
        found += [timed(lambda path=path: check(given(path, Path()), fix=False)) for _ in range(3)]  # type: ignore[misc]
    return found


def faulty(count: int) -> Times:
    """So many cases of the corpus, three times each."""
    found = Times()
    with tempfile.TemporaryDirectory() as folder:
        base = write_files(Path(folder))
        for number in range(30_000, 30_000 + count):
            one = case(number)
            content, form = one.text.encode(), one.form
            findings(content, form, base)  # type: ignore[arg-type]
            found += [timed(lambda: findings(content, form, base)) for _ in range(3)]  # type: ignore[arg-type] # noqa: B023
    return found


def over_mcp(count: int) -> Times:
    """Every example and so many faulty texts through the tool, three times each."""
    with tempfile.TemporaryDirectory() as folder:
        base = write_files(Path(folder))
        texts = [case(number).text for number in range(30_000, 30_000 + count)]
        calls = [(EXAMPLES, path.name) for path in sorted(EXAMPLES.glob("*.toml"))] + [(base, one) for one in texts]
        return asyncio.run(_asked(calls))


async def _asked(calls: list[tuple[Path, str]]) -> Times:
    found = Times()
    for root, spec in calls:
        async with McpClient(server(Client(root=root, channel="agent"))) as session:
            for turn in range(4):
                clock, processor = time.perf_counter(), time.process_time()
                await session.call_tool("validate_spec", {"spec": spec})
                if turn:  # the first fills the cache of measured facts
                    found.append((time.perf_counter() - clock, time.process_time() - processor))
    return found


def cold(count: int) -> Times:
    """The command in new processes."""
    specs = sorted(EXAMPLES.glob("*.toml"))
    found = Times()
    for number in range(count):
        command = [sys.executable, "-m", "fewtune.api.cli", "validate", str(specs[number % len(specs)]), "--json"]
        before = os.times()
        clock = time.perf_counter()
        subprocess.run(command, capture_output=True, check=False)
        after = os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        found.append((time.perf_counter() - clock, spent))
    return found


def yardstick() -> float:
    """Milliseconds of the processor for a million additions: how fast Python is here."""

    def work() -> None:
        total = 0
        for number in range(1_000_000):
            total += number * number

    return 1000 * min(timed(work)[1] for _ in range(5))


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return statistics.quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]


def line(name: str, found: Times, limit: float) -> str:
    """One row of the table, in milliseconds."""
    clock, processor = [one for one, _ in found], [other for _, other in found]
    figures = (statistics.median(clock), p95(clock), statistics.median(processor), p95(processor), max(processor))
    return f"| {name} | {len(found)} | " + " | ".join(f"{1000 * one:.0f}" for one in figures) + f" | {limit:.0f} |"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faulty", type=int, default=120)
    parser.add_argument("--cold", type=int, default=12)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    rows = [line("examples", examples(), 150), line("faulty specs", faulty(options.faulty), 150),
            line("over MCP", over_mcp(options.faulty // 4), 150),
            line("cold command", cold(options.cold), 1000)]  # fmt: skip
    text = (
        f"# Validate\n\n`python tests/bench/validate.py`, {machine()}; load of the machine before: {load:.1f}; a "
        f"million additions in Python take {yardstick():.0f} ms.\n\n"
        "Milliseconds on the clock and of the processor.\n\n"
        "| what | calls | median | p95 | processor: median | p95 | worst | wanted p95 |\n| " + "--- | " * 8 + "\n"
        + "\n".join(rows) + "\n"
    )  # fmt: skip
    print(text)
    if options.output:
        options.output.write_text(text)


if __name__ == "__main__":
    main()
