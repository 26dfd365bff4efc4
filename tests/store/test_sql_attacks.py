"""Statements that try to reach more than the results: none does, and the next question is answered."""

import random
from collections.abc import Iterator

import attacking
import duckdb
import miniature
import pytest

from fewtune.store import harmless, statement
from fewtune.store.database import connect_reader
from fewtune.store.sandbox import Sandbox
from fewtune.store.workspace import Workspace

SAMPLE = 16
HEAVY = ("time", "memory")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("attacked")
    miniature.applied(root, miniature.make_plan(arms=("zero-shot",)))
    found = Workspace(root)
    attacking.plant(found)
    return found


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box


def chosen(full: bool) -> list[attacking.Attack]:
    """All, or of the cheap ones a seeded sample and of each heavy kind one."""
    every = attacking.attacks()
    if full:
        return every
    dice = random.Random(0)
    cheap = dice.sample([attack for attack in every if attack.kind not in HEAVY], SAMPLE)
    return cheap + [dice.choice([attack for attack in every if attack.kind == kind]) for kind in HEAVY]


@pytest.mark.parametrize(("full", "seconds"), [(False, 0.4), pytest.param(True, 1.0, marks=pytest.mark.full)])
def test_no_attack_succeeds(workspace: Workspace, sandbox: Sandbox, full: bool, seconds: float, capsys) -> None:
    before, worst = attacking.files(workspace), 0.0
    for attack in chosen(full):
        sql = attacking.filled(attack.sql, workspace)
        outcome = attacking.run(workspace, sandbox, sql, seconds)
        assert list(attacking.violations(attack, sql, outcome, workspace, before)) == [], attack
        assert outcome.seconds <= seconds + 1, attack
        assert attacking.run(workspace, sandbox, "SELECT count(*) FROM runs", 10).said == '[["count_star()"], [[1]]]'
        worst = max(worst, outcome.seconds)
    with capsys.disabled():
        print(f" [{len(chosen(full))} attacks, the longest {worst:.2f} s]", end="")


def test_the_corpus_is_broad() -> None:
    every = attacking.attacks()
    assert len(every) >= 120
    assert len({attack.sql for attack in every}) == len(every)
    assert len(attacking.good_queries()) >= 40


@pytest.mark.skipif(duckdb.__version__ < "2", reason="earlier versions have fewer functions, and list no windows")
def test_no_function_that_is_let_through_is_unknown_to_this_database_or_known_to_do_more() -> None:
    """Each name stands for a function of values; those that reach further are refused by name."""
    with connect_reader(None) as connection:
        rows = connection.execute("SELECT DISTINCT function_name, function_type FROM duckdb_functions()").fetchall()
    known = {name.lower() for name, kind in rows if kind in ("scalar", "aggregate", "macro", "window")}
    written_otherwise = {"->", "coalesce", "ifnull", "row", "unnest"}
    assert harmless.FUNCTIONS - known <= written_otherwise
    reaching = (
        "current_setting",
        "getvariable",
        "write_log",
        "json_serialize_plan",
        "pg_",
        "duckdb_",
        "read_",
        "sleep",
    )
    assert not [name for name in harmless.FUNCTIONS - {"pg_typeof"} for part in reaching if name.startswith(part)]
    tables = {name for name, kind in rows if kind.startswith("table")}
    assert tables >= harmless.TABLE_FUNCTIONS
    assert not harmless.TABLE_FUNCTIONS & {name for name in tables if "read" in name or "scan" in name}


def test_what_a_statement_reads_is_known(workspace: Workspace) -> None:
    with connect_reader(None) as connection:
        found = statement.check(connection, "WITH a AS (FROM runs) SELECT * FROM a JOIN main.Trials USING (run)")
    assert found.views == {"runs", "trials"}
