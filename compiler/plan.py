"""The plan: resolved, frozen, explained, hashed.

A plan holds arms (method configurations), trials (an arm with a data size and seeds), stages (the graph of what is to
be done, each named by a fingerprint) and gates (conditions on measured values, as data). It is a pure function of
spec, identity facts and rule set; estimates stand beside it, outside its hash.
"""

from functools import cached_property
from math import sqrt
from typing import Any, Literal

from fewtune.compiler.decision import Decision
from fewtune.compiler.fingerprint import fingerprint
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.evaluation import Metric
from fewtune.specs.experiment import DESCRIPTIVE, Experiment
from fewtune.specs.frozen import Frozen
from fewtune.specs.methods import (
    ENCODED,
    Adaptation,
    Calibration,
    DemonstrationsBy,
    Formulation,
    MethodName,
    Objective,
    PatternUse,
    Placement,
    Preference,
    Schedule,
)
from fewtune.specs.task import Marks

PLAN_VERSION = 1
PLAIN = ("majority", "tfidf", "encoder", "lead", "unigram", *ENCODED)
"""Formulations that do without the language model."""
PROBES = ("encoder", "probe")
"""Formulations that fit a logistic regression on the frozen features of a network."""
REGRESSED = (*PROBES, "setfit")
"""Formulations that end in a logistic regression on a network's features, frozen or not."""
HEADED = ("head", "encoder-head")
"""Formulations with a new classification head."""
PROMPTED = ("in-context", "pattern", "generation")
"""Formulations that ask the language model."""

StageKind = Literal["sample", "augment", "train", "evaluate", "halve", "select", "refit"]
Scheme = Literal["fixed-schedule", "held-out", "validation-split"]
Precision = Literal["bf16", "fp32"]


class Lora(Frozen):
    """Geometry of the low-rank update W + scale B A."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    """Names of the linear modules that get an update."""
    rslora: bool = False
    """Rank-stabilised (arXiv 2312.03732)."""
    dropout: float = 0.0
    """Share of the inputs of A that drop out in training."""
    lr_ratio: float = 1.0
    """Learning rate of B over that of A (LoRA+)."""

    @property
    def scale(self) -> float:
        """Factor of the update: alpha / sqrt(rank) where it is rank-stabilised, else alpha / rank."""
        return self.alpha / (sqrt(self.rank) if self.rslora else self.rank)


class AdapterShape(Frozen):
    """Geometry of bottleneck adapters."""

    width: int
    placement: Placement


class Distillation(Frozen):
    """How a student learns from a teacher: the base that sees a context."""

    temperature: float
    label_weight: float
    """Weight of the label's loss; the rest is the teacher's."""
    context: str | None = None
    """What the teacher sees; None: demonstrations, as many as the recipe says."""
    calibration: Calibration = "none"
    """What is done to the teacher's probabilities."""


class PreferenceLoss(Frozen):
    """How an arm learns from preferences."""

    kind: Preference
    beta: float = 0.0
    """DPO, KTO: how strongly it holds to the base. SimPO: scale of the rewards."""
    reward_margin: float = 0.0
    """SimPO: by how much the preferred text is to be ahead."""
    odds_weight: float = 0.0
    """ORPO: weight of the odds ratio beside the likelihood."""


class Generation(Frozen):
    """How long a text is written, token by token the likeliest one."""

    max_new_tokens: int
    """Tokens after which a text ends in any case."""
    end_tokens: tuple[int, ...]
    """Tokens that end a text; the first of them follows each target in training."""
    stop_at_newline: bool
    """Whether a line break after the first words ends a text, too."""


class Verbalizer(Frozen):
    """The word that stands for each label, and the token it is recognised by."""

    words: dict[str, str]
    tokens: dict[str, int]

    def __hash__(self) -> int:
        return hash((frozenset(self.words.items()), frozenset(self.tokens.items())))


