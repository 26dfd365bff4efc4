"""Many commands in one process: what is asked is the command line, and a start of Python for each would be waiting."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import preloaded

PROGRAM = """
import contextlib, io, json, sys
from fewtune.api.cli import main
for command in json.load(sys.stdin):
    sys.argv, out, err, status = ["fewtune", *command], io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    returncode: int
    stdout: str
    stderr: str


def fewtune_many(
    commands: Sequence[Sequence[str]], cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300,
    fresh: bool = False,
) -> list[Said]:  # fmt: skip
    """Run commands one after the other, as `fewtune` with these arguments; fresh: in a process that imports anew."""
    if fresh:
        command, environment = [sys.executable, "-c", PROGRAM], {**os.environ, **(env or {})}
        done = subprocess.run(command, cwd=cwd, env=environment, input=json.dumps(commands), capture_output=True,
                              text=True, timeout=timeout, check=True)  # fmt: skip
    else:
        done = preloaded.run("-c", PROGRAM, cwd=cwd, env=env, stdin=json.dumps(commands), timeout=timeout)
        done.check_returncode()
    answers = [Said(*json.loads(line)) for line in done.stdout.splitlines()]
    assert len(answers) == len(commands)
    return answers
