"""sql: one SELECT on the published results, as a table, CSV or JSON."""

import csv
import sys
from pathlib import Path

from fewtune.api.envelope import Envelope, line
from fewtune.api.shows.console import console, safe
from fewtune.api.shows.results import show_answer
from fewtune.store.query import BYTES, SECONDS, Answer, run_sql
from fewtune.store.refresh import refresh
from fewtune.store.sandbox import Sandbox
from fewtune.store.workspace import Workspace


def ask(
    workspace: Path,
    query: str,
    limit: int,
    *,
    seconds: float = SECONDS,
    max_bytes: int = BYTES,
    sandbox: Sandbox | None = None,
) -> tuple[Answer, Envelope]:
    """Bring the published results up to date if nobody is writing, and run the query.

    Args:
        workspace: its folder.
        query: one SELECT.
        limit: rows at most.
        seconds: how long it may take.
        max_bytes: of rows as JSON, at most: 8,000 for what an agent reads.
        sandbox: a process kept for several queries; None: one for this query.
    """
    folder = Workspace(workspace.absolute())
    refresh(folder)
    found = run_sql(folder, query, limit, seconds=seconds, max_bytes=max_bytes, sandbox=sandbox)
    data = {
        "columns": [{"name": c.name, "type": c.type} for c in found.columns],
        "rows": found.rows,
        "behind_seconds": round(found.behind_seconds, 3),
    }
    hint = "aggregate, or raise --limit" if found.cut_by == "rows" else "aggregate, or name fewer columns"
    cut = {"shown": len(found.rows), "by": found.cut_by, "hint": hint} if found.truncated else None
    return found, Envelope(ok=True, verb="sql", data=data, as_of=found.as_of, truncated=cut)


def write_answer(found: Answer, form: str) -> None:
    """Print the rows as csv, json or a table; control characters of texts are written out in each."""
    names = [column.name for column in found.columns]
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(map(safe, names))
        writer.writerows([safe(cell) if isinstance(cell, str) else cell for cell in row] for row in found.rows)
    elif form == "json":
        sys.stdout.write(line([dict(zip(names, row, strict=True)) for row in found.rows]) + "\n")
    else:
        show_answer(console(), found)
    talk = console(talk=True)
    if found.truncated:
        more = "raise --limit" if found.cut_by == "rows" else "name fewer columns"
        talk.print(f"only the first {len(found.rows)} rows are shown; aggregate, or {more}")
    if found.behind_seconds:
        talk.print(f"a run is writing: these results are {found.behind_seconds:.0f} s behind it")