class Regularisation(Frozen):
    """What is added beside the labelled examples. Zero is the only value that can be trained with yet."""

    embedding_noise: float = 0.0
    """Strength of uniform noise on embeddings (NEFTune)."""
    prompt_loss: float = 0.0
    """Weight of the prompt's tokens in the loss."""
    divergence: float = 0.0
    """Weight of the divergence from the base's predictions."""
    replay: float = 0.0
    """Share of general data among the examples."""


class AugmentedLevel(Frozen):
    """How much is made at one data size."""

    n: int
    target: int = 0
    """Examples that a teacher is asked for."""
    copies: int = 0
    """Changed copies of each example."""
    alpha: float = 0.0
    """Share of the words that are changed in a copy."""
    max_tokens: int | None = None
    """Tokens of the teacher for one sample: its share of the run's ceiling. None: there is no ceiling."""
    max_cost: float | None = None
    """The same in money."""


class Augmented(Frozen):
    """Synthetic examples beside the sample's own; what else shapes them stands in the spec."""

    source: Literal["teacher", "eda"]
    twin: str
    """The arm without them."""
    levels: tuple[AugmentedLevel, ...]
    """One for each data size."""

    def level(self, n: int) -> AugmentedLevel:
        """What is made at data size `n`."""
        return next(level for level in self.levels if level.n == n)


class Recipe(Frozen):
    """How an arm is trained (or prompted) at one data size."""

    n: int
    steps: int = 0
    """Optimizer steps; 0: nothing is trained."""
    batch_size: int = 0
    """Examples for one optimizer step."""
    micro_batch: int = 0
    """Examples in one forward pass; changes memory and speed, not the result beyond rounding."""
    learning_rate: float = 0.0
    schedule: Schedule = "linear"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    evaluate_every: int | None = None
    """Steps between two validations; None: no validation during training."""
    patience: int | None = None
    """Validations without a better value after which training stops; None: it never stops early."""
    demonstrations: int = 0
    """Labelled examples in the prompt, or in a teacher's."""
    transfer: int = 0
    """Texts without labels that a teacher answers."""
    pretraining_steps: int = 0
    """Steps of continued pre-training, all from one seed: what trials start from is the same for all."""
    replay: float = 0.0
    """Share of general texts in it."""
    penalty: float = 0.0
    """L2 penalty of a logistic regression on standardised features (scikit-learn's 1 / C)."""
    pair_iterations: int = 0
    """Pairs of each kind that are drawn for each labelled text; 0: nothing learns from pairs of texts."""


