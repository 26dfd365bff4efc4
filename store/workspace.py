"""Where everything of a workspace lies."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """A folder with what has happened; it need not exist yet."""

    root: Path

    @property
    def journal(self) -> Path:
        """The truth: what happened."""
        return self.root / "journal.jsonl"

    @property
    def lease(self) -> Path:
        """The folder that says who may write."""
        return self.root / "lease"

    @property
    def artefacts(self) -> Path:
        """The folder of what stages left."""
        return self.root / "artefacts"

    @property
    def database(self) -> Path:
        """The projection of the journal; only the holder of the lease opens it."""
        return self.root / "store.duckdb"

    @property
    def results(self) -> Path:
        """The folder of published copies of the database, for readers."""
        return self.root / "results"

    @property
    def submissions(self) -> Path:
        """The folder of plans that were handed in to run without waiting."""
        return self.root / "submissions"
