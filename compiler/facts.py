"""Measured inputs that are not in the spec: the data, the model, the device.

*Identity* facts (contents, tokenizer, device class) are hashed into the plan; *weather* (free memory, free disk) is
advisory and changes no plan. Nothing here is read by the compiler itself: the probe fills it in.
"""

from functools import cached_property
from typing import Literal

from fewtune.compiler.adopted import Adopted, Pace
from fewtune.compiler.fingerprint import canonical, fingerprint
from fewtune.specs.data import WITHOUT_LABELS
from fewtune.specs.frozen import Frozen


class SplitFacts(Frozen):
    """One split, row by row. All tuples have one entry for each row, in the file's order."""

    name: str
    """train, validation, test, unlabelled or the name of an out-of-domain split."""
    place: str
    """How a person would name the source."""
    text_keys: tuple[str, ...]
    """Hash of the row's text fields, 16 hexadecimal digits."""
    groups: tuple[str, ...]
    """Hash of the text after folding case, punctuation and spaces: equal groups are duplicates."""
    labels: tuple[int, ...]
    """Index into `DataFacts.labels`; -1 where there is none."""
    tokens: tuple[int, ...]
    """Tokens of the text fields together, without pattern or special tokens."""
    unknown_labels: tuple[str, ...] = ()
    """Labels of this split that the training split does not have."""
    missing_text: tuple[int, ...] = ()
    """Numbers (from 1) of rows without text."""
    missing_label: tuple[int, ...] = ()
    """Numbers (from 1) of rows without a label."""
    targets: tuple[str, ...] = ()
    """Where a text is to be written: hash of the row's target (of a preference: of both texts, or of text and signal);
    its label is 0 then, and -1 where it has none."""
    target_tokens: tuple[int, ...] = ()
    """Tokens of the row's target, of a pair the longer one."""
    marks: tuple[tuple[int, ...], ...] = ()
    """Where a text has several labels: the row's, as indices into `DataFacts.labels` in rising order, or the tag of
    each of its words (-1: one that the training rows do not have); its label is 0 then, and -1 where it has none."""
    multiline_targets: int = 0
    """Targets with a line break inside."""

    def __len__(self) -> int:
        return len(self.text_keys)

    @cached_property
    def digest(self) -> str:
        """Hash of the split's texts and labels in their order."""
        content = {"texts": self.text_keys, "labels": self.labels}
        more = {"targets": self.targets, "marks": self.marks}
        return fingerprint("split", content | {name: value for name, value in more.items() if value})

    @cached_property
    def alike(self) -> str:
        """Hash of the rows whatever their order, case, punctuation and spacing, and however often each is there."""
        more = [column for column in (self.targets, self.marks) if column]
        rows = {canonical(row) for row in zip(self.groups, self.labels, *more, strict=True)}
        return fingerprint("rows alike", sorted(rows))

    def row_key(self, index: int, names: tuple[str, ...]) -> str:
        """The row's text and label (or labels, or target) as one key; changes when either does."""
        label = self.labels[index]
        if self.marks:
            said = [names[mark] if mark >= 0 else "" for mark in self.marks[index]]
            return f"{self.text_keys[index]}={canonical(said) if label >= 0 else ''}"
        if self.targets:
            return f"{self.text_keys[index]}>{self.targets[index] if label >= 0 else ''}"
        return f"{self.text_keys[index]}:{names[label] if label >= 0 else ''}"


class DataFacts(Frozen):
    """All splits, with the columns they were read by."""

    fields: tuple[str, ...]
    """Pattern fields in their order: ("text",), ("premise", "hypothesis"), ("question",), ("context", "question")."""
    columns: dict[str, str]
    """Field (and "label" or "target"; of preferences "target" with "rejected" or "label") -> column."""
    labels: tuple[str, ...]
    """Label names in their order; none where a text is to be written."""
    splits: dict[str, SplitFacts]

    @property
    def strata(self) -> int:
        """Kinds of rows that samples hold in proportion: the labels; one where there are none, or several for a row."""
        return 1 if self.train.marks else len(self.labels) or 1

    def twin_key(self, row: int) -> str:
        """What training rows share that say the same: the text; of preferences, whose prompts may come again, all."""
        train = self.train
        judged = bool(train.targets) and not self.columns.keys().isdisjoint({"rejected", "label"})
        return train.groups[row] + (train.targets[row] if judged else "")

    @property
    def train(self) -> SplitFacts:
        """The pool of labelled rows."""
        return self.splits["train"]

    @property
    def test(self) -> SplitFacts | None:
        """What the report is about; None: cross-validation."""
        return self.splits.get("test")

    @property
    def ood(self) -> tuple[SplitFacts, ...]:
        """The out-of-domain splits, by name."""
        known = ("train", "validation", "test", *WITHOUT_LABELS)
        return tuple(split for name, split in sorted(self.splits.items()) if name not in known)

    @property
    def evaluated(self) -> tuple[SplitFacts, ...]:
        """The splits that the report scores: test and every out-of-domain split."""
        return ((self.test,) if self.test else ()) + self.ood


