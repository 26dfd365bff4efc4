"""What writes and compares synthetic examples, looked for before anything is planned."""

from collections.abc import Iterator
from pathlib import Path

from fewtune.runtime.minilm import encoder_is_ready
from fewtune.runtime.probe.rows import data_path
from fewtune.runtime.smollm2 import is_ready
from fewtune.specs.augmentation import Augmentation
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, PlanError
from fewtune.specs.model import EMBEDDED


def refuse_without_writers(asked: Augmentation | None, base: Path) -> None:
    """Say what a spec's synthetic examples need that is not on this machine, or cannot be read.

    Args:
        asked: what the spec says of them.
        base: the spec's folder.

    Raises:
        PlanError: E-facts-missing; of recorded calls E-path, E-file-missing, E-file-unreadable, E-recording.
    """
    faults = [*_missing(asked), *_unreadable(asked, base)] if asked is not None else []
    if faults:
        raise PlanError(faults)


def _unreadable(asked: Augmentation, base: Path) -> Iterator[Diagnostic]:
    """Why a recording that is to be replayed cannot be."""
    if asked.teacher is None or asked.teacher.recording is None:
        return
    from fewtune.runtime.augment.recording import Recording

    place = {"pointer": "/augmentation/teacher/recording"}
    try:
        Recording(data_path(asked.teacher.recording, base))
    except FewtuneError as error:
        yield from (fault.model_copy(update=place) for fault in error.diagnostics)
    except OSError as error:
        message = f"{asked.teacher.recording} cannot be read: {error.strerror}"
        yield Diagnostic(code="E-file-unreadable", message=message, remedy="check the file", **place)


def _missing(asked: Augmentation) -> Iterator[Diagnostic]:
    teacher = asked.teacher
    if teacher and teacher.is_embedded and teacher.recording is None and not is_ready():
        message = f"the teacher {EMBEDDED!r} is not on this machine"
        yield Diagnostic(
            code="E-facts-missing", message=message, pointer="/augmentation/teacher/model",
            remedy="fewtune pull SPEC; or name an endpoint in base_url, or recorded calls in recording",
        )  # fmt: skip
    if not encoder_is_ready():
        message = "the sentence encoder, by which synthetic examples are compared, is not on this machine"
        yield Diagnostic(
            code="E-facts-missing", message=message, pointer="/augmentation", remedy="fewtune pull SPEC"
        )  # fmt: skip
