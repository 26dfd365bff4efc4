"""One SELECT on the published results: values as JSON has them, every mistake a diagnostic, nothing else reachable."""

import json
import os
import random
import string
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import attacking
import miniature
import pytest

from fewtune.specs.diagnostic import StoreError
from fewtune.store import sandbox_child
from fewtune.store.event import Looked
from fewtune.store.query import Answer, run_sql
from fewtune.store.sandbox import Sandbox
from fewtune.store.views import PUBLIC
from fewtune.store.workspace import Workspace
from fewtune.store.writer import Store


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("query")
    miniature.applied(root, miniature.make_plan(arms=("zero-shot",)))
    return Workspace(root)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One process for all queries here: a cold one for each takes ten times as long."""
    with Sandbox() as box:
        yield box


@pytest.fixture(scope="module")
def ask(workspace: Workspace, sandbox: Sandbox) -> Callable[..., Answer]:
    return partial(run_sql, workspace, sandbox=sandbox)


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
        ("SELECT TIMESTAMPTZ '2026-01-02 03:04:05+02'", "2026-01-02 01:04:05+00"),
        ("SELECT DATE 'infinity'", "9999-12-31"),
        ("SELECT '2-1-1 (BC)'::DATE::VARCHAR", "0002-01-01 (BC)"),
        ("SELECT MAP {'k': 1}", {"k": 1}),
        ("SELECT '12345678-1234-1234-1234-123456789abc'::UUID", "12345678-1234-1234-1234-123456789abc"),
    ],
)
def test_values_are_those_of_json(ask: Callable[..., Answer], sql: str, value: Any) -> None:
    [[found]] = ask(sql).rows
    assert found == value
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT means FROM leaderboard", {"got": "means", "nearest": "mean", "line": 1, "column": 8}),
        ("SELECT *\nFROM leaderbord", {"got": "leaderbord", "nearest": "leaderboard", "line": 2, "column": 6}),
        ("SELECT acuracy\n\nFROM evaluations", {"nearest": "accuracy", "line": 1}),
        ("SELEC 1", {"line": 1, "column": 1}),
        ("SELECT r.meen FROM leaderboard r", {"got": "meen", "nearest": "mean", "line": 1, "column": 8}),
        ("SELECT arn FROM leaderboard", {"nearest": "arm"}),
        ("SELECT 'é', means FROM leaderboard", {"nearest": "mean", "column": 13}),
        ("EXPLAIN SELECT means FROM leaderboard", {"nearest": "mean", "column": 16}),
        ("WITH a AS (SELECT mean AS total FROM leaderboard) SELECT totl FROM a", {"nearest": "total"}),
        ("SELECT meen(n) FROM leaderboard", {"got": "meen", "nearest": "mean", "column": 8}),
        (
            "SELECT verdict FROM leaderboard",
            {"got": "verdict", "nearest": None, "remedy": "verdict is a column of comparisons"},
        ),
        ("SELECT 'x'::INT", {"line": 1}),
        ("SELECT avg(arm) FROM leaderboard", {"line": 1}),
    ],
)
def test_mistakes_have_a_place_and_the_nearest_name(ask: Callable[..., Answer], sql: str, expected: dict) -> None:
    with pytest.raises(StoreError) as caught:
        ask(sql)
    [diagnostic] = caught.value.diagnostics
    assert diagnostic.code == "E-sql"
    assert caught.value.exit_status == 2
    assert "\n" not in diagnostic.message
    assert "Traceback" not in diagnostic.message
    assert {key: getattr(diagnostic, key) for key in expected} == expected


def test_columns_have_their_types(ask: Callable[..., Answer]) -> None:
    answer = ask("SELECT experiment, n, mean, chosen FROM leaderboard")
    assert [(column.name, column.type) for column in answer.columns] == [
        ("experiment", "VARCHAR"), ("n", "INTEGER"), ("mean", "DOUBLE"), ("chosen", "BOOLEAN"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "shown", "truncated"), [(0, 0, True), (9, 9, True), (10, 10, False), (99, 10, False)]
)
def test_a_long_answer_says_that_it_is_cut(ask: Callable[..., Answer], limit: int, shown: int, truncated: bool) -> None:
    answer = ask("SELECT * FROM range(10)", limit)
    assert (len(answer.rows), answer.truncated) == (shown, truncated)


@pytest.mark.parametrize("most", [0, 100, 8000])
def test_an_answer_is_cut_by_bytes(ask: Callable[..., Answer], most: int) -> None:
    answer = ask("SELECT repeat('x', 90) FROM range(10000)", 10_000, max_bytes=most)
    assert (answer.truncated, answer.cut_by) == (True, "bytes")
    assert len(answer.rows) == most // len('["' + "x" * 90 + '"]\n')


def test_a_long_query_is_cut_off_and_the_process_goes_on(ask: Callable[..., Answer], sandbox: Sandbox) -> None:
    before = sandbox.pid
    with pytest.raises(StoreError, match="took longer") as caught:
        ask("SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b", seconds=0.3)
    assert caught.value.exit_status == 14
    assert ask("SELECT 1").rows == [[1]]
    assert sandbox.pid == before


def test_a_query_that_does_not_hear_is_killed_and_the_process_replaced(
    ask: Callable[..., Answer], sandbox: Sandbox
) -> None:
    before, began = sandbox.pid, time.monotonic()
    with pytest.raises(StoreError, match="took longer"):
        ask("SELECT lpad('x', 2000000000, 'y')", seconds=0.2)
    assert time.monotonic() - began <= 1.2
    assert not Path(f"/proc/{before}").exists()
    assert ask("SELECT 1").rows == [[1]]
    assert sandbox.pid not in (None, before)


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="the limits of a process are read from /proc")
def test_the_process_has_little(ask: Callable[..., Answer], sandbox: Sandbox) -> None:
    """No environment, no folder, a group of its own; its limits are hard ones."""
    ask("SELECT 1")
    me, its = Path(f"/proc/{os.getpid()}"), Path(f"/proc/{sandbox.pid}")
    names = {line.partition("=")[0] for line in (its / "environ").read_text().split("\0") if line}
    assert names <= {"LC_ALL", "TZ", "LD_LIBRARY_PATH"}
    assert (its / "cwd").readlink() == Path("/")
    assert os.getpgid(sandbox.pid or 0) == sandbox.pid
    assert {path.resolve() for path in (its / "fd").iterdir()}.isdisjoint(
        {path.resolve() for path in (me / "fd").iterdir()} - {Path("/dev/null")}
    )
    limits = {line[:25].strip(): line[25:].split()[1] for line in (its / "limits").read_text().splitlines()[1:]}
    assert limits["Max file size"] == "0"
    assert limits["Max core file size"] == "0"
    assert int(limits["Max address space"]) == sandbox_child.ADDRESS_SPACE
    assert int(limits["Max open files"]) == sandbox_child.FILES


def test_nothing_can_be_opened_while_a_statement_runs(workspace: Workspace) -> None:
    """Of the layers, the lowest: even a statement that got past all others finds no file."""
    with sandbox_child._no_files(), pytest.raises(OSError, match="Too many open files"):
        (workspace.root / "journal.jsonl").open()
    assert (workspace.root / "journal.jsonl").open().read(1) == "{"


def test_an_empty_workspace_has_the_same_views(tmp_path: Path) -> None:
    nothing = Workspace(tmp_path / "none")
    with Sandbox() as box:
        answer = run_sql(nothing, "SELECT * FROM leaderboard", sandbox=box)
        assert (answer.rows, answer.as_of, answer.behind_seconds, answer.truncated) == ([], None, 0, False)
        assert "mean" in [column.name for column in answer.columns]
        with pytest.raises(StoreError, match="E-sql"):
            run_sql(nothing, "SELECT * FROM read_csv('/etc/passwd')", sandbox=box)


def test_an_answer_says_how_old_it_is(tmp_path: Path) -> None:
    miniature.applied(tmp_path, miniature.make_plan(arms=("zero-shot",)))
    workspace = Workspace(tmp_path)
    with Sandbox() as box, Store.open(tmp_path) as store:
        fresh = run_sql(workspace, "SELECT 1", sandbox=box)
        assert fresh.behind_seconds == 0
        store.record(Looked(content="a", plan_hash="p"))
        time.sleep(0.05)
        store.record(Looked(content="b", plan_hash="p"))
        stale = run_sql(workspace, "SELECT 1", sandbox=box)
        assert stale.as_of == fresh.as_of
        assert stale.behind_seconds >= 0.05, "since the first event that is missing, not the last"
        store.publish(force=True)
        now = run_sql(workspace, "SELECT 1", sandbox=box)
        assert now.behind_seconds == 0
        assert (now.as_of or "") > (fresh.as_of or "")


@pytest.mark.parametrize("count", [20, pytest.param(400, marks=pytest.mark.full)])
def test_the_nearest_column_is_the_one_that_was_meant(ask: Callable[..., Answer], count: int, capsys) -> None:
    """One wrong, missing, doubled or swapped letter in the name of a column of its view."""
    dice, right = random.Random(count), 0
    for _ in range(count):
        view = dice.choice(PUBLIC)
        column = dice.choice([name for name in view.columns if len(name) > 2])
        wrong = next(name for name in iter(partial(misspelt, column, dice), None) if name not in view.columns)
        with pytest.raises(StoreError) as caught:
            ask(
                f"SELECT {wrong} FROM {view.name}"
                if wrong not in view.columns
                else f"SELECT x{column}x FROM {view.name}"
            )
        right += caught.value.diagnostics[0].nearest == column
    with capsys.disabled():
        print(f" [nearest: {right} of {count}]", end="")
    assert right >= 0.9 * count


def misspelt(name: str, dice: random.Random) -> str:
    at, letter = dice.randrange(len(name) - 1), dice.choice(string.ascii_lowercase)
    return dice.choice(
        [
            name[:at] + letter + name[at + 1 :],
            name[:at] + name[at + 1 :],
            name[:at] + name[at] + name[at:],
            name[:at] + name[at + 1] + name[at] + name[at + 2 :],
        ]
    )


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.full)])
def test_what_people_ask_is_answered(workspace: Workspace, sandbox: Sandbox, every: int) -> None:
    for sql in attacking.good_queries()[::every]:
        answer = run_sql(workspace, sql, sandbox=sandbox)
        assert answer.columns, sql


def test_a_description_has_the_comments(ask: Callable[..., Answer]) -> None:
    views = {row[2]: row[-1] for row in ask("SHOW ALL TABLES").rows}
    assert views == {view.name: view.comment for view in PUBLIC}
    for view in PUBLIC:
        assert {row[0]: row[-1] for row in ask(f"DESCRIBE {view.name}").rows} == view.columns
