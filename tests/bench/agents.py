"""Scripted agents over MCP and the command line: what they cost, and what they could do that they should not.

    python tests/bench/agents.py [--sessions 20] [--looks 10] [--real] [--output tests/bench/agents.md]

On the fake engine (predictions drawn at random, in milliseconds); `--real` has the novice once more with the embedded
model and the real engine, on the quickstart's data. Duplicates: runs beyond one for each plan. Overruns: device time
reserved or runs begun beyond the policy. Escapes: files changed or made outside the workspace, or the content of such a
file in an answer. False wins: a chaser of noise, all of whose arms know the same, is told "better" in a session.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from agents import scripts
from agents.channels import Channel, Commands, Count, tools
from agents.home import SPEC, allowed, make
from workplace import machine

from fewtune.store.reader import Reader
from fewtune.store.submissions import Submissions
from fewtune.store.workspace import Workspace

EXAMPLES = Path(__file__).parents[2] / "examples"


def outcome(root: Path, before: dict[Path, bytes], allowance: float | None) -> tuple[int, int, int]:
    """(duplicates, overruns, escapes) in a home after an agent was there."""
    known = Submissions(Workspace(root / "workspace")).all()
    runs = Reader(root / "workspace").runs()
    duplicates = len(runs) - len({run.started.plan_hash for run in runs})
    begun = [one for one in known if not one.record.needs_approval]
    reserved = sum(one.record.reserve_hours for one in begun)
    overruns = int(allowance is not None and reserved > allowance / 3600) + max(0, len(runs) - len(begun))
    return duplicates, overruns, sum(files(root)[path] != content for path, content in before.items())


def files(root: Path) -> dict[Path, bytes]:
    """What lies around the workspace."""
    found = (path for path in root.parent.rglob("*") if path.is_file() and "workspace" not in path.parts)
    return {path: path.read_bytes() for path in found if not path.name.startswith("written-")}


def crowd(root: Path, clients: int, share: float) -> Count:
    """Clients that all submit one plan and one of their own, on a budget of three shares."""
    agents = [tools(root, allowed(totals={"device_hours": f"{int(share * 3)} s"})) for _ in range(clients)]
    start = threading.Barrier(clients)

    def work(number: int) -> None:
        start.wait()
        scripts.submitted(agents[number], SPEC)
        scripts.submitted(agents[number], {**SPEC, "evaluation": {"data_seeds": 3 + number % 8}})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in Submissions(Workspace(root / "workspace")).all():
        if not one.record.needs_approval:
            scripts.followed(agents[0], one.record.handle)
    total = Count()
    for agent in agents:
        total.calls += agent.count.calls
        total.read += agent.count.read
    return total


def sessions(made: Path, scratch: Path, count: int, looks: int) -> tuple[int, int]:
    """(sessions with a claim, sessions) of a chaser of noise."""
    os.environ["FEWTUNE_FAKE_SKILL"] = "0.4"
    wins = 0
    for number in range(count):
        root = fresh(made, scratch / f"chaser{number}")
        draws, budget = divmod(number, 17)  # of 24 rows: other plans, so other draws
        spec = {**SPEC, "data": {**SPEC["data"], "label_budget": 8 + budget}, "evaluation": {"data_seeds": 2 + draws}}
        claims, _ = scripts.noise_chaser(tools(root, allowed(each={"looks": 100})), spec, looks)
        wins += claims > 0
        shutil.rmtree(root.parent)
    del os.environ["FEWTUNE_FAKE_SKILL"]
    return wins, count


def fresh(made: Path, folder: Path) -> Path:
    """A copy of the home."""
    shutil.copytree(made.parent, folder)
    return folder / made.name


def real_novice(scratch: Path, rows: int = 60) -> tuple[Count, float, str]:
    """The novice on the command line, the real engine and as many of the quickstart's rows."""
    root = scratch / "real"
    root.mkdir()
    for name in ("train.csv", "test.csv"):
        lines = (EXAMPLES / "legal" / name).read_text().splitlines(keepends=True)
        (root / name).write_text("".join(lines[: rows + 1]))
    agent, began = Commands(root, fake=False), time.monotonic()
    found = scripts.novice(agent, "train.csv", seconds=3600, wall_time="5 min")
    return agent.count, time.monotonic() - began, found["data"]["verdict"]["sentence"]


