"""Which methods to consider: what is omitted is decided by rules, what is written is a pin."""

from typing import Annotated, Any, Literal, cast, get_args

from pydantic import Field, StrictBool, StringConstraints, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fewtune.specs.frozen import Frozen
from fewtune.specs.task import MARKED, WRITTEN, TaskType

Formulation = Literal[
    "majority", "tfidf", "encoder", "probe", "lead", "in-context", "pattern", "head", "generation",
    "unigram", "encoder-head", "setfit",
]  # fmt: skip
"""How the task is posed. majority, tfidf, lead, unigram and what reads with an encoder do without the language model.
encoder: a frozen one. encoder-head: one with a new classification head. setfit: one whose embeddings of equal labels
were brought together, under a logistic regression."""
ENCODED: tuple[Formulation, ...] = ("encoder-head", "setfit")
"""Formulations whose adaptation moves an encoder."""
Adaptation = Literal[
    "none", "full", "lora", "qlora", "dora", "adapter", "prefix", "prompt", "bitfit", "norm", "top", "ia3"
]  # fmt: skip
"""Which parameters move. qlora: LoRA on a base whose linear layers are held in four bits. dora: LoRA with a length for
each output. adapter: narrow networks between the layers. prefix: keys and values before the text. prompt: embeddings
before the text. bitfit: biases. norm: norms. top: the last blocks. ia3: factors of keys, values and MLPs."""
LOW_RANK: tuple[Adaptation, ...] = ("lora", "qlora", "dora")
"""Adaptations by low-rank updates of a frozen base."""
OWN_WEIGHTS: tuple[Adaptation, ...] = ("full", "bitfit", "norm", "top")
"""Adaptations that move parameters of the base itself, on a copy of these."""
Preference = Literal["dpo", "orpo", "kto", "simpo"]
"""How an arm learns from preferences: against the base's own likelihoods (dpo, kto) or without them (orpo, simpo)."""
MethodName = Literal[
    "majority", "tfidf", "encoder", "probe", "zero-shot", "in-context",
    "pattern+lora", "pattern+qlora", "pattern+full", "head+lora", "head+qlora", "head+full",
    "lead", "generate+lora", "generate+qlora", "generate+full",
    "pattern+dora", "head+dora", "generate+dora",
    "pattern+adapter", "head+adapter", "generate+adapter",
    "pattern+prefix", "head+prefix", "generate+prefix",
    "pattern+prompt", "head+prompt", "generate+prompt",
    "pattern+bitfit", "head+bitfit", "generate+bitfit",
    "pattern+norm", "head+norm", "generate+norm",
    "pattern+top", "head+top", "generate+top",
    "pattern+ia3", "head+ia3", "generate+ia3",
    "dpo+lora", "dpo+qlora", "dpo+full", "dpo+dora", "dpo+adapter", "dpo+prefix",
    "dpo+prompt", "dpo+bitfit", "dpo+norm", "dpo+top", "dpo+ia3",
    "orpo+lora", "orpo+qlora", "orpo+full", "orpo+dora", "orpo+adapter", "orpo+prefix",
    "orpo+prompt", "orpo+bitfit", "orpo+norm", "orpo+top", "orpo+ia3",
    "kto+lora", "kto+qlora", "kto+full", "kto+dora", "kto+adapter", "kto+prefix",
    "kto+prompt", "kto+bitfit", "kto+norm", "kto+top", "kto+ia3",
    "simpo+lora", "simpo+qlora", "simpo+full", "simpo+dora", "simpo+adapter", "simpo+prefix",
    "simpo+prompt", "simpo+bitfit", "simpo+norm", "simpo+top", "simpo+ia3",
    "unigram",
    "encoder+lora", "encoder+full", "setfit", "setfit+lora",
]  # fmt: skip
Schedule = Literal["linear", "cosine", "constant"]

NOT_TUNED: dict[MethodName, Formulation] = {
    "majority": "majority",
    "tfidf": "tfidf",
    "encoder": "encoder",
    "probe": "probe",
    "zero-shot": "pattern",
    "in-context": "in-context",
    "lead": "lead",
    "unigram": "unigram",
}
"""Methods that move nothing of the language model -> how they pose the task."""
POSED: dict[str, Formulation] = {
    "pattern": "pattern", "head": "head", "generate": "generation",
    "dpo": "generation", "orpo": "generation", "kto": "generation", "simpo": "generation",
    "encoder": "encoder-head", "setfit": "setfit",
}  # fmt: skip
"""First part of a method's name -> how the task is posed; the second part is its adaptation: full, if there is none."""


