"""From the journal to the database: what was not yet read is added, in one transaction with the place reached.

The database holds nothing of its own. One that is missing, damaged, of another schema or of another journal is made
anew; the rows are then the same.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

from fewtune.specs.diagnostic import StoreError
from fewtune.store import durable, schema
from fewtune.store.artefacts import Artefacts
from fewtune.store.database import Connection, DatabaseError, connect, create, insert
from fewtune.store.evaluations import refresh_evaluations
from fewtune.store.event import Augmented, Evaluated, RunStarted
from fewtune.store.event_rows import Rows, add_event
from fewtune.store.journal import continues, read
from fewtune.store.multipliers import refresh_multipliers
from fewtune.store.plan_rows import plan_rows
from fewtune.store.prediction_rows import replace_predictions
from fewtune.store.record import START, Position, Record
from fewtune.store.saved_plan import parse_plan
from fewtune.store.standings import refresh_standings
from fewtune.store.synthetic import replace_synthetic
from fewtune.store.workspace import Workspace


class Projected(NamedTuple):
    """How far the database is."""

    end: Position
    as_of: str | None
    """When the last event in it happened (UTC)."""
    added: int
    """Records that were added now."""


NOTHING = Projected(START, None, 0)


def project(workspace: Workspace) -> Projected:
    """Add to the database what the journal has and it has not. Only the holder of the lease may call this.

    Raises:
        StoreError: E-journal, E-store-too-new.
        DatabaseError: the database cannot be written.
    """
    if workspace.database.exists():
        with suppress(DatabaseError), connect(workspace.database) as connection:
            start = position(connection)
            if start is not None and continues(workspace.journal, start.end):
                return _extend(connection, workspace, start)
    return rebuild(workspace)


def rebuild(workspace: Workspace) -> Projected:
    """Make the database anew from the whole journal. Only the holder of the lease may call this."""
    for path in (workspace.database, workspace.database.with_name(f"{workspace.database.name}.wal")):
        durable.remove(path)
    with connect(workspace.database) as connection:
        connection.execute("BEGIN")
        create(connection)
        connection.execute("COMMIT")
        return _extend(connection, workspace, NOTHING)


def position(connection: Connection) -> Projected | None:
    """How far a database is; None where it has another schema."""
    try:
        row = connection.execute(
            "SELECT byte_offset, seq, checksum, fence, as_of, version FROM private.position"
        ).fetchone()
    except DatabaseError:
        return None
    if row is None or row[5] != schema.version():
        return None
    return Projected(Position(*row[:4]), row[4], 0)


def _extend(connection: Connection, workspace: Workspace, start: Projected) -> Projected:
    page = read(workspace.journal, start.end)
    if not page.records and start.end != START:
        return start
    as_of = page.records[-1].ts if page.records else None
    connection.execute("BEGIN")
    _add(connection, Artefacts(workspace.artefacts), page.records)
    refresh_evaluations(connection)
    refresh_standings(connection)
    refresh_multipliers(connection)
    connection.execute("DELETE FROM private.position")
    insert(
        connection,
        "position",
        [{"byte_offset": page.end.offset, **page.end._asdict(), "as_of": as_of, "version": schema.version()}],
    )
    connection.execute("COMMIT")
    return Projected(page.end, as_of, len(page.records))


def _add(connection: Connection, artefacts: Artefacts, records: Iterable[Record]) -> None:
    rows: Rows = {}
    evaluated: dict[str, tuple[int, Evaluated]] = {}
    augmented: dict[str, tuple[int, Augmented]] = {}
    for record in records:
        add_event(rows, record)
        if isinstance(record.event, RunStarted):
            _add_plan(rows, artefacts, record.event)
        elif isinstance(record.event, Evaluated):
            evaluated[record.event.fingerprint] = record.seq, record.event
        elif isinstance(record.event, Augmented):
            augmented[record.event.fingerprint] = record.seq, record.event
    for table, found in rows.items():
        insert(connection, table, found)
    replace_predictions(connection, artefacts, evaluated)
    replace_synthetic(connection, artefacts, augmented)


def _add_plan(rows: Rows, artefacts: Artefacts, event: RunStarted) -> None:
    """Add the run's plan; a run whose plan was lost stays without trials."""
    with suppress(StoreError):
        saved = parse_plan(artefacts.read(event.plan))
        for table, found in plan_rows(event.run, saved.plan, saved.estimate).items():
            rows.setdefault(table, []).extend(found)
