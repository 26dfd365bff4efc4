"""What must hold after every crash, judged from raw bytes and raw SQL, without the store's own readers."""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb

SEAL = len(',"sum":"0123456789abcdef"}')


def journal_records(workspace: Path) -> list[dict[str, Any]]:
    """Read the journal by hand and check its chain."""
    records, checksum, fence = [], "0" * 16, 0
    lines = (workspace / "journal.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b"", "the journal ends in the middle of a line"
    for number, line in enumerate(lines, start=1):
        record = json.loads(line)
        expected = hashlib.sha256(checksum.encode() + line[:-SEAL]).hexdigest()[:16]
        assert record["sum"] == expected, f"record {number}: the chain is broken"
        assert record["seq"] == number, f"record {number} is numbered {record['seq']}"
        assert record["fence"] >= fence, f"record {number} is of an earlier lease"
        checksum, fence = expected, record["fence"]
        records.append(record)
    return records


def check(workspace: Path, acknowledged: list[str], wanted: list[str]) -> None:
    """Raise AssertionError for what does not hold after the run was finished by a second process."""
    records = journal_records(workspace)
    check_results(records, acknowledged, wanted)
    check_ends(records)
    check_artefacts(workspace, records)
    left = [str(path) for path in workspace.rglob("*.tmp")]
    assert not left, f"unfinished files are left: {left}"


def check_results(records: list[dict[str, Any]], acknowledged: list[str], wanted: list[str]) -> None:
    found = Counter(r["data"]["fingerprint"] for r in records if r["kind"] in ("fitted", "evaluated"))
    assert set(acknowledged) <= set(found), "an acknowledged result was lost"
    assert found == Counter(wanted), f"not every result is there exactly once: {found - Counter(wanted)}"
    assert len(acknowledged) == len(set(acknowledged)), "a result was computed twice"
    samples = Counter(r["data"]["content"] for r in records if r["kind"] == "sampled")
    assert set(samples.values()) == {1}, "a sample was told twice"


def check_ends(records: list[dict[str, Any]]) -> None:
    kinds: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        kinds.setdefault(record["kind"], []).append(record["data"])
    for key in ("run", "attempt"):
        started = Counter(data[key] for data in kinds.get(f"{key}_started", []))
        ended = Counter(data[key] for data in kinds.get(f"{key}_ended", []))
        assert started == ended, f"a {key} began without ending once"
        assert set(started.values()) <= {1}, f"a {key} began twice"
    assert kinds["run_ended"][-1]["state"] == "succeeded"


def check_artefacts(workspace: Path, records: list[dict[str, Any]]) -> None:
    refs = [record["data"].get("artefact") or record["data"].get("plan") for record in records]
    for ref in filter(None, refs):
        path = workspace / "artefacts" / ref["fingerprint"][:2] / ref["fingerprint"] / ref["name"]
        content = path.read_bytes()
        assert hashlib.sha256(content).hexdigest() == ref["sha256"], f"{path} differs from its record"


def check_database(workspace: Path) -> None:
    """Raise AssertionError where the newest published copy differs from the journal."""
    records = journal_records(workspace)
    newest = sorted((workspace / "results").glob("results-*.duckdb"))[-1]
    kinds = Counter(record["kind"] for record in records)
    with duckdb.connect(str(newest), read_only=True) as connection:
        for kind in kinds.keys() - {"sampled", "looked"}:
            rows = connection.execute(f"SELECT seq FROM private.{kind} ORDER BY seq").fetchall()
            expected = [(record["seq"],) for record in records if record["kind"] == kind]
            assert rows == expected, f"the table {kind} differs from the journal"
        items = sum(record["data"]["items"] for record in records if record["kind"] == "evaluated")
        assert connection.execute("SELECT count(*) FROM private.prediction").fetchone() == (items,)
        assert connection.execute("SELECT byte_offset FROM private.position").fetchone() == (
            (workspace / "journal.jsonl").stat().st_size,
        )
        states = connection.execute("SELECT DISTINCT state FROM trials").fetchall()
        assert states == [("finished",)], f"trials are {states}"
