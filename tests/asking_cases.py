"""Jobs with other fields of their arm, and what comes of them."""

from typing import Any

from fewtune.runtime.job import Fitted, Job, Scored
from fewtune.runtime.train.engine import Engine

FIRST = "{text}\nTopic:"


def asked(job: Job, **fields: Any) -> Job:
    """The job with other fields of its arm."""
    return job.model_copy(update={"arm": job.arm.model_copy(update={"pattern": FIRST, **fields})})


def outcome(engine: Engine, job: Job, state: bytes | None = None) -> tuple[Fitted | None, Scored]:
    answer = engine.run(job, state=state)
    assert answer.failure is None, answer.message
    *fitted, scored = answer.outcomes
    assert isinstance(scored, Scored)
    return (fitted[0] if fitted and isinstance(fitted[0], Fitted) else None), scored
