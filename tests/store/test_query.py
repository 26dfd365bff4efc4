"""One SELECT on the published results: values as JSON has them, every mistake a diagnostic, nothing else reachable."""

import json
from pathlib import Path
from typing import Any

import miniature
import pytest

from fewtune.specs.diagnostic import StoreError
from fewtune.store.query import run_sql
from fewtune.store.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("query")
    miniature.applied(root, miniature.make_plan(arms=("zero-shot",)))
    return Workspace(root)


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("SELECT 'nan'::DOUBLE", None),
        ("SELECT 1 / 0", None),
        ("SELECT '-inf'::FLOAT", None),
        ("SELECT [1.0, 'nan'::DOUBLE]", [1.0, None]),
        ("SELECT {'a': 'inf'::DOUBLE, 'b': 'x'}", {"a": None, "b": "x"}),
        ("SELECT 12345678901234567890::HUGEINT", 12345678901234567890),
        ("SELECT 1.50::DECIMAL(4, 2)", 1.5),
        ("SELECT DATE '2026-01-02'", "2026-01-02"),
        ("SELECT TIMESTAMP '2026-01-02 03:04:05'", "2026-01-02T03:04:05"),
        ("SELECT INTERVAL 90 SECOND", 90.0),
        ("SELECT '\\x01'::BLOB", "01"),
        ("SELECT NULL", None),
        ("SELECT true", True),
        ("SELECT MAP {'k': 1}", {"k": 1}),
        ("SELECT '12345678-1234-1234-1234-123456789abc'::UUID", "12345678-1234-1234-1234-123456789abc"),
    ],
)
def test_values_are_those_of_json(workspace: Workspace, sql: str, value: Any) -> None:
    [[found]] = run_sql(workspace, sql).rows
    assert found == value
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM runs",
        "FROM leaderboard",
        "VALUES (1)",
        "DESCRIBE leaderboard",
        "SHOW TABLES",
        "SUMMARIZE leaderboard",
        "EXPLAIN SELECT 1",
        "WITH a AS (SELECT 1) SELECT * FROM a;",
        "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'trials'",
        "-- a comment\nSELECT 1",
    ],
)
def test_what_reads_is_let_through(workspace: Workspace, sql: str) -> None:
    assert run_sql(workspace, sql).columns


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "-- nothing",
        "SELECT 1; SELECT 2",
        "CREATE TABLE t (a INT)",
        "CREATE TEMP TABLE t (a INT)",
        "INSERT INTO private.run_ended SELECT * FROM private.run_ended",
        "DELETE FROM private.position",
        "DROP VIEW runs",
        "ATTACH 'other.duckdb'",
        "COPY (SELECT 1) TO 'x.csv'",
        "EXPORT DATABASE 'x'",
        "PRAGMA version",
        "SET threads = 4",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "LOAD json",
        "INSTALL httpfs",
        "CALL pragma_version()",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "USE private",
        "PREPARE p AS SELECT 1",
        "EXPLAIN ANALYZE INSERT INTO private.run_ended SELECT * FROM private.run_ended",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('https://example.org/x.parquet')",
        "SELECT * FROM workspace",
        "SELECT * FROM query('DROP VIEW runs')",
    ],
)
def test_what_does_more_is_refused(workspace: Workspace, sql: str) -> None:
    before = {path: path.read_bytes() for path in workspace.results.iterdir()}
    with pytest.raises(StoreError, match="E-sql") as caught:
        run_sql(workspace, sql)
    assert caught.value.exit_status in (2, 13)
    assert {path: path.read_bytes() for path in workspace.results.iterdir()} == before


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT means FROM leaderboard", {"got": "means", "nearest": "mean", "line": 1, "column": 8}),
        ("SELECT *\nFROM leaderbord", {"got": "leaderbord", "nearest": "leaderboard", "line": 2, "column": 6}),
        ("SELECT acuracy\n\nFROM evaluations", {"nearest": "accuracy", "line": 1}),
        ("SELEC 1", {"line": 1, "column": 1}),
        ("SELECT 'x'::INT", {"line": 1}),
        ("SELECT avg(arm) FROM leaderboard", {"line": 1}),
    ],
)
def test_mistakes_have_a_place_and_the_nearest_name(workspace: Workspace, sql: str, expected: dict) -> None:
    with pytest.raises(StoreError) as caught:
        run_sql(workspace, sql)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "E-sql"
    assert caught.value.exit_status == 2
    assert "\n" not in diagnostic.message
    assert "Traceback" not in diagnostic.message
    assert {key: getattr(diagnostic, key) for key in expected} == expected


def test_columns_have_their_types(workspace: Workspace) -> None:
    answer = run_sql(workspace, "SELECT experiment, n, mean, chosen FROM leaderboard")
    assert [(column.name, column.type) for column in answer.columns] == [
        ("experiment", "VARCHAR"), ("n", "INTEGER"), ("mean", "DOUBLE"), ("chosen", "BOOLEAN"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "shown", "truncated"), [(0, 0, True), (9, 9, True), (10, 10, False), (99, 10, False)]
)
def test_a_long_answer_says_that_it_is_cut(workspace: Workspace, limit: int, shown: int, truncated: bool) -> None:
    answer = run_sql(workspace, "SELECT * FROM range(10)", limit)
    assert (len(answer.rows), answer.truncated) == (shown, truncated)


def test_a_long_query_is_cut_off(workspace: Workspace) -> None:
    with pytest.raises(StoreError, match="took longer") as caught:
        run_sql(workspace, "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b", seconds=0.3)
    assert caught.value.exit_status == 14


def test_an_empty_workspace_has_the_same_views(tmp_path: Path) -> None:
    answer = run_sql(Workspace(tmp_path / "none"), "SELECT * FROM leaderboard")
    assert (answer.rows, answer.as_of, answer.truncated) == ([], None, False)
    assert "mean" in [column.name for column in answer.columns]
    with pytest.raises(StoreError, match="E-sql"):
        run_sql(Workspace(tmp_path / "none"), "SELECT * FROM read_csv('/etc/passwd')")
