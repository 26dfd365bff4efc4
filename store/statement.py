"""What one statement may say: the parse tree of a query, walked against what is allowed.

Only what is known is let through: a kind of node, table or function that is not named here is refused, also where a
later DuckDB brings it. What runs is the text that was checked.
"""

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from fewtune.store.database import Connection
from fewtune.store.harmless import FUNCTIONS, TABLE_FUNCTIONS
from fewtune.store.views import PUBLIC

LONGEST = 100_000
"""Characters of a statement."""
COLUMNS = {view.name: tuple(view.columns) for view in PUBLIC}
CATALOGUE = {("information_schema", "tables"), ("information_schema", "columns")}
"""Standard views of names and types; nothing in them is a path."""

_EXPRESSION_CLASSES = """
    AGGREGATE BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT FUNCTION LAMBDA LAMBDA_REF OPERATOR
    POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW
"""
_NODE_TYPES = """
    SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE BASE_TABLE SUBQUERY JOIN TABLE_FUNCTION EMPTY
    EXPRESSION_LIST PIVOT SHOW_REF ORDER_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER DISTINCT_MODIFIER
    ORDER_DEFAULT ASCENDING DESCENDING
"""
_EXPRESSIONS, _NODES = frozenset(_EXPRESSION_CLASSES.split()), frozenset(_NODE_TYPES.split())
_SHOWN = {"__show_tables_expanded": "SHOW ALL TABLES", '"tables"': "SHOW TABLES"}
_EXPLAIN = re.compile(
    r"(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*EXPLAIN\b\s*(?:\(\s*FORMAT\s+\w+\s*\))?", re.IGNORECASE
)
_LIST = (
    "SELECT t.*, v.comment FROM (SHOW ALL TABLES) t JOIN duckdb_views() v ON v.schema_name = t.schema "
    "AND v.view_name = t.name WHERE t.schema = 'main' ORDER BY t.name"
)
_DESCRIBE = (
    "SELECT d.*, c.comment FROM (DESCRIBE {view}) d LEFT JOIN duckdb_columns() c ON c.schema_name = 'main' "
    "AND c.table_name = '{view}' AND c.column_name = d.column_name ORDER BY c.column_index"
)


class RefusedError(Exception):
    """A statement that is not run.

    Attributes:
        more: fields of the diagnostic; `at` is the place in the statement, in bytes.
        policy: whether it is forbidden; else it is a mistake.
    """

    def __init__(self, message: str, *, policy: bool = True, **more: Any) -> None:
        """Say what is wrong."""
        super().__init__(message)
        self.more, self.policy = more, policy


@dataclass
class Checked:
    """A statement that may run."""

    text: str
    """What is run: the statement, or an equal one that tells more."""
    views: set[str] = field(default_factory=set)
    """The public views that it reads."""


def check(connection: Connection, sql: str) -> Checked:
    """Refuse what is not one query on the public views.

    Raises:
        RefusedError: the statement is forbidden, or names what is not there.
        DatabaseError: it is not SQL.
    """
    if len(sql) > LONGEST:
        raise RefusedError(f"the statement is longer than {LONGEST:,} characters", got=f"{len(sql):,}")
    if "\0" in sql:
        raise RefusedError("the statement has a zero byte in it", policy=False, at=len(sql.partition("\0")[0].encode()))
    kinds = [_kind(statement) for statement in connection.extract_statements(sql)]
    if kinds == ["MULTI"]:
        raise RefusedError(
            "a PIVOT whose columns are not listed makes a type, and nothing can be made here",
            remedy="list them: PIVOT leaderboard ON n IN (8, 16) USING avg(mean)",
        )
    if kinds not in (["SELECT"], ["EXPLAIN"]):
        raise RefusedError("only one SELECT statement can be run here", expected="one SELECT",
                           got=", ".join(kinds) or "nothing", remedy=_remedy(kinds))  # fmt: skip
    start = _EXPLAIN.match(sql) if kinds == ["EXPLAIN"] else None
    if kinds == ["EXPLAIN"] and start is None:
        raise RefusedError("EXPLAIN has to come first", expected="EXPLAIN SELECT ...")
    skipped = start.end() if start else 0
    tree = _tree(connection, sql[skipped:])
    checked = Checked(sql)
    try:
        _Walk(connection, checked).query(tree)
    except RefusedError as error:
        if error.more.get("at") is not None:
            error.more["at"] += len(sql[:skipped].encode())
        raise
    if start is None:
        checked.text = _more_telling(tree) or sql
    return checked


