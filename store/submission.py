"""A plan that was handed in to be run without waiting: what is known of it on the disk.

A submission is a folder named by its handle, which follows from the plan's hash. Whoever makes the folder first has
submitted the plan, so the same plan is never submitted twice. Each file in it is written whole by one party: the
record by who submitted, the word by the operator, the holder and the progress by the supervisor, the end by the
supervisor or by who ended it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

State = Literal[
    "awaiting_approval", "queued", "starting", "running", "finishing", "succeeded", "partial", "failed", "cancelled",
    "lost",
]  # fmt: skip
ENDED: tuple[State, ...] = ("succeeded", "partial", "failed", "cancelled", "lost")
"""States that nothing follows."""
FailureClass = Literal[
    "out_of_memory", "worker_lost", "data", "dependency", "budget", "stale", "busy", "disk", "interrupted",
    "error",
]  # fmt: skip
"""Why a run did not succeed; a diverged training is a result and no failure."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Asked(_Value):
    """How it is to be executed."""

    in_process: bool = False
    workers: int | None = None
    slots: int | None = None


class Submission(_Value):
    """What was asked for, as it was admitted."""

    handle: str
    plan_hash: str
    experiment: str
    actor: str
    """Who submitted, as far as one can tell: user@host and the client's name."""
    at: str
    """UTC."""
    at_seconds: float
    """The same as seconds since the epoch."""
    reserve_hours: float
    """Device time that is reserved while it is not over."""
    ceiling_seconds: float | None = None
    """Time on the clock after which it is stopped."""
    ceiling_bytes: int | None = None
    """Growth of the workspace on the disk after which it is stopped."""
    needs_approval: str = ""
    """The ceilings that it is above; empty: none."""
    how: Asked = Asked()
    round: int = 1
    """Which attempt at the plan this is: a failed one may be submitted again."""


class Approval(_Value):
    """The operator's word on one plan."""

    plan_hash: str
    by: str
    at: str
    expires_seconds: float
    """Seconds since the epoch after which it allows nothing."""
    over: str
    """The ceilings that it lets the plan pass."""


class Supervisor(_Value):
    """The process that runs it."""

    pid: int
    host: str
    began: float
    """When the process began, as the operating system counts: another process with this number has another one."""
    at: str


class Progress(_Value):
    """How far it has come; written every few seconds."""

    run: str | None = None
    """The run's name in the results; None: it has not begun."""
    jobs: int = 0
    done: int = 0
    now: str = ""
    """What the workers do."""
    left_seconds: float | None = None
    at: str = ""
    at_seconds: float = 0.0


class End(_Value):
    """How it ended."""

    state: State
    at: str
    seconds: float
    """Time on the clock."""
    device_hours: float
    """What it took, in the unit of the reservation."""
    run: str | None = None
    started: int = 0
    """Attempts that were begun; 0: every result was there."""
    failure: FailureClass | None = None
    diagnostics: tuple[dict[str, Any], ...] = ()
    verdict: str = ""
    """In a sentence; empty: nothing was finished."""
    cost: dict[str, float] = {}
    """Predicted and actual seconds."""