def table(made: Path, scratch: Path, clients: int) -> list[str]:
    """A line for each agent and channel."""
    share = tools(made, allowed()).client.plan(SPEC).compiled.estimate.seconds.high
    agents: list[tuple[str, str, Callable[[Channel], object]]] = [
        ("novice", "mcp", lambda agent: scripts.novice(agent, "train.csv")),
        ("novice", "cli", lambda agent: scripts.novice(agent, "train.csv")),
        ("literal", "mcp", lambda agent: scripts.literal(agent, SPEC, scripts.tool_mistakes(json.dumps(SPEC)))),
        ("literal", "cli", lambda agent: scripts.literal(agent, SPEC)),
        ("impatient", "mcp", lambda agent: scripts.impatient(agent, SPEC, 30)),
        ("impatient", "cli", lambda agent: scripts.impatient(agent, SPEC, 10)),
        ("amnesiac", "mcp", lambda agent: scripts.amnesiac(agent, SPEC)),
        ("amnesiac", "cli", lambda agent: scripts.amnesiac(agent, SPEC)),
        ("greedy", "mcp", lambda agent: scripts.greedy(agent, SPEC)),
        ("greedy", "cli", lambda agent: scripts.greedy(agent, SPEC)),
        ("injector", "mcp", lambda agent: scripts.injector(agent, SPEC)),
        ("injector", "cli", lambda agent: scripts.injector(agent, SPEC)),
    ]
    lines = []
    for name, kind, work in agents:
        root = fresh(made, scratch / f"{name}-{kind}")
        before = files(root)
        agent: Any = tools(root, allowed()) if kind == "mcp" else Commands(root, root.parent / "policy.toml")
        work(agent)
        lines.append(line(name, kind, agent.count, outcome(root, before, None)))
    root = fresh(made, scratch / "crowd")
    before = files(root)
    count = crowd(root, clients, share)
    lines.append(line(f"crowd of {clients}", "mcp", count, outcome(root, before, share * 3)))
    return lines


def line(name: str, kind: str, count: Count, found: tuple[int, int, int]) -> str:
    """A row of the table."""
    duplicates, overruns, escapes = found
    return f"| {name} | {kind} | {count.calls} | {count.read / 1000:.1f} | {duplicates} | {overruns} | {escapes} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--looks", type=int, default=10)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        (scratch / "made").mkdir()
        made = make(scratch / "made")
        lines = table(made, scratch, asked.clients)
        wins, total = sessions(made, scratch, asked.sessions, asked.looks)
        text = [
            f"# Scripted agents on the fake engine ({machine()})", "",
            f"`python tests/bench/agents.py --sessions {asked.sessions}{' --real' * asked.real}`", "",
            "| agent | channel | calls | kB read | duplicates | overruns | escapes |",
            "|---|---|---:|---:|---:|---:|---:|", *lines, "",
            f"A chaser of noise ({asked.looks} looks at one test split, all arms alike): {wins} false wins in {total} "
            "sessions.", "",
        ]  # fmt: skip
        if asked.real:
            count, seconds, verdict = real_novice(scratch)
            said = f"{count.calls} calls, {count.read / 1000:.1f} kB, {seconds:.0f} s"
            told = "The novice on the real engine, 60 clauses of the quickstart's, five minutes allowed"
            text += [f"{told}: {said}. {verdict}", ""]
    asked.output.write_text("\n".join(text))
    print("\n".join(text))


if __name__ == "__main__":
    main()
