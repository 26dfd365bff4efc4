"""Plans of many situations: what the catalogue of rules asks for, written down before the compiler was asked.

`from_catalogue` says why, in the catalogue's words and ids. Where a plan has another value than was expected, the entry
keeps what was expected (`instead`), and says in `resolved` which of both is right, and why.
"""

import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from rule_cases import decision_at, lengths, without_false
from situations import compiled, faults

from fewtune.compiler.decision import Decision
from fewtune.compiler.plan import Plan

FOLDER = Path(__file__).parents[1] / "fixtures" / "plans"
KEYS = {"title", "from_catalogue", "spec", "facts", "arms", "left_out", "warns", "refused", "expect", "departs",
        "resolved", "instead"}  # fmt: skip
EXPECTED = {"arm", "at", "value", "nothing", "least", "most", "says", "instead", "resolved"}
"""Keys of a plan, and of what is expected of it; `nothing` stands for null."""


@dataclass(frozen=True)
class Golden:
    """One situation."""

    theme: str
    given: dict[str, Any]

    @property
    def name(self) -> str:
        """Theme and title."""
        return f"{self.theme}: {self.given['title']}"

    @property
    def situation(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The spec's tables and the facts' parameters."""
        parameters = dict(self.given.get("facts", {}))
        if isinstance(parameters.get("tokens"), str):
            parameters["tokens"] = lengths(parameters["tokens"])
        return without_false(self.given.get("spec", {})), parameters

    @cached_property
    def plan(self) -> Plan:
        """What the compiler makes of it."""
        spec, parameters = self.situation
        return compiled(spec, **parameters).plan

    def decision(self, expected: dict[str, Any]) -> Decision:
        """The decision at a place of the plan, or of an arm."""
        prefix = ""
        if "arm" in expected:
            methods = [arm.method for arm in self.plan.arms]
            assert expected["arm"] in methods, f"there is no arm {expected['arm']}, only {', '.join(methods)}"
            prefix = f"/arms/{methods.index(expected['arm'])}"
        return decision_at(prefix + expected["at"], self.plan.decisions)


def read() -> list[Golden]:
    return [
        Golden(path.stem, given)
        for path in sorted(FOLDER.glob("*.toml"))
        for given in tomllib.loads(path.read_text())["plan"]
    ]


GOLDEN = read()
ALLOWED = [golden for golden in GOLDEN if "refused" not in golden.given]
EXPECTATIONS = [
    pytest.param(
        golden, expected, id=f"{golden.name}{' ' + expected['arm'] if 'arm' in expected else ''}{expected['at']}"
    )
    for golden in ALLOWED
    for expected in golden.given.get("expect", [])
]


def test_there_are_enough_and_each_says_why() -> None:
    assert len(GOLDEN) >= 40
    assert len({golden.name for golden in GOLDEN}) == len(GOLDEN)
    for golden in GOLDEN:
        assert golden.given.keys() <= KEYS, golden.name
        assert golden.given["from_catalogue"], golden.name
        assert all(expected.keys() <= EXPECTED for expected in golden.given.get("expect", [])), golden.name
        assert golden.theme != "vendor_matrix" or golden.given["departs"], golden.name


@pytest.mark.parametrize(("golden", "expected"), EXPECTATIONS)
def test_a_value_is_the_one_that_the_catalogue_gives(golden: Golden, expected: dict[str, Any]) -> None:
    decision = golden.decision(expected)
    value = decision.value
    if expected.get("nothing"):
        assert value is None
    if "value" in expected:
        assert value == expected["value"]
    if "least" in expected:
        assert value >= expected["least"]
    if "most" in expected:
        assert value <= expected["most"]
    if "says" in expected:
        assert expected["says"] in decision.evidence


@pytest.mark.parametrize("golden", ALLOWED, ids=lambda golden: golden.name)
def test_arms_and_warnings_are_those_that_the_catalogue_gives(golden: Golden) -> None:
    methods = {arm.method for arm in golden.plan.arms}
    assert set(golden.given.get("arms", ())) <= methods
    assert not set(golden.given.get("left_out", ())) & methods
    assert set(golden.given.get("warns", ())) <= {warning.code for warning in golden.plan.warnings}


@pytest.mark.parametrize("golden", [g for g in GOLDEN if "refused" in g.given], ids=lambda golden: golden.name)
def test_a_refusal_is_the_one_that_is_expected(golden: Golden) -> None:
    spec, parameters = golden.situation
    assert golden.given["refused"] in {fault.code for fault in faults(spec, **parameters)}
