"""Every rule over its fixture: titled situations, the value they must give, the evidence that must decide."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest
from rule_cases import CASES, KEYS, NAMES, Case

from fewtune.compiler import adaptations, augmenting, resolve_arm
from fewtune.compiler import resolve as pipeline
from fewtune.compiler.evidence import EVIDENCE, GIVEN

RULES = Path(pipeline.__file__).parent / "rules"


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
    assert found.strength == (row.strength if row else "local" if found.rule == "local" else "given")
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
    trees = [
        ast.parse(Path(str(module.__file__)).read_text()) for module in (pipeline, resolve_arm, adaptations, augmenting)
    ]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    imported = {
        module
        for package, _, module in ((node.module or "").rpartition(".") for node in imports)
        if package == "fewtune.compiler.rules"
    }
    called = {node.id for node in nodes if isinstance(node, ast.Name)}
    assert files == functions == set(NAMES) == imported
    assert imported <= called


WITHOUT_KEY = {"max_tokens", "stop_at_newline", "preferred", "transfer", "regularisation", "sampling"}
"""What the language has no key for yet; what is preferred follows from `fewtune evidence adopt`."""


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
