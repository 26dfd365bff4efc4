"""How a scripted agent reaches fewtune: tools through the official MCP client, or commands; both are counted."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import preloaded
from fake_engine import launch
from mcp import Client as McpClient

from fewtune.api.client import Client
from fewtune.api.tools.server import server

TESTS = Path(__file__).parents[1]
Answer = dict[str, Any]


@dataclass
class Count:
    """What an agent's session took."""

    calls: int = 0
    read: int = 0
    """Bytes of answers."""
    written: int = 0
    """Bytes of arguments."""

    def add(self, arguments: object, answer: str) -> None:
        self.calls += 1
        self.written += len(json.dumps(arguments, default=str).encode())
        self.read += len(answer.encode())


class Channel(Protocol):
    """Calls a tool by its name; every answer is an envelope, errors included."""

    count: Count

    def call(self, tool: str, **arguments: Any) -> Answer: ...


@dataclass
class Tools:
    """The MCP tools, in memory; a new server for each call, as nothing is kept between two."""

    client: Client
    count: Count = field(default_factory=Count)

    def call(self, tool: str, **arguments: Any) -> Answer:
        async def main() -> Answer:
            async with McpClient(server(self.client)) as session:
                result = await session.call_tool(tool, arguments)
                text = result.content[0].text  # type: ignore[union-attr]
                assert json.loads(text) == result.structured_content
                self.count.add(arguments, text)
                return result.structured_content  # type: ignore[no-any-return]

        return asyncio.run(main())


def tools(root: Path, policy: Any) -> Tools:
    """Tools on the fake engine."""
    return Tools(Client(root=root, workspace=Path("workspace"), channel="agent", policy=policy, launch=launch))


ENGINE = """
import sys
sys.path.insert(0, {tests!r})
import fake_engine
from fewtune.api.runs import submitting
submitting.submit.__kwdefaults__["launch"] = fake_engine.launch
from fewtune.api.cli import main
main()
"""


@dataclass
class Commands:
    """The command line, a new process for each call. `fake` puts the fake engine behind `apply --detach`.

    The process begins with the libraries imported unless it is to be fresh.
    """

    root: Path
    policy: Path | None = None
    fake: bool = True
    fresh: bool = True
    count: Count = field(default_factory=Count)

    def call(self, tool: str, **arguments: Any) -> Answer:
        verb = VERBS.get(tool)
        command = [tool] if verb is None else verb({k: self._file(k, v) for k, v in arguments.items()})
        done = self.run([*command, "--json"])
        text = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "null"
        self.count.add(arguments, text)
        found: Answer = json.loads(text)
        return found

    def run(self, command: Sequence[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command in the root."""
        env = {"FEWTUNE_WORKSPACE": "workspace"}
        if self.policy is not None:
            env["FEWTUNE_POLICY"] = str(self.policy)
        program = ["-c", ENGINE.format(tests=str(TESTS))] if self.fake else ["fewtune"]
        if not self.fresh:
            return preloaded.run(*program, *command, cwd=self.root, env=env, stdin=stdin)
        started = [sys.executable, *(program if self.fake else ["-m", "fewtune.api.cli"]), *command]
        return subprocess.run(started, cwd=self.root, env={**os.environ, **env}, input=stdin, capture_output=True,
                              text=True, timeout=300, check=False)  # fmt: skip

    def _file(self, name: str, value: Any) -> Any:
        """Commands take a spec's file."""
        if name != "spec" or (isinstance(value, str) and value.endswith((".toml", ".json")) and "\n" not in value):
            return value
        text = value if isinstance(value, str) else json.dumps(value)
        path = self.root / f"written-{abs(hash(text)) % 10**8}{'.json' if text.lstrip().startswith('{') else '.toml'}"
        path.write_text(text)
        return path.name


VERBS: dict[str, Callable[[dict[str, Any]], list[str]]] = {
    "brief": lambda a: ["brief"],
    "describe": lambda a: ["describe", a["topic"], *([a["name"]] if "name" in a else [])],
    "draft_spec": lambda a: ["init", a["data"]],
    "validate_spec": lambda a: ["validate", a["spec"], *(["--fix"] if a.get("fix") else [])],
    "plan_spec": lambda a: ["plan", a["spec"]],
    "explain_plan": lambda a: ["explain", a["spec"], a["pointer"]],
    "submit_plan": lambda a: ["apply", a["spec"], "--detach", *(["--again"] if a.get("again") else [])],
    "watch_run": lambda a: (
        ["watch", a["run"], "--wait", str(a.get("wait_s", 0)), *(["--cursor", a["cursor"]] if a.get("cursor") else [])]
        if "run" in a
        else ["status"]
    ),
    "approve": lambda a: ["approve", a["run"]],
    "cancel_run": lambda a: ["cancel", a["run"], *(["--now"] if a.get("now") else [])],
    "show_results": lambda a: ["results"],
    "compare_arms": lambda a: ["compare", a["a"], a["b"]],
    "query_results": lambda a: ["sql", a["sql"]],
}
"""Tool -> the command that does the same."""


def status(answer: Answer) -> dict[str, Any]:
    """The run's status, in either form."""
    data: dict[str, Any] = answer["data"]
    found: dict[str, Any] = data.get("status", data)
    return found