class Arm(Frozen):
    """One method configuration, as a reader would name it."""

    name: str
    method: MethodName
    formulation: Formulation
    adaptation: Adaptation
    role: Literal["baseline", "candidate"]
    """Candidates may be chosen; baselines are the measure."""
    pattern: str | None = None
    """The prompt text with its fields; for a head only the fields. The first of several."""
    pattern_use: PatternUse = "each"
    patterns: tuple[str, ...] = ()
    """search, ensemble: all patterns."""
    verbalizers: tuple[Verbalizer, ...] = ()
    """search: the label words among which it chooses, too."""
    demonstrations_by: DemonstrationsBy = "balanced"
    """in-context: which examples stand in the prompt."""
    calibration: Calibration = "none"
    """What is done to label probabilities."""
    lora: Lora | None = None
    adapter: AdapterShape | None = None
    virtual_tokens: int = 0
    """Trained tokens that stand before every row, as keys and values or as embeddings."""
    top_layers: int = 0
    """Last blocks that move; 0: the arm does not go by blocks."""
    layer_decay: float = 1.0
    """Factor of the learning rate from each block to the one below."""
    generation: Generation | None = None
    """How the arm writes a text; None: it predicts labels, or copies."""
    marks: Marks | None = None
    """What it answers with where a text has several labels: a set of them, or a tag for each word."""
    objective: Objective | Literal["preference", "contrastive"] = "supervised"
    """What it learns from."""
    distillation: Distillation | None = None
    """None: it has no teacher."""
    preference: PreferenceLoss | None = None
    """None: it does not learn from preferences."""
    regularisation: Regularisation = Regularisation()
    max_tokens: int = 0
    """Longest input, pattern included; longer texts are cut, the pattern never."""
    precision: Precision = "fp32"
    label_noise: float = 0.0
    """Share of its training labels that are turned into wrong ones."""
    augmentation: Augmented | None = None
    """None: people's examples alone."""
    recipes: tuple[Recipe, ...]
    """One for each data size, in the order of `Plan.levels`."""

    @property
    def conditioned(self) -> bool:
        """Whether it is another arm with other training data, to be compared with that one."""
        return self.label_noise > 0 or self.augmentation is not None

    @property
    def trained(self) -> bool:
        """Whether parameters of the language model, or of an encoder, move."""
        return self.adaptation != "none"

    @property
    def encoded(self) -> bool:
        """Whether they are an encoder's."""
        return self.formulation in ENCODED

    @property
    def headed(self) -> bool:
        """Whether it has a new classification head."""
        return self.formulation in HEADED

    def depth(self, blocks: int) -> float:
        """Share of the blocks that a backward pass goes through, of so many."""
        return min(1.0, self.top_layers / blocks) if self.top_layers else 1.0

    @property
    def compared(self) -> int:
        """Texts that one training example holds: a pair's two, KTO's own one and a stray one (both of a pair's)."""
        return 2 if self.preference is not None or self.objective == "contrastive" else 1

    @property
    def four_bit(self) -> bool:
        """Whether it works on a base whose linear layers are held in four bits."""
        return self.adaptation == "qlora"

    @property
    def masked(self) -> bool:
        """Whether inputs of its low-rank updates drop out in training."""
        return self.lora is not None and self.lora.dropout > 0

    @property
    def base(self) -> tuple[Precision, bool]:
        """The form of the base model that it works on, unless it is plain: precision, and whether in four bits."""
        return self.precision, self.four_bit

    @property
    def plain(self) -> bool:
        """Whether it does without the language model."""
        return self.formulation in PLAIN

    @property
    def reads(self) -> bool:
        """Whether a network that the plan sizes reads its texts: the language model, or an encoder that is tuned."""
        return self.encoded or not self.plain

    @property
    def encodes(self) -> bool:
        """Whether it needs the sentence encoder."""
        return self.formulation == "encoder" or self.demonstrations_by == "nearest"

    @property
    def seeded(self) -> bool:
        """Whether the arm's predictions depend on which examples were sampled."""
        return self.method not in ("zero-shot", "lead")

    def recipe(self, n: int) -> Recipe:
        """The recipe at data size `n`."""
        return next(recipe for recipe in self.recipes if recipe.n == n)


class Level(Frozen):
    """One data size of the learning curve, and how its labels are spent."""

    n: int
    """Labels a trial may see, validation included."""
    per_class: int | None = None
    train: int
    """Examples that train (in cross-validation: of one fold)."""
    validation: int
    """Examples that stop training and choose arms."""
    scheme: Scheme


class Choosing(Frozen):
    """Cross-validation within a sample: what chooses the arm where all labels train."""

    folds: int
    """Parts of the sample, each scored by a state that was fitted to the others."""
    seeds: int
    """Data seeds whose samples are cut."""
    trained: Literal["first", "all"]
    """Which trained arms take part, in the rules' order; those that train nothing all do."""


class Flip(Frozen):
    """A training row whose label is turned into a wrong one."""

    row: int
    label: int


class Sample(Frozen):
    """The labelled examples of one trial (or fold), as row indices from 0."""

    id: str
    n: int
    data_seed: int
    fold: int | None
    train: tuple[int, ...]
    """Rows of the train split, in their sampled order."""
    validation: tuple[int, ...]
    """Rows of the train split, or of the validation split under the scheme validation-split."""
    scored: tuple[int, ...] | None
    """Rows of the train split that this fold scores; None: there is a test split."""
    content: str
    """Hash of what was drawn: keys of the rows and their roles."""
    flipped: tuple[Flip, ...] = ()
    """Training rows that have another label here than in the data."""


