"""One answer in the asked form: standard output holds data only; talk goes to standard error."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fewtune.api.envelope import EXIT_OF_CODE, Envelope
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, RunError

Answered = tuple[Envelope, Callable[[], None]]
"""What a verb found, and a function that prints it for a reader."""


def answer(verb: str, as_json: bool, work: Callable[[], Answered], source: str = "spec") -> None:
    """Do a verb's work, print its answer in the asked form, and end with the right exit status.

    Args:
        verb: the verb's name.
        as_json: whether to print the envelope instead of the text.
        work: does it.
        source: what the lines and columns of faults belong to.
    """
    status = 0
    try:
        with only_talk():
            envelope, show = work()
    except FewtuneError as error:
        status = EXIT_OF_CODE.get(error.diagnostics[0].code, error.exit_status)
        envelope, show = (
            Envelope(ok=False, verb=verb, diagnostics=error.diagnostics),
            show_error(error.diagnostics, source),
        )
    except OSError as error:
        found = (_unusable(error),)
        status, envelope, show = 2, Envelope(ok=False, verb=verb, diagnostics=found), show_error(found, source)
    except KeyboardInterrupt:
        raise SystemExit(12) from None
    if as_json:
        sys.stdout.write(envelope.text() + "\n")
    else:
        show()
    sys.stdout.flush()
    if status == 0 and not envelope.ok:
        status = int(envelope.data.get("exit_status", 1)) if isinstance(envelope.data, dict) else 1
    raise SystemExit(status)


def _unusable(error: OSError) -> Diagnostic:
    """A file or folder that the operating system refuses."""
    what = f"{error.filename}: " if error.filename else ""
    message = f"{what}{(error.strerror or str(error)).lower()}"
    remedy = "name a path that exists and may be used" if error.filename else None
    return Diagnostic(code="E-io", message=message, remedy=remedy)


def one_of(option: str, value: str | None, *allowed: str) -> None:
    """Refuse a word that an option does not know, before any work is done; None: the option was left out.

    Raises:
        RunError: E-usage.
    """
    if value is not None and value not in allowed:
        message = f"{option} {value}: expected {' or '.join(allowed)}"
        raise RunError(Diagnostic(code="E-usage", message=message), exit_status=2)


@contextmanager
def only_talk() -> Iterator[None]:
    """Send what libraries print to standard error, at the level of file descriptors: standard output is for data."""
    sys.stdout.flush()
    data = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(data, 1)
        os.close(data)


def write(text: str) -> None:
    """Write data and a line end to standard output."""
    sys.stdout.write(text + "\n")


def show_error(found: tuple[Diagnostic, ...], source: str) -> Callable[[], None]:
    """A function that prints findings as talk."""
    from fewtune.api.shows.console import console, diagnostics

    return lambda: diagnostics(console(talk=True), found, source)