def _choices(method: MethodName) -> tuple[Formulation, Adaptation]:
    if method in NOT_TUNED:
        return NOT_TUNED[method], "none"
    posed, _, adaptation = method.partition("+")
    return POSED[posed], cast(Adaptation, adaptation or "full")


METHODS: dict[MethodName, tuple[Formulation, Adaptation]] = {name: _choices(name) for name in get_args(MethodName)}
"""Method name -> its two independent choices; where a text is to be written, zero-shot is a generation, too."""
PREFERENCES: dict[MethodName, Preference] = {
    name: cast(Preference, name.partition("+")[0]) for name in METHODS if name.partition("+")[0] in get_args(Preference)
}
"""Method that learns from preferences -> how."""
WRITING: tuple[MethodName, ...] = tuple(
    name for name in METHODS if METHODS[name][0] in ("lead", "generation") and name not in PREFERENCES
)
"""Methods that write a text and give no label; zero-shot and in-context do either."""
EITHER: tuple[MethodName, ...] = ("zero-shot", "in-context")


FOR_SETS: tuple[Formulation, ...] = ("majority", "tfidf", "encoder", "head")
FOR_TAGS: tuple[Formulation, ...] = ("unigram", "head")
"""How a task with several labels is posed: a set of them for a text, a tag for each word."""


def suits(method: MethodName, task: TaskType) -> bool:
    """Whether the method can give the task's answer."""
    if task in MARKED:
        return METHODS[method][0] in (FOR_SETS if MARKED[task] == "set" else FOR_TAGS)
    if METHODS[method][0] == "unigram":
        return False
    if task == "preference":
        return method in PREFERENCES or method == "zero-shot" or (method in WRITING and method != "lead")
    if method in PREFERENCES:
        return False
    if METHODS[method][0] == "setfit":
        return task == "classification"
    if task not in WRITTEN:
        return method not in WRITING
    if method == "lead":
        return task != "question-answering"
    return method in WRITING or method in EITHER


Rank = Annotated[int, Field(ge=1, le=1024, strict=True)]
Alpha = Annotated[float, Field(gt=0, le=4096, strict=True)]
Rate = Annotated[float, Field(gt=0, le=1, strict=True)]
Steps = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
Epochs = Annotated[float, Field(gt=0, le=10_000, strict=True)]
Batch = Annotated[int, Field(ge=1, le=4096, strict=True)]
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]
Penalty = Annotated[float, Field(gt=0, le=1e9, strict=True)]
Shots = Annotated[int, Field(ge=1, le=256, strict=True)]
PairIterations = Annotated[int, Field(ge=1, le=1000, strict=True)]
NewTokens = Annotated[int, Field(ge=1, le=4096, strict=True)]
Width = Annotated[int, Field(ge=1, le=8192, strict=True)]
VirtualTokens = Annotated[int, Field(ge=1, le=1024, strict=True)]
Blocks = Annotated[int, Field(ge=1, le=1000, strict=True)]
Temperature = Annotated[float, Field(gt=0, le=100, strict=True)]
Objective = Literal["supervised", "context-distillation", "few-shot-distillation"]
"""What a trained arm learns from: its labels, or a teacher's answers, which is the base that sees a context."""
Placement = Literal["houlsby", "pfeiffer"]
PatternUse = Literal["each", "search", "ensemble"]
"""each: an arm of each pattern. search: the one under which the base finds the training labels likeliest. ensemble: all
of them, by the mean of their log-probabilities."""
DemonstrationsBy = Literal["balanced", "nearest"]
"""balanced: the same for every text, as many of each label. nearest: for each text the labelled texts most like it."""
Calibration = Literal["none", "contextual"]
"""contextual: probabilities are divided by those that inputs without content get."""
Target = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*$", max_length=80)]


def _several(value: Any) -> Any:
    """A single value is a list of one."""
    return value if isinstance(value, (list, tuple)) or value is None else (value,)