class SampleRef(Frozen):
    """A sample as the plan's file shows it; the rows follow from the facts."""

    id: str
    n: int
    data_seed: int
    fold: int | None
    train: int
    validation: int
    content: str
    flipped: int = 0


class Trial(Frozen):
    """One arm with one data size, one data seed, one model seed."""

    id: str
    arm: str
    n: int
    """0: the arm sees no labels."""
    data_seed: int | None
    model_seed: int | None
    gate: str | None = None
    """The halving that lets it run; None: it runs in any case."""
    fingerprint: str


class Stage(Frozen):
    """One step of the plan's graph."""

    id: str
    kind: StageKind
    fingerprint: str
    needs: tuple[str, ...] = ()
    trial: str | None = None
    arm: str | None = None
    sample: str | None = None
    fold: int | None = None
    split: str | None = None
    """What an evaluate stage scores: validation, test, a named split, or cv (the fold's own rows)."""


class Gate(Frozen):
    """A condition on a measured value, evaluated while the plan is applied."""

    stage: str
    """The stage that it opens or decides."""
    kind: Literal["best-validation", "rules-order", "is-chosen", "best-share", "teacher-leads", "writer-leads"]
    because: str
    metric: str | None = None
    n: int | None = None
    arms: tuple[str, ...] = ()
    """teacher-leads: the arm that learns from it. writer-leads: the arms that get its examples.
    best-validation, rules-order, best-share: the candidates in the
    rules' order. is-chosen: the arm that must be chosen."""
    keep: int | None = None
    """best-share: how many of the arms go on."""


class FactsDigest(Frozen):
    """What the plan's file says of the facts; the hash covers all of them."""

    identity: str
    model: str
    model_hash: str
    parameters: int
    encoder: str = ""
    """The encoder to be tuned; empty: the embedded one."""
    encoder_hash: str = ""
    device: str
    devices: int
    rows: dict[str, int]
    columns: dict[str, str]
    """Pattern field (and "label", "target" or "rejected") -> column of the data."""
    labels: dict[str, int]
    """Label -> rows of the training pool; empty where a text is to be written."""
    excluded_rows: int
    """Rows of the pool that may not be sampled: they are in an evaluation split."""
    adopted: str = ""
    """Id of the evidence of earlier runs; empty: none was adopted."""

    @property
    def fields(self) -> dict[str, str]:
        """Pattern field -> column: the columns without the answer's."""
        return {field: column for field, column in self.columns.items() if field not in ("label", "target", "rejected")}


