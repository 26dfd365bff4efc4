"""Statements that try to reach more than the results, run one after the other and judged from outside."""

import json
import os
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fewtune.specs.diagnostic import StoreError
from fewtune.store.query import Answer, run_sql
from fewtune.store.sandbox import Sandbox
from fewtune.store.workspace import Workspace

FIXTURES = Path(__file__).parents[1] / "fixtures"
SECRET = "canary-7f3a9c"
"""Stands in a file beside the results and in the environment."""
ENDS = {2: "refused", 13: "refused", 14: "limit"}
DEEP = 4000


@dataclass(frozen=True)
class Attack:
    kind: str
    expected: str
    """refused, limit or contained."""
    sql: str


@dataclass(frozen=True)
class Outcome:
    end: str
    """refused, limit or answered."""
    seconds: float
    said: str
    """All that came back, as JSON."""


def attacks() -> list[Attack]:
    found = tomllib.loads((FIXTURES / "sql_attacks.toml").read_text())
    return [Attack(kind, end, sql) for kind, ends in found.items() for end, texts in ends.items() for sql in texts]


def good_queries() -> list[str]:
    return tomllib.loads((FIXTURES / "sql_good.toml").read_text())["queries"]


def plant(workspace: Workspace) -> None:
    """Put a secret where a statement must not come to."""
    os.environ["FEWTUNE_CANARY"] = SECRET
    (workspace.root / "secret.csv").write_text(f"secret\n{SECRET}\n")


def filled(sql: str, workspace: Workspace) -> str:
    return sql.format(
        csv=workspace.root / "secret.csv",
        root=workspace.root,
        new=workspace.root / "made-by-a-query",
        db=next(workspace.results.iterdir()),
        long="x" * 1_200_000,
        deep="(" * DEEP,
        peed=")" * DEEP,
        chain="1 + " * DEEP,
    )


def run(workspace: Workspace, sandbox: Sandbox, sql: str, seconds: float) -> Outcome:
    began = time.monotonic()
    try:
        found: Answer | StoreError = run_sql(workspace, sql, 1000, seconds=seconds, max_bytes=100_000, sandbox=sandbox)
    except StoreError as error:
        found = error
    took = time.monotonic() - began
    if isinstance(found, Answer):
        return Outcome("answered", took, json.dumps([[c.name for c in found.columns], found.rows]))
    assert [diagnostic.code for diagnostic in found.diagnostics] == ["E-sql"]
    return Outcome(ENDS[found.exit_status], took, found.diagnostics[0].model_dump_json())


def violations(
    attack: Attack, sql: str, outcome: Outcome, workspace: Workspace, before: dict[str, bytes]
) -> Iterator[str]:
    """What went wrong; nothing, where the attack failed."""
    if attack.expected != "contained" and outcome.end != attack.expected:
        yield f"{attack.expected} expected, {outcome.end}: {outcome.said[:300]}"
    if SECRET in outcome.said:
        yield f"the secret came out: {outcome.said[:300]}"
    if str(workspace.root) not in sql and str(workspace.root) in outcome.said:
        yield f"a path came out: {outcome.said[:300]}"
    if "Traceback" in outcome.said or len(outcome.said) > 110_000:
        yield f"not a short answer: {len(outcome.said)} bytes, {outcome.said[:300]}"
    if (after := files(workspace)) != before:
        yield f"files changed: {sorted(set(after) ^ set(before))}"


def files(workspace: Workspace) -> dict[str, bytes]:
    """All files of the workspace with their content, and its folders."""
    found = sorted(workspace.root.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in found}
