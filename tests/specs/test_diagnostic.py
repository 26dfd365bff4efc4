"""Codes and errors: none is forgotten, none is idle."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fewtune.specs import diagnostic
from fewtune.specs.diagnostic import CODES, Diagnostic, FewtuneError, PlanError, RunError, SpecError, StoreError

ROOT = Path(__file__).parents[2]
FOLDERS = ("specs", "compiler", "store", "runtime", "api")


def literals(path: Path) -> Iterator[str]:
    """Codes that stand as a text of their own in a source file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.fullmatch(r"[EW]-[a-z0-9-]+", node.value)
        ):
            yield node.value


def used() -> dict[str, set[str]]:
    """Code -> files that use it, the table itself left out."""
    found: dict[str, set[str]] = {}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            if path.name != "diagnostic.py":
                for code in literals(path):
                    found.setdefault(code, set()).add(str(path.relative_to(ROOT)))
    return found


USED = used()


@pytest.mark.parametrize("code", sorted(USED))
def test_a_code_that_is_used_is_in_the_table(code: str) -> None:
    assert code in CODES, USED[code]


@pytest.mark.parametrize("code", CODES)
def test_a_code_of_the_table_is_used(code: str) -> None:
    assert code in USED


@pytest.mark.parametrize("code", CODES)
def test_a_code_is_well_formed_and_explained(code: str) -> None:
    assert re.fullmatch(r"[EW]-[a-z]+(-[a-z]+)*", code)
    assert len(CODES[code]) > 10
    assert not CODES[code].endswith(".")


def test_meanings_are_told_apart() -> None:
    assert len(set(CODES.values())) == len(CODES)


def errors() -> list[type[FewtuneError]]:
    """Every kind of error that is raised on purpose."""
    return [FewtuneError, *FewtuneError.__subclasses__()]


def test_the_tree_of_errors_is_the_one_that_is_drawn() -> None:
    drawn = re.findall(r"^ +(?:\+-- )?(\w+Error) ", diagnostic.__doc__ or "", re.MULTILINE)
    assert drawn == [kind.__name__ for kind in errors()]
    assert all(not kind.__subclasses__() for kind in errors()[1:])


@pytest.mark.parametrize(
    ("kind", "status"), [(FewtuneError, 1), (SpecError, 3), (PlanError, 3), (StoreError, 8), (RunError, 11)]
)
def test_exit_statuses(kind: type[FewtuneError], status: int) -> None:
    one = Diagnostic(code="E-value", message="wrong")
    assert kind(one).exit_status == status
    assert kind(one, exit_status=15).exit_status == 15


def test_an_error_holds_all_findings_errors_first() -> None:
    warning = Diagnostic(code="W-cut", severity="warning", message="left out")
    first, second = (Diagnostic(code="E-value", message=text) for text in ("one", "two"))
    error = PlanError([warning, first, second])
    assert error.diagnostics == (first, second, warning)
    assert str(error) == "E-value: one; E-value: two; W-cut: left out"


def test_a_finding_survives_json() -> None:
    one = Diagnostic(code="E-value", message="wrong", pointer="/a", line=3, column=4, nearest="b")
    assert Diagnostic.model_validate_json(one.model_dump_json()) == one
    assert one.located(7, 1) == one.model_copy(update={"line": 7, "column": 1})
