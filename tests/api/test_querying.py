"""The verb sql: what the pages promise works, and an answer says what was cut and how old it is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import miniature
import pytest

from fewtune.api.pages.describing import pages
from fewtune.api.querying import ask, write_answer
from fewtune.store.event import Looked
from fewtune.store.query import run_sql
from fewtune.store.sandbox import Sandbox
from fewtune.store.workspace import Workspace
from fewtune.store.writer import Store


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("asked")
    miniature.applied(root, miniature.make_plan(arms=("zero-shot",)))
    return root


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as box:
        yield box


def documented() -> list[str]:
    return [query for text in pages().values() for query in re.findall(r"```sql\n(.*?)```", text, re.DOTALL)]


def test_every_query_of_the_pages_works(workspace: Path, sandbox: Sandbox) -> None:
    assert len(documented()) >= 5
    for query in documented():
        assert run_sql(Workspace(workspace), query, sandbox=sandbox).columns, query


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_no_form_lets_a_text_steer_a_terminal(form: str, workspace: Path, sandbox: Sandbox, capsys) -> None:
    codes = [0, 7, 13, 27, 127, 155, 0x202E]
    query = f"SELECT {' || '.join(f'chr({code})' for code in codes[1:])} AS t, 1 AS n"
    write_answer(ask(workspace, query, 5, sandbox=sandbox)[0], form)
    shown = capsys.readouterr().out
    assert not {chr(code) for code in codes} & set(shown)
    assert ("\\x07" if form != "json" else "\\u0007") in shown


def test_an_agents_answer_is_short_and_says_so(workspace: Path, sandbox: Sandbox) -> None:
    _, envelope = ask(workspace, "SELECT * FROM predictions", 1000, max_bytes=4000, sandbox=sandbox)
    assert len(json.dumps(envelope.data["rows"])) <= 4000
    assert envelope.truncated == {
        "shown": len(envelope.data["rows"]),
        "by": "bytes",
        "hint": "aggregate, or name fewer columns",
    }
    _, whole = ask(workspace, "SELECT count(*) FROM predictions", 1000, max_bytes=8000, sandbox=sandbox)
    assert (whole.truncated, whole.data["behind_seconds"]) == (None, 0)


def test_an_answer_beside_a_writer_says_how_far_it_is_behind(tmp_path: Path, sandbox: Sandbox) -> None:
    miniature.applied(tmp_path, miniature.make_plan(arms=("zero-shot",)))
    with Store.open(tmp_path) as store:
        store.record(Looked(content="a", plan_hash="p"))
        _, envelope = ask(tmp_path, "SELECT 1", 10, sandbox=sandbox)
        assert envelope.data["behind_seconds"] > 0
        assert envelope.as_of is not None


WIDE = ", ".join(f"{number} AS a_long_heading_{number}" for number in range(20))


@pytest.mark.parametrize(
    ("query", "lines"),
    [
        ("SELECT 1 AS one, 2.5 AS other", ["one   other", "─────", "1     2.5"]),
        (f"SELECT {WIDE}", ["row 1", "a_long_heading_0   0", "a_long_heading_19  19"]),
        ("SELECT 1 AS one, 2 AS other WHERE false", ["no rows of one, other"]),
        (f"SELECT {'w' * 40!r} || repeat(' word', 90) AS text, 7 AS a_heading", ["  a_heading", "  7"]),
    ],
)
def test_a_table_breaks_no_heading(query: str, lines: list[str], workspace: Path, sandbox: Sandbox, capsys) -> None:
    write_answer(ask(workspace, query, 5, sandbox=sandbox)[0], "table")
    shown = capsys.readouterr().out
    assert [line for line in lines if line not in shown] == []
