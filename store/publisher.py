"""When the results are published: rarely, but soon after every change."""

import threading
import time

from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store.journal import JournalWriter
from fewtune.store.lease import Lease
from fewtune.store.record import Position
from fewtune.store.workspace import Workspace

PUBLISH_SECONDS = (2.0, 4.0)
"""Between two publications at least, and at most where publishing is slow; a finished trial is seen within 5 s."""
SLOWNESS = 10
"""So many times the duration of one publication pass before the next."""


class Publisher:
    """Publishes what the journal has.

    What is asked for too soon after the last time is published a little later from a thread of its own, so that a
    finished trial is seen even while a long job keeps the caller busy.

    Attributes:
        trouble: why the last publication failed; None: it did not.
    """

    def __init__(self, workspace: Workspace, journal: JournalWriter, lease: Lease) -> None:
        """Take what `Store` has opened."""
        self.trouble: Diagnostic | None = None
        self._workspace, self._journal, self._lease = workspace, journal, lease
        self._next = 0.0
        self._published: Position | None = None
        self._publishing = threading.Lock()
        self._later: threading.Timer | None = None

    def publish(self, *, force: bool = False) -> bool:
        """Publish now, or later where it is too soon and not forced; returns whether something was published now."""
        if self._published == self._journal.end and not force:
            return False
        wait = self._next - time.monotonic()
        if wait > 0 and not force:
            self._publish_later(wait)
            return False
        with self._publishing:
            return self._publish()

    def close(self) -> None:
        """Give up what was put off; afterwards no thread is left."""
        later = self._later
        if later is not None:
            later.cancel()
            later.join()

    def _publish(self) -> bool:
        from fewtune.store.publication import publish  # duckdb takes 0.2 s to import

        began, end = time.monotonic(), self._journal.end
        try:
            self._lease.check()
            published, self.trouble = publish(self._workspace, end)
        except StoreError as error:
            published, self.trouble = False, error.diagnostics[0]
        self._published = end if self.trouble is None else None
        least, most = PUBLISH_SECONDS
        now = time.monotonic()
        self._next = now + min(max(SLOWNESS * (now - began), least), most)
        return published

    def _publish_later(self, seconds: float) -> None:
        if self._later is None:
            self._later = threading.Timer(seconds, self._publish_due)
            self._later.daemon = True
            self._later.start()

    def _publish_due(self) -> None:
        with self._publishing:
            self._later = None
            self._publish()
