"""The private tables of the database: one for each kind of event, the plan's parts, and what is computed from them.

Dull on purpose: no keys, no indices, no upserts. Rows are only added, or replaced as a whole group in the same
transaction; the position in the journal stands in the same file. Only the views of `views.py` are public.
"""

import hashlib

from fewtune.store.views import VIEWS

# Every table that comes from an event has the event's number in the journal; ts is UTC.
EVENT_TABLES: dict[str, dict[str, str]] = {
    "run_started": {
        "seq": "BIGINT",
        "ts": "TIMESTAMP",
        "run": "VARCHAR",
        "plan_hash": "VARCHAR",
        "experiment": "VARCHAR",
        "title": "VARCHAR",
        "notes": "VARCHAR",
        "tags": "VARCHAR",
        "devices": "VARCHAR",
        "workers": "INTEGER",
        "engine": "VARCHAR",
        "version": "VARCHAR",
        "host": "VARCHAR",
        "pid": "BIGINT",
    },
    "run_ended": {
        "seq": "BIGINT",
        "ts": "TIMESTAMP",
        "run": "VARCHAR",
        "state": "VARCHAR",
        "seconds": "DOUBLE",
        "message": "VARCHAR",
    },
    "attempt_started": {
        "seq": "BIGINT",
        "ts": "TIMESTAMP",
        "attempt": "VARCHAR",
        "run": "VARCHAR",
        "job": "VARCHAR",
        "trial": "VARCHAR",
        "arm": "VARCHAR",
        "stages": "VARCHAR",
        "worker": "VARCHAR",
        "micro_batch": "INTEGER",
    },
    "attempt_ended": {
        "seq": "BIGINT",
        "ts": "TIMESTAMP",
        "attempt": "VARCHAR",
        "state": "VARCHAR",
        "failure": "VARCHAR",
        "message": "VARCHAR",
        "seconds": "DOUBLE",
    },
    "fitted": {
        "seq": "BIGINT",
        "ts": "TIMESTAMP",
        "attempt": "VARCHAR",
        "fingerprint": "VARCHAR",
        "stage_kind": "VARCHAR",
        "steps": "BIGINT",
        "best_step": "BIGINT",
        "diverged": "BOOLEAN",
        "seconds": "DOUBLE",
        "tokens": "BIGINT",
        "trainable_parameters": "BIGINT",
        "peak_memory_bytes": "BIGINT",
        "micro_batch": "INTEGER",
        "slots": "INTEGER",
        "note": "VARCHAR",
        "device": "VARCHAR",
        "versions": "VARCHAR",
        "artefact_bytes": "BIGINT",
        "text_loss_before": "DOUBLE",
        "text_loss": "DOUBLE",
        "probe_before": "DOUBLE",
        "probe": "DOUBLE",
    },
    "curve": {
        "seq": "BIGINT",
        "name": "VARCHAR",
        "step": "BIGINT",
        "value": "DOUBLE",
    },
    "evaluated": {
        "seq": "BIGINT",
        "ts": "TIMESTAMP",
        "attempt": "VARCHAR",
        "fingerprint": "VARCHAR",
        "split": "VARCHAR",
        "accuracy": "DOUBLE",
        "macro_f1": "DOUBLE",
        "mcc": "DOUBLE",
        "rouge_l": "DOUBLE",
        "exact_match": "DOUBLE",
        "token_f1": "DOUBLE",
        "preference_accuracy": "DOUBLE",
        "margin": "DOUBLE",
        "micro_f1": "DOUBLE",
        "subset_accuracy": "DOUBLE",
        "span_f1": "DOUBLE",
        "tag_accuracy": "DOUBLE",
        "items": "INTEGER",
        "seconds": "DOUBLE",
        "content": "VARCHAR",
        "artefact_bytes": "BIGINT",
        "spared_seconds": "DOUBLE",
    },
    "prediction": {
        "seq": "BIGINT",
        "row_index": "INTEGER",
        "label": "INTEGER",
        "predicted": "INTEGER",
        "probability": "DOUBLE",
        "target": "VARCHAR",
        "text": "VARCHAR",
        "rouge_l": "DOUBLE",
        "exact_match": "DOUBLE",
        "token_f1": "DOUBLE",
        "preference_accuracy": "DOUBLE",
        "margin": "DOUBLE",
        "subset_accuracy": "DOUBLE",
        "tallies": "INTEGER[]",
    },
    "selected": {
        "seq": "BIGINT",
        "ts": "TIMESTAMP",
        "run": "VARCHAR",
        "fingerprint": "VARCHAR",
        "arm": "VARCHAR",
        "gate": "VARCHAR",
        "metric": "VARCHAR",
        "n": "INTEGER",
        "kept": "VARCHAR[]",
    },
}
"""Table -> column -> type."""

