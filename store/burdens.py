"""What an arm takes and what it forgets, over its trials at one data size."""

from dataclasses import dataclass

from fewtune.store.reader import Reader
from fewtune.store.snapshot import open_newest


@dataclass(frozen=True, kw_only=True)
class Burden:
    """Means over an arm's trials, but for the largest memory; the view `trials` explains the columns."""

    arm: str
    training_seconds: float | None
    peak_memory_bytes: int | None
    trainable_parameters: int | None
    adapter_bytes: int | None
    latency_ms: float | None
    forgetting: float | None
    probe_change: float | None


QUERY = """
    SELECT arm, avg(training_seconds), max(peak_memory_bytes), max(trainable_parameters), max(adapter_bytes),
        avg(latency_ms), avg(forgetting), avg(probe_change)
    FROM trials WHERE run = ? AND n IN (0, ?) AND state IN ('finished', 'diverged') GROUP BY arm
"""


def burdens(reader: Reader, run: str, n: int) -> dict[str, Burden]:
    """Arm -> what its finished trials at this data size took; arms that see no labels are there at each."""
    with open_newest(reader.workspace) as (connection, _):
        rows = connection.execute(QUERY, [run, n]).fetchall()
    return {row[0]: Burden(**dict(zip(Burden.__annotations__, row, strict=True))) for row in rows}
