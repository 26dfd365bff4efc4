"""The public catalogue: fifteen views, each column explained where a query of the catalogue finds it."""

import re
from collections.abc import Iterator

import pytest

from fewtune.store import database
from fewtune.store.database import Connection
from fewtune.store.view import View
from fewtune.store.views import PUBLIC

NAMES = {
    "runs", "trials", "attempts", "metrics", "evaluations", "predictions", "decisions", "comparisons", "leaderboard",
    "learning_curve", "costs", "failures", "augmented_examples", "augmentations", "effective_multiplier",
}  # fmt: skip


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    with database.connect_reader(None) as opened:
        yield opened


def test_the_views_are_the_contracts(connection: Connection) -> None:
    assert {view.name for view in PUBLIC} == NAMES
    shown = connection.execute("SELECT view_name FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal")
    assert {name for (name,) in shown.fetchall()} == NAMES


def test_show_tables_shows_only_them(connection: Connection) -> None:
    assert {name for (name,) in connection.execute("SHOW TABLES").fetchall()} == NAMES


@pytest.mark.parametrize("view", PUBLIC, ids=lambda view: view.name)
def test_every_column_is_explained(connection: Connection, view: View) -> None:
    found = connection.execute(
        "SELECT column_name, comment FROM duckdb_columns() WHERE schema_name = 'main' AND table_name = ? "
        "ORDER BY column_index",
        [view.name],
    ).fetchall()
    assert found == list(view.columns.items())
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", column) for column in view.columns)
    assert all(text.endswith(".") for text in view.columns.values())
    [(comment,)] = connection.execute("SELECT comment FROM duckdb_views() WHERE view_name = ?", [view.name]).fetchall()
    assert comment == view.comment


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("leaderboard", "experiment metric split n arm seeds mean ci_low ci_high chosen basis items rank"),
        ("comparisons", "metric split difference ci_low ci_high verdict p_value basis more_seeds more_items"),
        ("trials", "state fingerprint arm n data_seed model_seed action seconds"),
        ("evaluations", "trial split accuracy macro_f1 mcc"),
        ("predictions", "trial split row_number label predicted probability correct"),
        ("learning_curve", "arm n mean ci_low ci_high"),
        ("decisions", "field value rule because strength source alternatives"),
    ],
)
def test_promised_columns_are_there(connection: Connection, view: str, columns: str) -> None:
    connection.execute(f"SELECT {columns.replace(' ', ', ')} FROM {view}")
