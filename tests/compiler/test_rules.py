"""Every rule over its fixture: titled situations, the value they must give, the evidence that must decide."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from situations import experiment, facts, with_model

from fewtune.compiler import resolve as pipeline
from fewtune.compiler.decision import Decision
from fewtune.compiler.evidence import EVIDENCE, GIVEN
from fewtune.compiler.notes import LEFT_OUT, Noted
from fewtune.compiler.resolve import resolve
from fewtune.compiler.sample import pool
from fewtune.compiler.situation import Situation
from fewtune.specs.patch import lookup

FIXTURES = Path(__file__).parent.parent / "fixtures" / "rules"
RULES = Path(pipeline.__file__).parent / "rules"
KEYS = {"title", "spec", "facts", "arm", "at", "left_out", "value", "nothing", "some", "evidence", "because", "instead"}


@dataclass(frozen=True)
class Case:
    """One titled situation of a fixture.

    `nothing` stands for null, `some` lets the value hold more keys, `left_out` names the method that is no arm.
    """

    rule: str
    given: dict[str, Any]

    @property
    def name(self) -> str:
        """The rule and the title."""
        return f"{self.rule}: {self.given['title']}"

    @cached_property
    def decision(self) -> Decision:
        """What the rules decide about the value that the case is about."""
        parameters = dict(self.given.get("facts", {}))
        changes = parameters.pop("model_changes", {})
        if isinstance(parameters.get("tokens"), str):
            parameters["tokens"] = lengths(parameters["tokens"])
        asked = experiment(**without_false(self.given.get("spec", {})))
        measured = with_model(facts(asked, **parameters), **changes)
        resolution = resolve(Situation.first(asked, measured, pool(measured.data)[0]))
        if "left_out" in self.given:
            absent = [one for one in resolution.noted if one.pointer == LEFT_OUT]
            return next(one.decision() for one in absent if one.choice.value == self.given["left_out"])
        if "arm" in self.given:
            return self._among(next(one.noted for one in resolution.arms if one.arm.method == self.given["arm"]))
        return self._among(resolution.noted)

    @property
    def at(self) -> str:
        """The place of the value, relative to the arm where there is one."""
        return str(self.given["at"])

    def _among(self, noted: tuple[Noted, ...]) -> Decision:
        decisions = [one.decision() for one in noted if self.at == one.pointer or self.at.startswith(one.pointer + "/")]
        assert len(decisions) == 1, f"{len(decisions)} decisions at {self.at}"
        found = decisions[0]
        return found.model_copy(
            update={"value": lookup({"value": found.value}, "/value" + self.at[len(found.field) :])}
        )


def without_false(tables: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: `test = false` takes the key away."""
    return {
        name: {key: None if value is False and key == "test" else value for key, value in table.items()}
        for name, table in tables.items()
    }


def lengths(text: str) -> tuple[int, ...]:
    """Lengths of texts: "200 x 20, 1 x 400"."""
    pairs = [tuple(map(int, part.split(" x "))) for part in text.split(", ")]
    return tuple(tokens for count, tokens in pairs for _ in range(count))


def read() -> Iterator[Case]:
    for path in sorted(FIXTURES.glob("*.toml")):
        content = tomllib.loads(path.read_text())
        defaults = {key: value for key, value in content.items() if key != "case"}
        yield from (Case(path.stem, defaults | given) for given in content["case"])


CASES = tuple(read())
NAMES = sorted({case.rule for case in CASES})


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_rule(case: Case) -> None:
    wanted = case.given
    assert wanted.keys() <= KEYS
    found = case.decision
    value = None if wanted.get("nothing") else wanted.get("left_out") or wanted["value"]
    if wanted.get("some"):
        assert found.value | value == found.value
    else:
        assert found.value == value
        assert type(found.value) is type(value)
    assert found.decided_by == case.rule
    assert found.rule == wanted.get("evidence", found.rule)
    assert found.pinned is (found.rule == "pin")
    assert re.search(re.escape(wanted.get("because", "")), found.because)
    if "instead" in wanted:
        assert [one.value for one in found.alternatives] == [wanted["instead"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_decision_says_why(case: Case) -> None:
    found = case.decision
    assert len(found.because) > 10
    assert found.evidence[0] == found.rule
    assert len(set(found.evidence)) == len(found.evidence)
    row = EVIDENCE.get(found.rule)
    assert found.source == (row.source if row else GIVEN[found.rule])
    assert found.strength == (row.strength if row else "given")
    assert all(other.why_not for other in found.alternatives)


@pytest.mark.parametrize("rule", NAMES)
def test_every_cited_row_exists(rule: str) -> None:
    found = [case.decision for case in CASES if case.rule == rule]
    cited = {row for one in found for row in one.evidence}
    cited |= {row for one in found for other in one.alternatives for row in other.evidence}
    assert cited <= EVIDENCE.keys() | GIVEN.keys()


@pytest.mark.parametrize("rule", NAMES)
def test_an_alternative_is_another_value(rule: str) -> None:
    for found in (case.decision for case in CASES if case.rule == rule):
        assert found.value not in [other.value for other in found.alternatives], found.because


def test_titles_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_the_four_lists_agree() -> None:
    """Files, their functions, the fixtures and what the pipeline runs: one name each."""
    files = {path.stem for path in RULES.glob("*.py")} - {"__init__"}
    functions = {name for name in files if callable(getattr(import_module(f"fewtune.compiler.rules.{name}"), name))}
    tree = ast.parse(Path(pipeline.__file__).read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported = {
        module
        for package, _, module in ((node.module or "").rpartition(".") for node in imports)
        if package == "fewtune.compiler.rules"
    }
    called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert files == functions == set(NAMES) == imported
    assert imported <= called


WITHOUT_KEY = {"max_tokens", "stop_at_newline"}
"""What the language has no key for yet."""


@pytest.mark.parametrize("rule", [name for name in NAMES if name not in WITHOUT_KEY])
def test_every_rule_has_a_pinned_case(rule: str) -> None:
    """Nothing that a rule decides is out of the user's reach."""
    assert "pin" in {case.given.get("evidence") for case in CASES if case.rule == rule}


@pytest.mark.parametrize("rule", NAMES)
def test_every_rule_says_what_it_decides(rule: str) -> None:
    """The module's and the function's sentence are what `explain` and the pages of rules show."""
    module = import_module(f"fewtune.compiler.rules.{rule}")
    for documented in (module, getattr(module, rule)):
        assert re.match(r"[A-Z0-9b][^\n]*\.", documented.__doc__ or ""), documented
