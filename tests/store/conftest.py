import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fewtune.store import fault


@pytest.fixture
def root() -> Iterator[Path]:
    """The folder of a workspace that does not exist yet; in memory where possible, where a sync costs nothing."""
    shared = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
    yield folder / "workspace"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    """No fault outlives its test."""
    yield
    fault.arm(None)


@pytest.fixture
def no_quantiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Means without intervals, and views without comments: for tests of anything else, at a fraction of the time."""
    import miniature

    from fewtune.store import standings
    from fewtune.store.view import View

    monkeypatch.setattr(View, "statements", lambda self: (f"CREATE VIEW {self.name} AS {self.query}",))

    monkeypatch.setattr(standings, "score_interval", miniature.mean_only)
    monkeypatch.setattr(standings, "compare_family", miniature.differences_only)


@pytest.fixture
def no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is published: for tests of what the journal and the artefacts say."""
    from fewtune.store import publication

    monkeypatch.setattr(publication, "publish", lambda workspace, end: (False, None))
