"""Events as rows of their private tables."""

import json
from collections.abc import Callable
from typing import Any

from fewtune.store.event import (
    AttemptEnded,
    AttemptStarted,
    Augmented,
    Evaluated,
    Fitted,
    General,
    Looked,
    RunEnded,
    RunStarted,
    Selected,
)
from fewtune.store.record import Record

Row = dict[str, Any]
Rows = dict[str, list[Row]]
"""Table -> rows."""


def add_event(rows: Rows, record: Record) -> None:
    """Add what the database keeps of a record."""
    event = record.event
    if event is None or event.kind not in _PLAIN:
        return
    row = {"seq": record.seq, "ts": record.ts.rstrip("Z"), **_PLAIN[event.kind](event)}
    rows.setdefault(event.kind, []).append(row)
    if isinstance(event, Fitted):
        rows.setdefault("curve", []).extend(_curve(record.seq, event))


def _run_started(event: RunStarted) -> Row:
    return {
        **event.model_dump(include={"run", "plan_hash", "experiment", "workers", "engine", "version", "host", "pid"}),
        "title": event.spec.get("title"),
        "notes": event.spec.get("notes"),
        "tags": json.dumps(event.spec.get("tags", [])),
        "devices": json.dumps(event.devices),
    }


def _attempt_started(event: AttemptStarted) -> Row:
    return {**event.model_dump(exclude={"stages", "fingerprints"}), "stages": json.dumps(event.stages)}


def _fitted(event: Fitted) -> Row:
    return {
        **event.model_dump(exclude={"losses", "validation", "artefact", "versions", "general"}),
        "versions": json.dumps(event.versions, sort_keys=True),
        "artefact_bytes": event.artefact.size if event.artefact else 0,
        **_general(event.general),
    }


def _general(found: General | None) -> Row:
    if found is None:
        return {}
    names = {"loss_before": "text_loss_before", "loss": "text_loss", "accuracy_before": "probe_before",
             "accuracy": "probe"}  # fmt: skip
    return {column: getattr(found, name) for name, column in names.items()}


def _evaluated(event: Evaluated) -> Row:
    return {
        **event.model_dump(exclude={"metrics", "artefact"}),
        **event.metrics.model_dump(),
        "artefact_bytes": event.artefact.size,
    }


def _augmented(event: Augmented) -> Row:
    return event.model_dump(exclude={"artefact"})


def _whole(event: RunEnded | AttemptEnded | Selected | Looked) -> Row:
    return event.model_dump(exclude={"scores"})


def _curve(seq: int, event: Fitted) -> list[Row]:
    curves = {"train_loss": event.losses, "validation": event.validation}
    return [
        {"seq": seq, "name": name, "step": step, "value": value}
        for name, points in curves.items()
        for step, value in points
    ]


_PLAIN: dict[str, Callable[[Any], Row]] = {
    "run_started": _run_started,
    "run_ended": _whole,
    "attempt_started": _attempt_started,
    "attempt_ended": _whole,
    "augmented": _augmented,
    "fitted": _fitted,
    "evaluated": _evaluated,
    "selected": _whole,
    "looked": _whole,
}
"""Kind of event -> its one row. Samples are asked of the journal only."""
