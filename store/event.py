"""Facts that happened, as the journal keeps them: a tagged union of frozen values.

An event says what was, never what to do about it, so none is ever changed or taken back. Fields may be added with a
default; readers of the same major version ignore what they do not know. Numbers that are not finite (the loss of a
diverged run) are written as null.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from fewtune.specs.evaluation import Metric

EVENT_VERSION = 1
"""Major version: a reader of a lower one cannot understand the journal."""

MESSAGE_LENGTH = 2000

RunState = Literal["succeeded", "partial", "failed", "cancelled"]
AttemptState = Literal["succeeded", "failed"]
Failure = Literal["worker_lost", "out_of_memory", "interrupted", "error"]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _clean(value: Any) -> Any:
    """Text as UTF-8 can hold it, without the middle of what is too long."""
    if not isinstance(value, str):
        return value
    text = value.encode("utf-8", "replace").decode()
    half = MESSAGE_LENGTH // 2
    return text if len(text) <= MESSAGE_LENGTH else f"{text[:half]} [...] {text[-half:]}"


Number = Annotated[float | None, BeforeValidator(_finite)]
"""A measured value; None where it was not finite."""
Message = Annotated[str, BeforeValidator(_clean)]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,64}$")]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ArtefactRef(_Value):
    """A file of the artefact folder, as the journal names it."""

    fingerprint: Fingerprint
    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\.[a-z]+$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    size: int
    """Bytes."""


class Event(_Value):
    """The root of everything that the journal can say; `kind` tells which."""

    kind: str


class RunStarted(Event):
    """One apply of a plan began."""

    kind: Literal["run_started"] = "run_started"
    run: str
    plan_hash: str
    experiment: str
    """The experiment's name."""
    spec: dict[str, Any]
    """The spec as its canonical JSON, notes included."""
    plan: ArtefactRef
    spec_folder: str = "."
    """The spec's folder, seen from the workspace: local models are named relative to it."""
    devices: tuple[str, ...] = ()
    workers: int = 1
    engine: str = ""
    """What executes: "in-process" or "ray"."""
    version: str = ""
    """fewtune's version."""
    pid: int = 0
    host: str = ""


class Sampled(Event):
    """The rows of a sample were drawn; told once for each content."""

    kind: Literal["sampled"] = "sampled"
    sample: str
    content: str
    """Hash of what was drawn."""
    n: int
    data_seed: int
    fold: int | None = None
    train: tuple[int, ...]
    validation: tuple[int, ...] = ()
    scored: tuple[int, ...] | None = None
    flipped: tuple[tuple[int, int], ...] = ()
    """(row, label) of training rows that have another label than in the data."""


class AttemptStarted(Event):
    """A worker was given a job: one trial, or one fold of it."""

    kind: Literal["attempt_started"] = "attempt_started"
    attempt: str
    run: str
    job: str
    trial: str | None
    stages: tuple[str, ...]
    fingerprints: tuple[Fingerprint, ...] = ()
    """What the stages would leave, in their order."""
    arm: str
    worker: str = ""
    micro_batch: int = 0


class AttemptEnded(Event):
    """A job came to its end, well or not."""

    kind: Literal["attempt_ended"] = "attempt_ended"
    attempt: str
    state: AttemptState
    failure: Failure | None = None
    message: Message = ""
    seconds: float | None
    """None: the process that ran it died, so nobody knows."""


class General(_Value):
    """What the language model can do beside the task, before it was fitted and in the state that fitting left."""

    version: int
    """Of the text and the items that it is measured by."""
    loss_before: Number
    loss: Number
    """Mean over the tokens of the text, in nats."""
    accuracy_before: Number
    accuracy: Number
    """Share of the items that are right."""
    tokens: int
    items: int
    seconds: float


class Fitted(Event):
    """An arm was fitted; what was learnt is in the artefact."""

    kind: Literal["fitted"] = "fitted"
    stage_kind: Literal["train", "refit"]
    fingerprint: Fingerprint
    attempt: str
    artefact: ArtefactRef | None
    steps: int
    best_step: int
    diverged: bool
    losses: tuple[tuple[int, Number], ...] = ()
    """(step, mean training loss since the last entry)."""
    validation: tuple[tuple[int, Number], ...] = ()
    """(step, validation metric)."""
    seconds: float
    tokens: int
    trainable_parameters: int
    peak_memory_bytes: int
    micro_batch: int
    slots: int = 1
    """Trainings that shared its steps, itself among them."""
    note: Message = ""
    """What a reader of the result must know: a gate that stayed closed."""
    device: str = ""
    versions: dict[str, str] = {}
    general: General | None = None
    """None: not measured."""


