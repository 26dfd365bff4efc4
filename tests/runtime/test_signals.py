"""Who is asked to end while a library starts, which takes the signals for itself."""

import signal
import sys
from types import FrameType

import pytest

from fewtune.runtime.signals import handlers_kept


@pytest.mark.parametrize("during", [True, False])
def test_a_request_to_end_reaches_its_handler(during: bool) -> None:
    def taken(number: int, frame: FrameType | None) -> None:
        sys.exit(number)

    def ours(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    def work() -> None:
        with handlers_kept():
            signal.signal(signal.SIGTERM, taken)
            if during:
                signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, ours)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.signal(signal.SIGTERM, before)