LISTED = (
    "rank", "width", "virtual_tokens", "top_layers", "learning_rate", "steps", "epochs", "batch_size",
    "demonstrations", "temperature", "penalty", "pair_iterations", "demonstrations_by", "calibration", "pattern_use",
)  # fmt: skip
"""Pins of which a list makes an arm of each value."""


class Pins(Frozen):
    """Values for the arms that they apply to. A list makes an arm of each value."""

    rank: Annotated[tuple[Rank, ...], Field(min_length=1, max_length=50)] | None = None
    """Rank r of the LoRA matrices."""
    alpha: Alpha | None = None
    """LoRA's alpha; the update is scaled by alpha / r, or by alpha / sqrt(r) with rslora."""
    rslora: StrictBool | None = None
    """Whether the update is rank-stabilised (rsLoRA): scaled by alpha / sqrt(r) instead of alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1, strict=True)] | None = None
    """Share of the inputs of LoRA's A that drop out in training."""
    lr_ratio: Annotated[float, Field(ge=1, le=1000, strict=True)] | None = None
    """LoRA+: learning rate of LoRA's B over that of A."""
    width: Annotated[tuple[Width, ...], Field(min_length=1, max_length=50)] | None = None
    """Width of a bottleneck adapter."""
    placement: Placement | None = None
    """Where bottleneck adapters stand: behind attention and MLP (houlsby) or behind the MLP only (pfeiffer)."""
    virtual_tokens: Annotated[tuple[VirtualTokens, ...], Field(min_length=1, max_length=50)] | None = None
    """Length of the prefix or soft prompt."""
    top_layers: Annotated[tuple[Blocks, ...], Field(min_length=1, max_length=50)] | None = None
    """How many of the last blocks move in an arm of the top layers."""
    layer_decay: Annotated[float, Field(gt=0, le=1, strict=True)] | None = None
    """Factor of the learning rate from each block to the one below, where the base's own weights move."""
    targets: Literal["all-linear"] | Annotated[tuple[Target, ...], Field(min_length=1)] | None = None
    """Which linear layers get LoRA matrices: "all-linear" or module names such as "q_proj"."""
    objective: Objective | None = None
    """supervised: the labels. context-distillation: what the base answers to texts without labels when it sees
    demonstrations (or `context`), which the trained model does not see. few-shot-distillation: the same on the labelled
    texts, whose own label the teacher does not see, beside the labels."""
    temperature: Annotated[tuple[Temperature, ...], Field(min_length=1, max_length=20)] | None = None
    """Temperature of the teacher's and the student's answers in distillation."""
    label_weight: Fraction | None = None
    """Weight of the labels beside the teacher in distillation."""
    context: Annotated[str, StringConstraints(min_length=3, max_length=4000)] | None = None
    """What the teacher sees before every text, instead of demonstrations."""
    pretraining_steps: Steps | None = None
    """Steps of continued pre-training on data.unlabelled before the labels are learnt from."""
    replay: Annotated[float, Field(ge=0, lt=1, strict=True)] | None = None
    """Share of texts of data.replay in continued pre-training."""
    beta: Annotated[float, Field(gt=0, le=100, strict=True)] | None = None
    """How strongly DPO and KTO hold to the base, or the scale of SimPO's rewards."""
    reward_margin: Annotated[float, Field(ge=0, le=100, strict=True)] | None = None
    """By how much SimPO wants the preferred text ahead (gamma)."""
    odds_weight: Annotated[float, Field(ge=0, le=100, strict=True)] | None = None
    """Weight of ORPO's odds ratio beside the likelihood of the preferred text (lambda)."""
    learning_rate: Annotated[tuple[Rate, ...], Field(min_length=1, max_length=50)] | None = None
    """Peak learning rate."""
    steps: Annotated[tuple[Steps, ...], Field(min_length=1, max_length=50)] | None = None
    """Optimizer steps."""
    epochs: Annotated[tuple[Epochs, ...], Field(min_length=1, max_length=50)] | None = None
    """Passes over the training part; turned into steps. Not together with steps."""
    batch_size: Annotated[tuple[Batch, ...], Field(min_length=1, max_length=50)] | None = None
    """Examples for one optimizer step (micro-batches follow from the memory)."""
    schedule: Schedule | None = None
    """Learning-rate schedule after the warm-up."""
    warmup_ratio: Fraction | None = None
    """Share of the steps over which the learning rate rises."""
    weight_decay: Annotated[float, Field(ge=0, le=10, strict=True)] | None = None
    """AdamW's decoupled weight decay."""
    max_grad_norm: Annotated[float, Field(gt=0, le=1000, strict=True)] | None = None
    """Norm to which gradients are clipped."""
    early_stopping: StrictBool | None = None
    """Whether training stops when validation no longer improves."""
    demonstrations: Annotated[tuple[Shots, ...], Field(min_length=1, max_length=20)] | None = None
    """Examples in the prompt of an in-context arm, or of a teacher."""
    demonstrations_by: Annotated[tuple[DemonstrationsBy, ...], Field(min_length=1, max_length=2)] | None = None
    """Which examples stand in the prompt of an in-context arm. balanced: the same ones for every text, as many of each
    label. nearest: for each text the labelled ones that are most like it by the sentence encoder, the nearest last."""
    calibration: Annotated[tuple[Calibration, ...], Field(min_length=1, max_length=2)] | None = None
    """contextual: the label probabilities of zero-shot and in-context arms, and of teachers, are divided by those that
    "N/A", "[MASK]" and an empty text get in the same prompt. none: as the model gives them."""
    pattern_use: Annotated[tuple[PatternUse, ...], Field(min_length=1, max_length=3)] | None = None
    """What becomes of several patterns. each: an arm of each. search: each training tries all of them (and all words of
    the verbalizer) on its own training labels, without training, and takes the best. ensemble: one arm is trained on
    all and predicts by the mean of their log-probabilities. Without task.patterns: those by name."""
    penalty: Annotated[tuple[Penalty, ...], Field(min_length=1, max_length=20)] | None = None
    """L2 penalty of a probe's or setfit's logistic regression on standardised features."""
    pair_iterations: Annotated[tuple[PairIterations, ...], Field(min_length=1, max_length=20)] | None = None
    """Pairs of each kind (the same label; another one) that setfit draws for each labelled text."""
    max_new_tokens: NewTokens | None = None
    """Tokens after which a written text ends in any case."""

    @field_validator(*LISTED, mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return _several(value)

    @field_validator(*LISTED)
    @classmethod
    def _distinct(cls, value: tuple[Any, ...] | None, info: ValidationInfo) -> tuple[Any, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise PydanticCustomError("conflict", "a {what} is given twice", {"what": str(info.field_name)})
        return value

    @field_validator("targets", mode="before")
    @classmethod
    def _one_target(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) and value != "all-linear" else value

    @model_validator(mode="after")
    def _one_length(self) -> "Pins":
        if self.steps is not None and self.epochs is not None:
            raise PydanticCustomError("conflict", "expected steps or epochs, not both", {})
        return self


class ArmPin(Pins):
    """An arm that the user wrote; what it leaves out is decided by rules."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f/]+$")] | None = None
    """The arm's name in every table. Omitted: made from its method and settings."""
    method: MethodName
    """Formulation and adaptation."""


class Methods(Frozen):
    """Which methods are compared."""

    include: tuple[MethodName, ...] = ()
    """Methods that must be among the arms."""
    exclude: tuple[MethodName, ...] = ()
    """Methods that must not be among the arms."""
    pin: Pins = Pins()
    """Values for every arm they apply to; `arms` may set their own."""
    arms: tuple[ArmPin, ...] = Field(default=(), max_length=200)
    """The trained and in-context arms, written out. Given: the rules add only baselines and what `include` names."""

    @model_validator(mode="after")
    def _no_contradiction(self) -> "Methods":
        both = sorted(set(self.include) & set(self.exclude))
        if both:
            raise PydanticCustomError("conflict", "{name} is both included and excluded", {"name": repr(both[0])})
        written = sorted({arm.method for arm in self.arms} & set(self.exclude))
        if written:
            raise PydanticCustomError("conflict", "an arm uses {name}, which is excluded", {"name": repr(written[0])})
        names = [arm.name for arm in self.arms if arm.name is not None]
        if len(names) != len(set(names)):
            raise PydanticCustomError("conflict", "two arms have the same name", {})
        return self