def _kind(statement: Any) -> str:
    """The kind of a statement, as DuckDB names it."""
    try:
        return str(statement.type).rpartition(".")[2]
    except ValueError:  # a kind that DuckDB's parser knows and its Python module does not
        return "OTHER"


def _remedy(kinds: list[str]) -> str | None:
    return "send them one by one" if len(kinds) > 1 else None


def _tree(connection: Connection, select: str) -> Any:
    """The parse tree of a SELECT."""
    row = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [select]).fetchone()
    try:
        found = json.loads(row[0] if row else "")
    except RecursionError:
        raise RefusedError("the statement is nested too deeply") from None
    statements = found.get("statements", [])
    if found["error"] or len(statements) != 1:
        raise RefusedError("only a SELECT can be explained here, and without ANALYZE", expected="EXPLAIN SELECT ...")
    return statements[0]["node"]


def _more_telling(tree: Any) -> str | None:
    """The same answer with comments, for a list of the views and the description of one."""
    table = tree.get("from_table") or {}
    if tree.get("type") != "SELECT_NODE" or table.get("type") != "SHOW_REF" or tree["modifiers"]:
        return None
    if table["table_name"] == "__show_tables_expanded":
        return _LIST
    view = _whole_view(table.get("query") or {})
    return _DESCRIBE.format(view=view) if table["show_type"] == "DESCRIBE" and view else None


def _whole_view(select: dict[str, Any]) -> str | None:
    """The view of `SELECT * FROM view` and nothing more, as `DESCRIBE view` has it inside."""
    if select.get("type") != "SELECT_NODE" or select["modifiers"] or select["cte_map"]["map"]:
        return None
    (star, *others), table = select["select_list"], select["from_table"]
    changed = others or star["class"] != "STAR" or any(star[key] for key in star if key.endswith("_list"))
    if changed or star.get("columns") or table["type"] != "BASE_TABLE" or table["alias"] or table["schema_name"]:
        return None
    name = str(table["table_name"]).lower()
    return name if name in COLUMNS else None


