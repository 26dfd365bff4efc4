"""What writes and compares synthetic examples, looked for before anything is planned."""

from collections.abc import Iterator

from fewtune.runtime.minilm import encoder_is_ready
from fewtune.runtime.smollm2 import is_ready
from fewtune.specs.augmentation import Augmentation
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.model import EMBEDDED


def refuse_without_writers(asked: Augmentation | None) -> None:
    """Say what a spec's synthetic examples need that is not on this machine.

    Raises:
        PlanError: E-facts-missing.
    """
    missing = list(_missing(asked)) if asked is not None else []
    if missing:
        raise PlanError(missing)


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