PLAN_TABLES: dict[str, dict[str, str]] = {
    "plan": {
        "run": "VARCHAR",
        "metric": "VARCHAR",
        "level": "DOUBLE",
        "model": "VARCHAR",
        "model_parameters": "BIGINT",
    },
    "plan_level": {"run": "VARCHAR", "n": "INTEGER"},
    "plan_label": {"run": "VARCHAR", "number": "INTEGER", "label": "VARCHAR"},
    "plan_arm": {
        "run": "VARCHAR",
        "place": "INTEGER",
        "arm": "VARCHAR",
        "method": "VARCHAR",
        "formulation": "VARCHAR",
        "adaptation": "VARCHAR",
        "role": "VARCHAR",
        "rank": "INTEGER",
        "label_noise": "DOUBLE",
    },
    "plan_recipe": {
        "run": "VARCHAR",
        "arm": "VARCHAR",
        "n": "INTEGER",
        "steps": "INTEGER",
        "batch_size": "INTEGER",
        "learning_rate": "DOUBLE",
    },
    "plan_trial": {
        "run": "VARCHAR",
        "place": "INTEGER",
        "trial": "VARCHAR",
        "arm": "VARCHAR",
        "n": "INTEGER",
        "data_seed": "BIGINT",
        "model_seed": "BIGINT",
        "gate": "VARCHAR",
        "fingerprint": "VARCHAR",
    },
    "plan_stage": {
        "run": "VARCHAR",
        "stage": "VARCHAR",
        "kind": "VARCHAR",
        "fingerprint": "VARCHAR",
        "trial": "VARCHAR",
        "arm": "VARCHAR",
        "fold": "INTEGER",
        "split": "VARCHAR",
    },
    "plan_decision": {
        "run": "VARCHAR",
        "place": "INTEGER",
        "field": "VARCHAR",
        "value": "VARCHAR",
        "rule": "VARCHAR",
        "decided_by": "VARCHAR",
        "because": "VARCHAR",
        "strength": "VARCHAR",
        "source": "VARCHAR",
        "evidence": "VARCHAR",
        "alternatives": "VARCHAR",
        "flips_when": "VARCHAR",
        "pinned": "BOOLEAN",
    },
    "plan_cost": {
        "run": "VARCHAR",
        "arm": "VARCHAR",
        "trials": "INTEGER",
        "seconds_low": "DOUBLE",
        "seconds_mid": "DOUBLE",
        "seconds_high": "DOUBLE",
        "basis": "VARCHAR",
        "peak_memory_low": "DOUBLE",
        "peak_memory_mid": "DOUBLE",
        "peak_memory_high": "DOUBLE",
        "disk_bytes": "DOUBLE",
        "trainable_parameters": "BIGINT",
    },
}
"""What a run's plan says. Table -> column -> type."""

COMPUTED_TABLES: dict[str, dict[str, str]] = {
    "evaluation": {
        "run": "VARCHAR",
        "trial": "VARCHAR",
        "split": "VARCHAR",
        "last_seq": "BIGINT",
        "accuracy": "DOUBLE",
        "macro_f1": "DOUBLE",
        "mcc": "DOUBLE",
        "rouge_l": "DOUBLE",
        "exact_match": "DOUBLE",
        "token_f1": "DOUBLE",
        "preference_accuracy": "DOUBLE",
        "margin": "DOUBLE",
        "micro_f1": "DOUBLE",
        "subset_accuracy": "DOUBLE",
        "span_f1": "DOUBLE",
        "tag_accuracy": "DOUBLE",
        "items": "INTEGER",
        "seconds": "DOUBLE",
    },
    "interval": {
        "run": "VARCHAR",
        "metric": "VARCHAR",
        "split": "VARCHAR",
        "n": "INTEGER",
        "arm": "VARCHAR",
        "evidence": "VARCHAR",
        "trials": "INTEGER",
        "diverged": "INTEGER",
        "seeds": "INTEGER",
        "mean": "DOUBLE",
        "low": "DOUBLE",
        "high": "DOUBLE",
        "basis": "VARCHAR",
        "items": "INTEGER",
    },
    "contrast": {
        "run": "VARCHAR",
        "metric": "VARCHAR",
        "split": "VARCHAR",
        "n": "INTEGER",
        "chosen": "VARCHAR",
        "arm": "VARCHAR",
        "evidence": "VARCHAR",
        "difference": "DOUBLE",
        "low": "DOUBLE",
        "high": "DOUBLE",
        "verdict": "VARCHAR",
        "p_value": "DOUBLE",
        "basis": "VARCHAR",
        "seeds": "INTEGER",
        "items": "INTEGER",
        "more_seeds": "INTEGER",
        "more_items": "INTEGER",
    },
}
"""What is computed from predictions; `evidence` names what went into a row. Table -> column -> type."""

POSITION = {
    "byte_offset": "BIGINT",
    "seq": "BIGINT",
    "checksum": "VARCHAR",
    "fence": "BIGINT",
    "as_of": "VARCHAR",
    "version": "VARCHAR",
}
"""How far the journal was read; one row."""

TABLES = {**EVENT_TABLES, **PLAN_TABLES, **COMPUTED_TABLES, "position": POSITION}


def statements() -> tuple[str, ...]:
    """The statements that make an empty database."""
    tables = (
        f"CREATE TABLE private.{name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())})"
        for name, columns in TABLES.items()
    )
    views = (statement for view in VIEWS for statement in view.statements())
    return ("CREATE SCHEMA private", *tables, *views)


def version() -> str:
    """Name this schema by its content: a database of another one is made anew from the journal."""
    return hashlib.sha256("\n".join(statements()).encode()).hexdigest()[:16]
