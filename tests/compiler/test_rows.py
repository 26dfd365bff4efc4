"""Rows of evidence that fixtures show both ways: where they fire, and where a fact keeps them out."""

from collections.abc import Mapping
from typing import Any

import pytest
from rule_cases import CASES
from situations import experiment, facts, found, relabelled, twins, with_split

from fewtune.compiler.evidence import EVIDENCE, ROWS
from fewtune.compiler.facts import Facts
from fewtune.specs.experiment import Experiment

Tables = dict[str, Any]
ENOUGH = 80
PAIR: Tables = {"task": {"type": "pair-classification"}}
NLI = ["entailment", "neutral", "contradiction"]


def clash(same: bool) -> Facts:
    """A text that stands in the data twice, with one label or with two."""
    given = facts()
    label = given.data.train.labels[3]
    return twins(relabelled(given, 8, label if same else (label + 1) % 4), "train", {8: 3})


def beside(shared: bool) -> Facts:
    """Texts without labels, of which one is a test row, or none."""
    given = facts(unlabelled_rows=20)
    groups = list(given.data.splits["unlabelled"].groups)
    groups[2] = given.data.splits["test"].groups[5] if shared else groups[2]
    return with_split(given, "unlabelled", groups=tuple(groups))


ASKED = experiment(data={"unlabelled": "u.csv"})
PAIRED, OUTSIDE = experiment(**PAIR), experiment(constraints={"ood": True})

CHECKS: Mapping[str, tuple[tuple[Experiment, Facts], tuple[Experiment, Facts]]] = {
    "R-081": ((PAIRED, facts(PAIRED, labels=NLI, n_rows=384)), (PAIRED, facts(PAIRED, labels=NLI, n_rows=385))),
    "R-095": ((ASKED, beside(shared=True)), (ASKED, beside(shared=False))),
    "R-108": ((experiment(), clash(same=False)), (experiment(), clash(same=True))),
    "R-135": (
        (OUTSIDE, facts(OUTSIDE, ood={"blogs": 40})),
        (OUTSIDE, facts(OUTSIDE, ood={"blogs": 40, "mail": 40})),
    ),
}
"""Rows that a check weighs -> spec and facts where it says so, and those right beside where it does not."""


def cites(situation: tuple[Experiment, Facts], row: str) -> bool:
    """Whether something that is said against a plan names the row."""
    return any(f"({row})" in f"{one.message} {one.remedy}" for one in found(*situation))


def shown() -> tuple[set[str], set[str]]:
    """(rows that fire in some fixture, rows that do not, with the reason in the decision or by a check's silence)."""
    fires = {row for case in CASES for row in case.decision.evidence if row in EVIDENCE}
    silent = {row for case in CASES for row in case.decision.kept_out}
    fires |= {row for row, (said, _) in CHECKS.items() if cites(said, row)}
    return fires, silent | {row for row, (_, not_said) in CHECKS.items() if not cites(not_said, row)}


def test_enough_rows_are_shown_both_ways() -> None:
    fires, silent = shown()
    both = {row.id for row in ROWS if row.active} & fires & silent
    assert len(both) >= ENOUGH, f"{len(both)}; one way only: {sorted((fires ^ silent) & EVIDENCE.keys())}"


def test_every_row_with_a_condition_is_shown_both_ways() -> None:
    fires, silent = shown()
    assert {row.id for row in ROWS if row.when} - (fires & silent) == set()


@pytest.mark.parametrize("row", CHECKS)
def test_a_check_cites_its_row_and_is_silent_right_beside(row: str) -> None:
    said, not_said = CHECKS[row]
    assert "check" in EVIDENCE[row].decides
    assert cites(said, row)
    assert not cites(not_said, row)


def test_every_row_of_checks_is_here() -> None:
    assert {row.id for row in ROWS if "check" in row.decides} == CHECKS.keys()
