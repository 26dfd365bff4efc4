"""Every rule over its fixture: titled situations, the value they must give, the evidence that must decide."""

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from situations import experiment, facts, with_model

from fewtune.compiler import resolve as pipeline
from fewtune.compiler.decision import Decision
from fewtune.compiler.evidence import EVIDENCE, GIVEN
from fewtune.compiler.resolve import Noted, resolve
from fewtune.specs.patch import lookup

FIXTURES = Path(__file__).parent.parent / "fixtures" / "rules"
RULES = Path(pipeline.__file__).parent / "rules"
KEYS = {"title", "spec", "facts", "arm", "at", "value", "nothing", "some", "evidence", "because", "instead", "xfail"}


@dataclass(frozen=True)
class Case:
    """One titled situation of a fixture; `nothing` stands for null, `some` lets the value hold more keys."""

    rule: str
    given: dict[str, Any]

    @property
    def name(self) -> str:
        """The rule and the title."""
        return f"{self.rule}: {self.given['title']}"

    def decision(self) -> Decision:
        """What the rules decide about the value that the case is about."""
        parameters = dict(self.given.get("facts", {}))
        changes = parameters.pop("model_changes", {})
        if isinstance(parameters.get("tokens"), str):
            parameters["tokens"] = lengths(parameters["tokens"])
        asked = experiment(**without_false(self.given.get("spec", {})))
        resolution = resolve(asked, with_model(facts(asked, **parameters), **changes))
        noted = resolution.noted
        if "arm" in self.given and not self.at.startswith("/left_out/"):
            noted = next(found.noted for found in resolution.arms if found.arm.method == self.given["arm"])
        return self._among(noted)

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


def cases() -> Iterator[Any]:
    for path in sorted(FIXTURES.glob("*.toml")):
        content = tomllib.loads(path.read_text())
        defaults = {key: value for key, value in content.items() if key != "case"}
        for given in content["case"]:
            case = Case(path.stem, defaults | given)
            marks = [pytest.mark.xfail(reason=given["xfail"], raises=AssertionError)] if "xfail" in given else []
            yield pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", cases())
def test_rule(case: Case) -> None:
    wanted = case.given
    assert wanted.keys() <= KEYS
    found = case.decision()
    value = None if wanted.get("nothing") else wanted["value"]
    if wanted.get("some"):
        assert found.value.items() >= value.items()
    else:
        assert found.value == value
        assert type(found.value) is type(value)
    assert found.decided_by == case.rule
    assert found.rule == wanted.get("evidence", found.rule)
    assert found.pinned is (found.rule == "pin")
    assert re.search(re.escape(wanted.get("because", "")), found.because)
    if "instead" in wanted:
        assert [one.value for one in found.alternatives] == [wanted["instead"]]


@pytest.mark.parametrize("case", cases())
def test_a_decision_says_why(case: Case) -> None:
    """Reasons, sources and what would change the value are there, and every cited row exists."""
    found = case.decision()
    assert len(found.because) > 10
    assert found.evidence[0] == found.rule
    assert len(set(found.evidence)) == len(found.evidence)
    row = EVIDENCE.get(found.rule)
    assert found.source == (row.source if row else GIVEN[found.rule])
    assert found.strength == (row.strength if row else "given")
    for cited in (*found.evidence, *(one for other in found.alternatives for one in other.evidence)):
        assert cited in EVIDENCE or cited in GIVEN
    assert all(other.why_not for other in found.alternatives)
    assert found.value not in [other.value for other in found.alternatives]


def test_titles_are_unique() -> None:
    names = [case.values[0].name for case in cases()]
    assert len(names) == len(set(names))


def test_the_four_lists_agree() -> None:
    """Files, their functions, the fixtures and what the pipeline runs: one name each."""
    files = {path.stem for path in RULES.glob("*.py")} - {"__init__"}
    functions = {name for name in files if callable(getattr(import_module(f"fewtune.compiler.rules.{name}"), name))}
    fixtures = {path.stem for path in FIXTURES.glob("*.toml")}
    tree = ast.parse(Path(pipeline.__file__).read_text())
    modules = {node.module.rsplit(".", 1)[1]: node for node in ast.walk(tree)
               if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("fewtune.compiler.rules.")}  # fmt: skip
    imported = {module for module, node in modules.items() if module in {alias.name for alias in node.names}}
    called = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert files == functions == fixtures == imported
    assert imported <= called


@pytest.mark.parametrize("rule", sorted(path.stem for path in FIXTURES.glob("*.toml")))
def test_every_rule_has_a_pinned_case(rule: str) -> None:
    """Nothing that a rule decides is out of the user's reach."""
    pinned = [case.values[0] for case in cases() if case.values[0].rule == rule]
    assert any(case.given.get("evidence") == "pin" for case in pinned)


@pytest.mark.parametrize("rule", sorted(path.stem for path in FIXTURES.glob("*.toml")))
def test_every_rule_says_what_it_decides(rule: str) -> None:
    """The module's and the function's sentence are what `explain` and the pages of rules show."""
    module = import_module(f"fewtune.compiler.rules.{rule}")
    for documented in (module, getattr(module, rule)):
        assert re.match(r"[A-Z0-9b][^\n]*\.", documented.__doc__ or ""), documented
