"""An arm: one method configuration with all its settled values, and its recipe for each data size."""

from math import sqrt
from typing import Literal

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
