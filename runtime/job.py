"""What a worker is asked to do, and what it answers: plain values that cross a process border as JSON and bytes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from fewtune.compiler.arm import Arm, Recipe
from fewtune.compiler.plan import Flip
from fewtune.specs.evaluation import Metric
from fewtune.specs.frozen import Frozen
from fewtune.store.judgements import Item


class Row(Frozen):
    """One example."""

    fields: dict[str, str]
    """Pattern field -> text."""
    label: int = -1
    """Index into the task's labels; of a text that is judged alone 1 where it was liked, else 0; -1: none."""
    marks: tuple[int, ...] = ()
    """Indices of its labels in rising order, or the tag of each word, where a text has several labels."""
    target: str = ""
    """The text that is to be written, or is preferred; empty where labels are given."""
    rejected: str = ""
    """The worse text of a pair."""


class Corpus(Frozen):
    """Every row that the run's jobs may name, by split."""

    labels: tuple[str, ...]
    splits: dict[str, tuple[Row, ...]]

    def rows(self, ref: "RowRef") -> list[Row]:
        """The rows that are meant, with the labels that arms are fitted to."""
        split, turned = self.splits[ref.split], {flip.row: flip.label for flip in ref.flipped}
        own = [
            split[row].model_copy(update={"label": turned[row]}) if row in turned else split[row] for row in ref.rows
        ]
        return [*own, *ref.added]


class RowRef(Frozen):
    """Rows of one split, by index from 0."""

    split: str
    rows: tuple[int, ...]
    flipped: tuple[Flip, ...] = ()
    """Rows that have another label than in the data."""
    added: tuple[Row, ...] = ()
    """Synthetic rows behind them."""


class ModelRef(Frozen):
    """Where a worker finds the base model."""

    path: str
    """A local folder in the Hugging Face layout."""
    weights_hash: str
    encoder: str = ""
    """A local folder with the sentence encoder; empty where no arm needs it."""
    tuned_encoder: str = ""
    """The same of the encoder that arms tune; empty: the sentence encoder."""


class Fit(Frozen):
    """Train (or otherwise fit) an arm on these rows."""

    stage: str
    fingerprint: str
    train: RowRef
    validation: RowRef | None
    """Rows that stop training; their scores are reported, too."""
    init_seed: int
    """Initialisation of new parameters."""
    order_seed: int
    """Order of the training examples (and of demonstrations)."""
    transfer: RowRef | None = None
    """Texts without labels that a teacher answers."""
    pretraining: tuple[RowRef, ...] = ()
    """Texts of continued pre-training."""
    general: bool = False
    """Whether the general ability is measured, where the language model moves."""


class Score(Frozen):
    """Predict these rows with the fitted arm."""

    stage: str
    fingerprint: str
    split: str
    """The split's name in the report: validation, test, cv or a named split."""
    rows: RowRef


class Job(Frozen):
    """One trial (or fold) on one worker: fit once or load what was fitted, then score."""

    id: str
    arm: Arm
    recipe: Recipe
    words: dict[str, str]
    """Label -> the word that stands for it."""
    tokens: dict[str, int]
    """Label -> the token it is recognised by."""
    metric: Metric = "accuracy"
    """What written texts and several labels are validated by."""
    compares: bool = False
    """Whether the likelihoods of the rows' texts are compared, instead of texts being written."""
    fit: Fit | None
    """None: the state is given, or the arm needs none."""
    scores: tuple[Score, ...]
    attempt: int = 1
    threads: int | None = None
    """Threads that it may use, for no other job needs them; None: as many as the worker was given."""


@dataclass(frozen=True)
class Batch:
    """Jobs that a worker gets together: they share their steps, or what they read."""

    jobs: tuple[Job, ...]
    states: tuple[bytes | None, ...]
    """What each job starts from, if it does not fit by itself."""
    slots: int = 1
    """Trainings that share a step; 1: one job after the other."""


@dataclass(frozen=True, kw_only=True)
class General:
    """What the language model can do beside the task, before it was fitted and in the state that fitting left."""

    version: int
    """Of text and items."""
    loss_before: float
    loss: float
    """Mean over the tokens of the text, in nats."""
    accuracy_before: float
    accuracy: float
    """Share of the items that are right."""
    tokens: int
    items: int
    seconds: float
    """That measuring the state took."""


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What fitting left."""

    stage: str
    fingerprint: str
    state: bytes
    """The moved parameters as a safetensors file (with what else the arm needs, in its metadata); may be empty."""
    steps: int = 0
    best_step: int = 0
    diverged: bool = False
    """The loss or gradient norm was not finite; the state is of the last finite step."""
    losses: tuple[tuple[int, float], ...] = ()
    """(step, mean training loss since the last entry)."""
    validation: tuple[tuple[int, float], ...] = ()
    """(step, validation metric)."""
    seconds: float
    tokens: int = 0
    """Real tokens that were trained on."""
    trainable_parameters: int = 0
    peak_memory_bytes: int
    micro_batch: int = 0
    slots: int = 1
    """Trainings that shared its steps, itself among them."""
    note: str = ""
    """What a reader of the result must know: a gate that stayed closed."""
    general: General | None = None
    """None: not measured, or nothing of the language model moved."""


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Predictions for one split."""

    stage: str
    fingerprint: str
    split: str
    rows: RowRef
    predicted: tuple[int, ...] = ()
    """Label index for each row."""
    probabilities: tuple[tuple[float, ...], ...] = ()
    """(rows, labels), normalised over the labels."""
    marks: tuple[tuple[int, ...], ...] = ()
    """Labels of each row, or the tag of each of its words, where a text has several; probabilities are each label's by
    itself then, or none."""
    texts: tuple[str, ...] = ()
    """What was written for each row, where a text is asked for."""
    judged: tuple[Item, ...] = ()
    """How likely the texts of each row are, where they are compared."""
    seconds: float
    spared_seconds: float = 0.0
    """What reading these rows had taken before, for another trial."""


Outcome = Fitted | Scored


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A sign of life from the middle of a job."""

    job: str
    phase: Literal["loading", "pre-training", "training", "validating", "scoring"]
    done: int
    total: int
    loss: float | None = None


Notify = Callable[[Progress], None]


class OutOfMemoryError(Exception):
    """The device has too little memory for this micro-batch."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """All that came of a job: results up to a failure, if there was one."""

    job: str
    outcomes: tuple[Outcome, ...]
    failure: Literal["out_of_memory", "error"] | None = None
    message: str = ""
    device: str = ""
    versions: dict[str, str] = field(default_factory=dict)
