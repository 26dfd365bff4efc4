"""What a training leaves: the fit for its job, and its best look at validation rows."""

from dataclasses import dataclass

from fewtune.runtime.job import Fit, Fitted, Job, RowRef
from fewtune.runtime.train.loop import Course
from fewtune.runtime.train.prediction import Said


@dataclass(frozen=True)
class Seen:
    """The last fit's best validation, whose rows need no second prediction."""

    state: bytes
    rows: RowRef
    prediction: Said


def seen(fit: Fit, course: Course, state: bytes) -> Seen | None:
    """The best validation of a training; None without one."""
    if course.prediction is None or fit.validation is None:
        return None
    return Seen(state, fit.validation, course.prediction)


def fitted(job: Job, fit: Fit, course: Course, state: bytes, moved: int, *, seconds: float, peak: int) -> Fitted:
    """What is reported of a training.

    Args:
        job: whose recipe was followed.
        fit: names stage and fingerprint.
        course: how it went.
        state: what moved, as a file.
        moved: parameters.
        seconds: in all.
        peak: bytes of memory.
    """
    return Fitted(
        stage=fit.stage,
        fingerprint=fit.fingerprint,
        state=state,
        steps=course.steps,
        best_step=course.best_step,
        diverged=course.diverged,
        losses=tuple(course.losses),
        validation=tuple(course.validation),
        seconds=seconds,
        tokens=course.tokens,
        trainable_parameters=moved,
        peak_memory_bytes=peak,
        micro_batch=job.recipe.micro_batch,
        note=course.note,
    )
