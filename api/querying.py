"""sql: one SELECT on the published results, as a table, CSV or JSON."""

import csv
import json
import sys
from pathlib import Path

from fewtune.api.console import console
from fewtune.api.envelope import Envelope
from fewtune.api.show_results import show_answer
from fewtune.store.query import Answer, run_sql
from fewtune.store.refresh import refresh
from fewtune.store.workspace import Workspace


def ask(workspace: Path, query: str, limit: int) -> tuple[Answer, Envelope]:
    """Bring the published results up to date if nobody is writing, and run the query."""
    folder = Workspace(workspace.absolute())
    refresh(folder)
    found = run_sql(folder, query, limit)
    data = {"columns": [{"name": c.name, "type": c.type} for c in found.columns], "rows": found.rows}
    cut = {"shown": len(found.rows), "hint": "aggregate, or raise --limit"} if found.truncated else None
    return found, Envelope(ok=True, verb="sql", data=data, as_of=found.as_of, truncated=cut)


def write_answer(found: Answer, form: str) -> None:
    """Print the rows as csv, json or a table."""
    names = [column.name for column in found.columns]
    if form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(found.rows)
    elif form == "json":
        sys.stdout.write(
            json.dumps([dict(zip(names, row, strict=True)) for row in found.rows], ensure_ascii=False) + "\n"
        )
    else:
        show_answer(console(), found)
    if found.truncated:
        console(talk=True).print(f"only the first {len(found.rows)} rows are shown; aggregate, or raise --limit")
