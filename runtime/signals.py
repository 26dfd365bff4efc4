"""Handlers of signals, kept while a library starts that would take them for itself."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TAKEN = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def handlers_kept() -> Iterator[None]:
    """Give this process's handlers back after what happens inside, and hand them what came meanwhile.

    Ray sets a handler for SIGTERM as it starts, which ends the process by SystemExit: a request to end a run would not
    be told from a death.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: handler for number in TAKEN if (handler := signal.getsignal(number)) is not None}
    ended = False
    try:
        yield
    except SystemExit:
        ended = True
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if ended:
            signal.raise_signal(signal.SIGTERM)