class _Walk:
    """One pass over a parse tree."""

    def __init__(self, connection: Connection, checked: Checked) -> None:
        self._connection, self._checked = connection, checked
        self._named: frozenset[str] = frozenset()

    def query(self, tree: Any) -> None:
        """Check every node."""
        nodes = list(_dicts(tree))
        self._named = self._common(nodes)
        for node in nodes:
            self._node(node)

    def _common(self, nodes: list[dict[str, Any]]) -> frozenset[str]:
        """Names of the query's own tables, none of which may hide one that is refused."""
        maps = [node["cte_map"]["map"] for node in nodes if node.get("cte_map")]
        found = [entry["key"] for entries in maps for entry in entries]
        found += [node["cte_name"] for node in nodes if node.get("cte_name")]
        names = frozenset(str(name).lower() for name in found)
        for name in names:
            if not name.replace(" ", "_").isidentifier():
                raise RefusedError("the name of a WITH table is made of letters, digits and _", got=name)
            if name not in COLUMNS and self._is_there(name):
                raise RefusedError("a WITH table cannot have the name of a table of the catalogue", got=name)
        return names

    def _node(self, node: dict[str, Any]) -> None:
        kind, of = node.get("type"), node.get("class")
        if of is not None:
            if of not in _EXPRESSIONS:
                raise RefusedError(f"{str(of).lower()} expressions cannot be used here", at=node.get("query_location"))
            if of in ("FUNCTION", "WINDOW", "AGGREGATE") and not node.get("_table"):
                self._function(node, FUNCTIONS, "function")
        elif isinstance(kind, str):
            if kind not in _NODES and not kind.endswith("_TYPE_INFO"):
                raise RefusedError(f"{kind.lower()} cannot be used here", at=node.get("query_location"))
            match kind:
                case "BASE_TABLE":
                    self._table(node)
                case "TABLE_FUNCTION":
                    self._function(node["function"], TABLE_FUNCTIONS, "table function")
                    node["function"]["_table"] = True
                case "SHOW_REF":
                    self._shown(node)
                case "PIVOT":
                    if any(pivot.get("pivot_enum") for pivot in node.get("pivots") or ()):
                        raise RefusedError("a PIVOT lists its columns here", at=node.get("query_location"))

    def _table(self, node: dict[str, Any]) -> None:
        name, schema, at = str(node["table_name"]).lower(), str(node["schema_name"]).lower(), node.get("query_location")
        path = [str(part).lower() for part in (node.get("qualified_name") or {}).get("path", [name])]
        if node.get("catalog_name") or path not in ([name], [schema, name]) or node.get("at_clause"):
            raise RefusedError("a view is named without its catalogue", got=".".join(path), at=at)
        if schema in ("", "main") and name in COLUMNS:
            self._checked.views.add(name)
        elif not (schema == "" and name in self._named) and (schema, name) not in CATALOGUE:
            raise self._no_table(name, schema, at)

    def _no_table(self, name: str, schema: str, at: int | None) -> RefusedError:
        there = self._is_there(name) or schema not in ("", "main") or not name.isidentifier()
        said = f"{schema}.{name}" if schema else name
        return RefusedError(
            f"the table {said} cannot be read here" if there else f"there is no view called {said}",
            policy=there, got=said, nearest=nearest(name, [*COLUMNS, *self._named]), at=at,
            expected=f"one of: {', '.join(sorted(COLUMNS))}", remedy="SHOW ALL TABLES lists the views",
        )  # fmt: skip

    def _shown(self, node: dict[str, Any]) -> None:
        name = str(node.get("table_name") or "")
        if node.get("catalog_name") or node.get("schema_name"):
            raise RefusedError("a view is named without its catalogue", got=name)
        if node.get("query") is None and name not in _SHOWN and name.lower() not in COLUMNS:
            remedy = "SHOW ALL TABLES lists the views, DESCRIBE leaderboard the columns of one"
            raise RefusedError("only views can be shown here", got=name.strip('"'), remedy=remedy)

    def _function(self, node: dict[str, Any], allowed: frozenset[str], what: str) -> None:
        name = str(node["function_name"]).lower()
        if name in allowed and node.get("schema", "") in ("", "main") and not node.get("catalog"):
            return  # DuckDB 1.4 writes main before what [] and {} stand for; nothing of that name can be made there
        row = self._connection.execute(
            "SELECT count(*) FROM duckdb_functions() WHERE function_name = ?", [name]
        ).fetchone()
        there = row != (0,)
        raise RefusedError(
            f"the {what} {name} cannot be used here" if there else f"there is no {what} called {name}",
            policy=there, got=name, nearest=nearest(name, sorted(allowed)), at=node.get("query_location"),
            expected=f"one of: {', '.join(sorted(allowed))}" if len(allowed) < 10 else None,
        )  # fmt: skip

    def _is_there(self, name: str) -> bool:
        row = self._connection.execute(
            "SELECT count(*) FROM (SELECT view_name AS n FROM duckdb_views() UNION ALL SELECT table_name FROM "
            "duckdb_tables()) WHERE lower(n) = ?",
            [name],
        ).fetchone()
        return row != (0,)


def nearest(wrong: str, names: list[str]) -> str | None:
    """The name that is most like this one, of equal ones that which begins like it; None: none is like it."""
    close = difflib.get_close_matches(wrong.lower(), names, n=5, cutoff=0.65)
    return max(close, key=lambda name: _likeness(wrong.lower(), name), default=None)


def _likeness(wrong: str, name: str) -> tuple[float, int]:
    ratio = difflib.SequenceMatcher(None, name, wrong).ratio()
    return round(ratio, 2), sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(wrong, name, strict=False)))


def _dicts(tree: Any) -> Iterator[dict[str, Any]]:
    """All objects of a JSON value, an outer one before those in it."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
