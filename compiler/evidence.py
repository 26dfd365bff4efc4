"""The rows of evidence that decisions cite: condition, effect, strength, source, conflicts.

A row never decides alone: a decision in `compiler/rules` weighs rows, names the one that settled the value and the
ones that it overruled. Strength is the row's own, not our liking for it. Local rows (M-...) were measured with this
project's own engine; their source names the script that repeats them. The rows stand in evidence.toml, those that no
decision weighs yet among them, with what they wait for.
"""

import tomllib
from importlib.resources import files
from typing import Any

from fewtune.compiler.condition import Condition
from fewtune.compiler.decision import Decision, Strength
from fewtune.compiler.fingerprint import fingerprint
from fewtune.specs.frozen import Frozen

SHORT = {
    "SURVEY": "arXiv 2411.09539 (survey of fine-tuning with limited data)",
    "COMPAN": "arXiv 2405.13181, released notebooks and result files",
}
"""Names of sources in evidence.toml -> what they stand for."""


class Evidence(Frozen):
    """One statement of the literature, in our words."""

    id: str
    condition: str
    """When it holds, for a reader."""
    effect: str
    strength: Strength
    source: str
    conflicts: tuple[str, ...] = ()
    decides: tuple[str, ...] = ()
    """Decisions that weigh it; "check" (of a spec) and "runtime" (kept in every run) are among them."""
    when: tuple[Condition, ...] = ()
    """Tests that must all pass, else the row is kept out."""
    waits_for: str | None = None
    """The capability or fact that is missing; None: the row is active."""

    @property
    def active(self) -> bool:
        """Whether a decision weighs it."""
        return bool(self.decides)


def _row(id: str, table: dict[str, Any]) -> Evidence:
    source = table["source"]
    for name, full in SHORT.items():
        source = source.replace(name, full)
    when = [Condition.parse(test) for test in table.get("when", ())]
    return Evidence.model_validate(table | {"id": id, "source": source, "when": when})


def _read() -> tuple[Evidence, ...]:
    tables = tomllib.loads(files("fewtune.compiler").joinpath("evidence.toml").read_text(encoding="utf-8"))
    return tuple(_row(id, table) for id, table in tables.items())


ROWS = _read()

EVIDENCE: dict[str, Evidence] = {row.id: row for row in ROWS}


def overruled(decision: Decision) -> tuple[str, ...]:
    """Rows that were weighed and contradict the one that decided."""
    weighed = (EVIDENCE[id] for id in decision.evidence if id in EVIDENCE and id != decision.rule)
    return tuple(row.id for row in weighed if decision.rule in row.conflicts)


GIVEN: dict[str, str] = {
    "pin": "the spec",
    "fact": "measured facts",
    "budget": "the spec's limits and the cost model",
    "design": "fewtune's own rule",
    "local": "this user's own runs, adopted in fewtune.lock",
}
"""What can decide besides evidence -> its source."""

RULE_SET = f"2-{fingerprint('rules', [row.model_dump(mode='json') for row in ROWS])[:8]}"
"""Version and content of the evidence, part of the plan's hash."""
