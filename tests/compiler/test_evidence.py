"""The rows of evidence: well-formed, cited, and their conflicts named."""

import re
from pathlib import Path

import pytest
from rule_cases import CASES, NAMES, Case

from fewtune.compiler import evidence
from fewtune.compiler.condition import Condition, kept_out
from fewtune.compiler.evidence import EVIDENCE, GIVEN, ROWS, RULE_SET
from fewtune.compiler.weighing import FACTS
from fewtune.specs.methods import METHODS

COMPILER = Path(evidence.__file__).parent
CATALOGUED = {f"R-{number:03}" for number in range(1, 152)}
METHOD_WORDS = METHODS.keys() | {word for method in METHODS for word in method.split("+")}
ELSEWHERE = {"check", "runtime", "halving"}
"""What weighs rows and has no fixture of its own here."""
ACTIVE = [row for row in ROWS if row.active and not ELSEWHERE.issuperset(row.decides)]


def cited() -> set[str]:
    """Ids that rules, checks and the pipeline write."""
    sources = [path.read_text() for path in COMPILER.rglob("*.py") if path.name != "evidence.py"]
    return {row for text in sources for row in re.findall(r"\b[RM]-\d{3}\b", text)}


def test_the_catalogue_is_whole() -> None:
    assert {row.id for row in ROWS if row.id.startswith("R-")} == CATALOGUED


def test_ids_are_unique() -> None:
    assert len(EVIDENCE) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_is_well_formed(row: evidence.Evidence) -> None:
    assert re.fullmatch(r"[RM]-\d{3}", row.id)
    assert row.condition
    assert row.effect
    assert row.source
    assert not row.effect.endswith(".")
    assert (row.strength == "local") is row.id.startswith("M-")
    assert row.strength != "given"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_row_is_active_or_waits(row: evidence.Evidence) -> None:
    assert row.active is (row.waits_for is None)
    assert set(row.decides) <= {*NAMES, *METHOD_WORDS, *ELSEWHERE}
    assert {test.fact for test in row.when} <= FACTS.keys()
    assert row.active or not row.when


@pytest.mark.parametrize("row", [row for row in ROWS if row.strength == "local"], ids=lambda row: row.id)
def test_a_local_row_names_the_script_that_repeats_it(row: evidence.Evidence) -> None:
    assert (Path(__file__).parents[2] / row.source).is_file()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_conflicts_name_rules(row: evidence.Evidence) -> None:
    assert set(row.conflicts) <= CATALOGUED | EVIDENCE.keys()
    assert row.id not in row.conflicts


def test_a_conflict_has_two_sides() -> None:
    """Whoever reads one of two rows that contradict each other must learn of the other."""
    one_sided = {
        (row.id, other)
        for row in ROWS
        for other in row.conflicts
        if other in EVIDENCE and row.id not in EVIDENCE[other].conflicts
    }
    assert not one_sided


def test_every_cited_id_exists() -> None:
    assert cited() <= EVIDENCE.keys()


@pytest.mark.parametrize("row", ACTIVE, ids=lambda row: row.id)
def test_some_fixture_shows_a_row_firing(row: evidence.Evidence) -> None:
    assert any(row.id in case.decision.evidence for case in CASES)


@pytest.mark.parametrize("row", [row for row in ACTIVE if row.when], ids=lambda row: row.id)
def test_some_fixture_shows_a_row_kept_out(row: evidence.Evidence) -> None:
    reasons = {case.decision.kept_out[row.id] for case in CASES if row.id in case.decision.kept_out}
    assert reasons
    assert reasons <= {str(test) for test in row.when}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_settles_a_value_applies(case: Case) -> None:
    """No rule rests on a row whose condition does not hold, or that is about something else."""
    found = case.decision
    assert found.rule not in found.kept_out
    names = {found.decided_by} | (
        {found.value, *str(found.value).split("+")} if found.decided_by == "methods" else set()
    )
    for row in (EVIDENCE[id] for id in found.evidence if id in EVIDENCE):
        assert names.intersection(row.decides), row.id


@pytest.mark.parametrize(
    ("test", "value", "holds"),
    [
        ("labels < 250", 249, True), ("labels < 250", 250, False), ("parameters <= 350M", 350_000_000, True),
        ("parameters >= 1B", 999_999_999, False), ("forgetting < 0.05", 0.05, False), ("deployments > 1", 2, True),
        ("instruct = yes", True, True), ("instruct = yes", False, False), ("labels < 5k", "many", False),
        ("task in generation summarisation", "summarisation", True), ("task = generation", "summarisation", False),
    ],
)  # fmt: skip
def test_a_condition(test: str, value: bool | float | str, holds: bool) -> None:
    condition = Condition.parse(test)
    assert str(condition) == test
    assert condition.holds(value) is holds
    assert (kept_out((condition,), {"x": value}.get) is None) is False  # a fact that is not known


@pytest.mark.parametrize("text", ["labels", "labels << 3", "labels < many", "Labels < 3", "labels<3", ""])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(ValueError, match=r"no test|could not convert"):
        Condition.parse(text)


def test_a_row_against_the_one_that_decided_is_overruled() -> None:
    found = {(case.decision.rule, id) for case in CASES for id in evidence.overruled(case.decision)}
    assert ("R-054", "R-056") in found
    assert all(rule in EVIDENCE[id].conflicts for rule, id in found)
    assert "R-004" not in {id for _, id in found}


def test_what_decides_besides_evidence_is_no_id() -> None:
    assert not GIVEN.keys() & EVIDENCE.keys()
    assert all(GIVEN.values())


def test_the_rule_set_names_its_content() -> None:
    assert re.fullmatch(r"2-[0-9a-f]{8}", RULE_SET)