class Linear(Frozen):
    """A kind of linear layer that is repeated through the network."""

    name: str
    """The module's own name, such as q_proj."""
    d_in: int
    d_out: int
    count: int
    """How many of them there are."""


class ModelFacts(Frozen):
    """A causal language model, or an encoder, as its files describe it."""

    place: str
    source: Literal["embedded", "hub", "path"]
    revision: str | None = None
    architecture: str
    """transformers' model_type."""
    weights_hash: str
    """Hash of the tensors' names, shapes and contents."""
    tokenizer_hash: str
    parameters: int
    """All parameters; tied ones counted once."""
    embedding_parameters: int
    """Token (and position) embeddings; a tied output layer is among them."""
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int
    max_positions: int
    biases: int = 0
    """Numbers in biases, those of norms included."""
    norms: int = 0
    """Numbers in norms: gains and biases."""
    tied: bool
    """Whether the output layer is the input embedding."""
    instruct: bool
    """Whether the tokenizer has a chat template."""
    chat: Literal["chatml"] | None = None
    """The form of its turns, where it is one that patterns are made for."""
    end_tokens: tuple[int, ...] = ()
    """Tokens that end a text, the usual one first."""
    linears: tuple[Linear, ...]
    """The linear layers of the blocks, the output layer excluded."""
    stored_bytes: int
    """Size of the weights on the disk."""
    word_tokens: dict[str, tuple[int, ...]]
    """A candidate label word -> its token ids, written after a space."""
    pattern_tokens: dict[str, int]
    """A candidate pattern -> the tokens of its fixed text."""

    @property
    def block_parameters(self) -> int:
        """Parameters of the linear layers of all blocks."""
        return sum(linear.d_in * linear.d_out * linear.count for linear in self.linears)


class Calibration(Frozen):
    """What this machine did in a trial of some seconds (`fewtune doctor --calibrate`)."""

    rates: dict[str, tuple[float, float]]
    """Precision -> GFLOP/s of the products when training, and forward only: of one core of a processor, or of a GPU."""


class DeviceFacts(Frozen):
    """The device class: what decides rates and what fits."""

    kind: Literal["cpu", "cuda"]
    name: str
    """The class, such as "cpu amx-bf16" or "NVIDIA H100 80GB HBM3"."""
    count: int
    """Devices; a machine without a GPU is one device."""
    cores: int
    """Processor cores that this process may use."""
    memory_gib: int
    """Memory of one device, in whole GiB."""
    bf16: bool
    """Whether bf16 products run in hardware."""
    calibration: Calibration | None = None
    """Advisory: estimates rest on it instead of on the class's table; never hashed."""
    pace: Pace | None = None
    """Advisory, like the calibration, which goes before it: what adopted runs took."""


class Weather(Frozen):
    """Advisory facts that change from minute to minute; never hashed."""

    free_memory_bytes: int | None = None
    free_disk_bytes: int | None = None


class Facts(Frozen):
    """Everything that was measured."""

    data: DataFacts
    model: ModelFacts
    encoder: ModelFacts | None = None
    """The encoder to be tuned; None: the embedded one."""
    device: DeviceFacts
    weather: Weather = Weather()
    adopted: Adopted = Adopted()
    """Evidence of earlier runs; plans name it apart from the identity."""
    recording: str = ""
    """SHA-256 of the file of recorded teacher calls; empty: none is replayed."""

    @cached_property
    def identity(self) -> str:
        """Hash of the identity facts."""
        return fingerprint(
            "facts",
            {
                "splits": {name: split.digest for name, split in sorted(self.data.splits.items())},
                "labels": self.data.labels,
                "columns": self.data.columns,
                "model": self.model.weights_hash,
                "tokenizer": self.model.tokenizer_hash,
                "device": self.device.model_dump(mode="json", exclude={"calibration", "pace"}),
                **({"encoder": [self.encoder.weights_hash, self.encoder.tokenizer_hash]} if self.encoder else {}),
                **({"recording": self.recording} if self.recording else {}),
            },
        )