class Scores(_Value):
    """The metrics of one set of predictions, of a label or several, of texts or of preferences; None for the others."""

    accuracy: Number = None
    macro_f1: Number = None
    mcc: Number = None
    rouge_l: Number = None
    exact_match: Number = None
    token_f1: Number = None
    preference_accuracy: Number = None
    margin: Number = None
    micro_f1: Number = None
    subset_accuracy: Number = None
    span_f1: Number = None
    tag_accuracy: Number = None


class Evaluated(Event):
    """A split was scored; the predictions are in the artefact."""

    kind: Literal["evaluated"] = "evaluated"
    fingerprint: Fingerprint
    attempt: str
    split: str
    metrics: Scores
    items: int
    seconds: float
    artefact: ArtefactRef
    content: str
    """Digest of the split's texts and labels."""
    spared_seconds: float = 0.0
    """What reading these rows had taken before, for another trial."""


class Augmented(Event):
    """Synthetic examples were made from a sample's own; they are in the artefact."""

    kind: Literal["augmented"] = "augmented"
    fingerprint: Fingerprint
    attempt: str
    source: Literal["teacher", "eda"]
    model: str = ""
    """The teacher's; empty: there was none."""
    n: int
    data_seed: int
    fold: int | None = None
    seeds: int
    written: int
    kept: int
    passed_share: Number
    """Of what was written, what passed the tests."""
    stopped: str = ""
    """Why the teacher stopped; empty: there was none."""
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0
    teacher_accuracy: Number = None
    student_accuracy: Number = None
    """Of the seeds' labels, before anything was written."""
    opened: bool = True
    """Whether the teacher beat the student; else nothing was written."""
    wrong_rate: Number = None
    seconds: float
    note: Message = ""
    artefact: ArtefactRef


class ArmScore(_Value):
    """What an arm was ranked by; None where nothing was measured."""

    arm: str
    value: Number


class Selected(Event):
    """A gate was decided: this arm is the chosen one, or the best of those that go on."""

    kind: Literal["selected"] = "selected"
    run: str
    fingerprint: Fingerprint
    """Of the select stage, or of a halving."""
    arm: str
    gate: str
    """The gate's kind: best-validation, rules-order or best-share."""
    kept: tuple[str, ...] = ()
    """best-share: the arms that go on."""
    metric: Metric | None = None
    n: int | None = None
    scores: tuple[ArmScore, ...] = ()


class Looked(Event):
    """The scores of a plan on a test split were shown."""

    kind: Literal["looked"] = "looked"
    content: str
    """Digest of the split, of the training rows where these are scored by cross-validation."""
    plan_hash: str
    split: str = ""
    """The split's name in the plan's report."""
    arms: int = Field(default=0, ge=0)
    """Arms of the plan, which may be compared there."""
    alike: str = ""
    """Digest of the rows whatever their order, case, punctuation and spacing; empty in journals of before."""
    shown: str = ""
    """Digest of the scores on the split and of how their arm is chosen: plans that show no other share one look."""


class RunEnded(Event):
    """The apply came to its end."""

    kind: Literal["run_ended"] = "run_ended"
    run: str
    state: RunState
    seconds: float | None
    """None: the process that ran it died, so nobody knows."""
    message: Message = ""


AnyEvent = Annotated[
    RunStarted
    | Sampled
    | AttemptStarted
    | AttemptEnded
    | Augmented
    | Fitted
    | Evaluated
    | Selected
    | Looked
    | RunEnded,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


def parse(kind: str, data: dict[str, Any]) -> AnyEvent | None:
    """Read an event; None for a kind that a later version added.

    Raises:
        ValueError: a known kind without what it needs.
    """
    try:
        return _ADAPTER.validate_python({**data, "kind": kind})
    except ValidationError as error:
        if error.errors()[0]["type"] == "union_tag_invalid":
            return None
        raise
