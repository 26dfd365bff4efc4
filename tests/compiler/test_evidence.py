"""The rows of evidence: well-formed, cited, and their conflicts named."""

import re
from pathlib import Path

import pytest

from fewtune.compiler import evidence
from fewtune.compiler.evidence import EVIDENCE, GIVEN, ROWS, RULE_SET

COMPILER = Path(evidence.__file__).parent
CATALOGUED = {f"R-{number:03}" for number in range(1, 152)}
"""The catalogue has 151 rules; those that no decision needs yet are not among the rows."""


def cited() -> set[str]:
    """Ids that rules, checks and the pipeline write."""
    sources = [path.read_text() for path in COMPILER.rglob("*.py") if path.name != "evidence.py"]
    return {row for text in sources for row in re.findall(r"\b[RM]-\d{3}\b", text)}


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


@pytest.mark.parametrize("row", [row for row in ROWS if row.id.startswith("R-")], ids=lambda row: row.id)
def test_a_row_of_the_literature_is_catalogued(row: evidence.Evidence) -> None:
    assert row.id in CATALOGUED


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


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_row_is_cited(row: evidence.Evidence) -> None:
    assert row.id in cited()


def test_what_decides_besides_evidence_is_no_id() -> None:
    assert not GIVEN.keys() & EVIDENCE.keys()
    assert all(GIVEN.values())


def test_the_rule_set_names_its_content() -> None:
    assert re.fullmatch(r"1-[0-9a-f]{8}", RULE_SET)