class Plan(Frozen):
    """Everything that will be done, and why."""

    plan_version: int = PLAN_VERSION
    rule_set: str
    """Version and hash of the rules and evidence."""
    experiment_name: str
    experiment: Experiment
    facts: FactsDigest
    labels: tuple[str, ...]
    metric: Metric
    verbalizer: Verbalizer | None
    levels: tuple[Level, ...]
    folds: int | None
    choosing: Choosing | None = None
    """None: validation rows or the rules' order choose the arm."""
    sampling: Literal["stratified"] = "stratified"
    """How labelled rows are drawn from the pool."""
    preferred: MethodName | None = None
    """What adopted evidence puts first among the arms that may be chosen."""
    data_seeds: int
    model_seeds: int
    precision: Precision
    patterns: tuple[str, ...]
    augmentation: dict[str, float] | None = None
    """Synthetic examples for each labelled one at the largest data size, by source; None: no arm learns from any."""
    arms: tuple[Arm, ...]
    left_out: tuple[str, ...]
    """Methods and arms that are not run; the decisions say why."""
    samples: tuple[SampleRef, ...]
    trials: tuple[Trial, ...]
    stages: tuple[Stage, ...]
    gates: tuple[Gate, ...]
    decisions: tuple[Decision, ...]
    warnings: tuple[Diagnostic, ...]

    @cached_property
    def hash(self) -> str:
        """The plan's name: identity facts, resolved values and rule set; no descriptive field."""
        content = self.model_dump(mode="json", exclude={"experiment_name"})
        for name in DESCRIPTIVE:
            content["experiment"].pop(name, None)
        # Places in the text move when a note is edited; they say nothing about the plan.
        for warning in content["warnings"]:
            warning.pop("line"), warning.pop("column")
        return fingerprint("plan", content)

    def arm(self, name: str) -> Arm:
        """The arm of this name; KeyError where there is none."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise KeyError(name)

    @cached_property
    def stage_index(self) -> dict[str, Stage]:
        """Stage id -> stage."""
        return {stage.id: stage for stage in self.stages}

    @cached_property
    def trial_index(self) -> dict[str, Trial]:
        """Trial id -> trial."""
        return {trial.id: trial for trial in self.trials}

    def is_part(self, stage: Stage) -> bool:
        """Whether a stage belongs to a part of a sample, which only chooses: its state is of no further use."""
        return self.folds is None and stage.fold is not None

    @property
    def final_n(self) -> int:
        """The largest data size: the one that the verdict is about."""
        return self.levels[-1].n


class Range(Frozen):
    """An estimate: half of all runs are expected below `mid`, nearly all between `low` and `high`."""

    low: float
    mid: float
    high: float
    basis: Literal["heuristic", "calibrated", "measured"] = "heuristic"


class ArmCost(Frozen):
    """What one arm is expected to take."""

    arm: str
    seconds: Range
    peak_memory_bytes: Range
    trainable_parameters: int
    artefact_bytes: int
    trials: int


class Packing(Frozen):
    """How the trials of some arms are trained."""

    arms: tuple[str, ...]
    trials: int
    """Trainings of these arms in the plan, folds counted."""
    slots: int
    """Trials that share a step; 1: one by one."""
    fitting: int = 1
    """Trials that could share a step as far as memory goes, 32 at most."""
    alone_seconds: float
    """Of all their trainings, one by one on one device."""
    packed_seconds: float
    """The same with `slots` at a time."""
    because: str


class Need(Frozen):
    """What would tell two arms apart whose difference is so small."""

    difference: float
    seeds: int | None
    """Data seeds with the plan's test items; None: no number up to 50."""
    items: int | None
    """Test items with the plan's data seeds; None: no number up to 100,000."""


class Detectable(Frozen):
    """The smallest difference of two trained arms that a plan can tell from chance."""

    difference: float | None
    """On the metric's scale; None: none, one data seed allows no verdict."""
    chance: float
    """Of a verdict at that difference."""
    seeds: int
    """Data seeds of each arm."""
    items: int
    """Items that are scored."""
    scatter: float
    """Assumed standard deviation of a score over data seeds."""
    needs: tuple[Need, ...]
    """What smaller differences would take."""


class Estimate(Frozen):
    """Predicted cost and power of a plan, beside it and outside its hash."""

    seconds: Range
    """On the clock, start-up included."""
    gpu_hours: Range
    peak_memory_bytes: Range
    disk_bytes: Range
    arms: tuple[ArmCost, ...]
    packing: tuple[Packing, ...] = ()
    """How trials with a frozen base are trained: some at a time, or one by one."""
    stage_seconds: dict[str, float]
    """Mid estimate for each augment, train, evaluate and refit stage."""
    teacher_tokens: Range | None = None
    """Tokens that a teacher reads and writes for synthetic examples; None: none is asked, or its recording answers."""
    detectable: Detectable | None = None
    """What the plan can tell; None in files of older plans."""


class Compiled(Frozen):
    """A plan with what belongs beside it."""

    plan: Plan
    estimate: Estimate
    samples: tuple[Sample, ...]

    def saved(self) -> dict[str, Any]:
        """The content of the file that `plan --save` writes."""
        return {
            "plan_hash": self.plan.hash,
            "plan": self.plan.model_dump(mode="json"),
            "estimate": self.estimate.model_dump(mode="json"),
        }
