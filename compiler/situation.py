"""What a decision may look at: the spec, the facts, and what earlier decisions settled.

Decisions come in three scopes (experiment, arm, recipe); each scope's situation adds fields to the one before, so a
rule's signature says what it can depend on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from fewtune.compiler.arm import Precision, Verbalizer
from fewtune.compiler.decision import Alternative, Decision
from fewtune.compiler.encoder import network
from fewtune.compiler.evidence import EVIDENCE, GIVEN
from fewtune.compiler.facts import Facts
from fewtune.compiler.plan import Choosing, Level
from fewtune.compiler.wording import named_patterns
from fewtune.specs.evaluation import Metric
from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import (
    ENCODED,
    METHODS,
    PREFERENCES,
    Adaptation,
    Calibration,
    DemonstrationsBy,
    Formulation,
    MethodName,
    Objective,
    PatternUse,
    Pins,
    Placement,
    Preference,
)
from fewtune.specs.task import Marks


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What a rule decides, before it is put at its place in the plan."""

    value: Any
    because: str
    rule: str
    """The row that settled it, or what else did: "pin", "fact", "budget", "design"."""
    fired: tuple[str, ...] = ()
    """All other rows about the same that apply here."""
    alternatives: tuple[Alternative, ...] = ()
    flips_when: str | None = None
    kept_out: Mapping[str, str] = field(default_factory=dict)
    """Rows about the same that do not apply here -> the test that fails."""

    def decision(self, pointer: str, decided_by: str) -> Decision:
        """The choice as a record of the plan."""
        row = EVIDENCE.get(self.rule)
        return Decision(
            field=pointer,
            value=self.value,
            rule=self.rule,
            decided_by=decided_by,
            because=self.because,
            strength=row.strength if row else "local" if self.rule == "local" else "given",
            source=row.source if row else GIVEN[self.rule],
            evidence=(self.rule, *self.fired),
            alternatives=tuple(other for other in self.alternatives if other.value != self.value),
            flips_when=self.flips_when,
            kept_out=dict(self.kept_out),
            pinned=self.rule == "pin",
        )


def cited(choice: Choice) -> tuple[str, ...]:
    """Every row behind a choice, for one that takes its place."""
    return ((choice.rule,) if choice.rule in EVIDENCE else ()) + choice.fired


def otherwise(value: Any, why_not: str, *evidence: str) -> Alternative:
    """What else could have been chosen, and why it was not."""
    return Alternative(value=value, why_not=why_not, evidence=evidence)


@dataclass(frozen=True, kw_only=True)
class Situation:
    """The experiment's scope."""

    experiment: Experiment
    facts: Facts
    pool: tuple[int, ...]
    """Rows of the train split that may be sampled: no duplicates, nothing of an evaluation split."""
    lengths: tuple[int, ...] = ()
    """Tokens of these rows' texts, in rising order."""
    metric: Metric = "accuracy"
    precision: Precision = "fp32"
    verbalizer: Verbalizer | None = None
    patterns: tuple[str, ...] = ()
    folds: int | None = None
    levels: tuple[Level, ...] = ()
    choosing: Choosing | None = None
    preferred: MethodName | None = None
    data_seeds: int = 1
    model_seeds: int = 1

    @classmethod
    def first(cls, experiment: Experiment, facts: Facts, pool: tuple[int, ...]) -> "Situation":
        """What is known before anything is settled."""
        lengths = tuple(sorted(facts.data.train.tokens[row] for row in pool))
        return cls(experiment=experiment, facts=facts, pool=pool, lengths=lengths)

    def through(self, formulation: Formulation) -> Self:
        """The same as an arm sees it: where an encoder is tuned, it stands in the language model's place, in fp32."""
        if formulation not in ENCODED:
            return self
        facts = self.facts.model_copy(update={"model": network(self.facts, formulation)})
        return replace(self, facts=facts, precision="fp32")

    @property
    def writes(self) -> bool:
        """Whether the answer is a text instead of a label."""
        return self.experiment.task.writes

    @property
    def marks(self) -> Marks | None:
        """What several labels of a text are; None: it has one, or none."""
        return self.experiment.task.marks

    @property
    def answers(self) -> str:
        """What n counts, in words."""
        if self.marks is not None:
            return "labelled texts"
        if self.preferences is not None:
            return self.preferences
        return "targets" if self.writes else "labels"

    @property
    def preferences(self) -> str | None:
        """What the rows say of preferences: "pairs" of texts, or "signals" of single ones; None: nothing."""
        if not self.experiment.task.prefers:
            return None
        return "pairs" if "rejected" in self.facts.data.columns else "signals"

    @property
    def target_lengths(self) -> tuple[int, ...]:
        """Tokens of the pool's targets, in rising order; none where labels are given."""
        known = self.facts.data.train.target_tokens
        return tuple(sorted(known[row] for row in self.pool)) if known else ()

    @property
    def usual_target(self) -> int:
        """Tokens of the target in the middle; 0 where labels are given."""
        lengths = self.target_lengths
        return lengths[len(lengths) // 2] if lengths else 0

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels in their order."""
        return self.facts.data.labels

    @property
    def named_patterns(self) -> dict[str, str]:
        """The patterns that a spec may name."""
        data, chat = self.facts.data, self.facts.model.chat
        return named_patterns(self.experiment, data.labels, data.fields, chat=chat)

    @property
    def largest_n(self) -> int:
        """Labels of the last point of the learning curve."""
        return self.levels[-1].n if self.levels else len(self.pool)

    @property
    def usual_length(self) -> int:
        """Tokens of the text in the middle."""
        return self.lengths[len(self.lengths) // 2]

    @property
    def validated(self) -> bool:
        """Whether the largest data size has validation rows."""
        return bool(self.levels) and self.levels[-1].validation > 0


@dataclass(frozen=True, kw_only=True)
class ArmIdea:
    """A method that is to be an arm, with the pins that hold for it."""

    method: MethodName
    pins: Pins
    role: str
    origin: str
    """rules, include or arms: who asked for it."""
    name: str | None = None
    pattern: str | None = None
    patterns: tuple[str, ...] = ()
    """All patterns of an arm that searches or pools them."""
    place: str = "/methods"
    """Where the spec asks for the arm."""
    own_pins: frozenset[str] = frozenset()
    """Pins that the arm writes itself."""
    variant: tuple[tuple[str, Any], ...] = ()
    """The pinned values by which this arm differs from its siblings."""
    choice: Choice

    writes: bool = False
    """Whether the answer is a text."""
    marks: Marks | None = None
    """What the answer is where it is several labels."""

    @property
    def formulation(self) -> Formulation:
        """How the task is posed."""
        named = METHODS[self.method][0]
        return "generation" if self.writes and named == "pattern" else named

    @property
    def generates(self) -> bool:
        """Whether the language model writes the answer."""
        return self.writes and self.formulation != "lead"

    @property
    def adaptation(self) -> Adaptation:
        """Which parameters move."""
        return METHODS[self.method][1]

    @property
    def encoded(self) -> bool:
        """Whether they are an encoder's."""
        return self.formulation in ENCODED

    @property
    def contrastive(self) -> bool:
        """Whether it learns from pairs of texts, by whether their labels are the same."""
        return self.formulation == "setfit"

    @property
    def preference(self) -> Preference | None:
        """How it learns from preferences; None: it does not."""
        return PREFERENCES.get(self.method)

    def pointer(self, pin: str) -> str:
        """Where the spec writes a pin of this arm."""
        return f"{self.place}/{pin}" if pin in self.own_pins else f"/methods/pin/{pin}"

    def takes(self, pin: str, table: str) -> bool:
        """Whether this arm's value of a pin comes from this table: its own, or the one for all arms."""
        return getattr(self.pins, pin) is not None and self.pointer(pin) == f"{table}/{pin}"


@dataclass(frozen=True, kw_only=True)
class ArmSituation(Situation):
    """The scope of one arm."""

    arm: ArmIdea
    max_tokens: int = 0
    max_new_tokens: int = 0
    stop_at_newline: bool = False
    rank: int = 0
    rslora: bool = False
    alpha: float = 0.0
    targets: tuple[str, ...] = ()
    lr_ratio: float = 1.0
    objective: Objective | Literal["preference", "contrastive"] = "supervised"
    width: int = 0
    placement: Placement = "houlsby"
    virtual_tokens: int = 0
    top_layers: int = 0
    layer_decay: float = 1.0
    beta: float = 0.0
    pattern_use: PatternUse = "each"
    demonstrations_by: DemonstrationsBy = "balanced"
    calibration: Calibration = "none"

    @property
    def taught(self) -> bool:
        """Whether it learns what a teacher says."""
        return self.objective.endswith("-distillation")

    @property
    def fixed_tokens(self) -> int:
        """Tokens of the pattern's own text, of several the longest's."""
        known = self.facts.model.pattern_tokens
        return max(known.get(text, 0) for text in self.arm.patterns or (self.arm.pattern or "",))

    @property
    def trained(self) -> bool:
        """Whether parameters of the language model, or of an encoder, move."""
        return self.arm.adaptation != "none"

    @property
    def depth(self) -> float:
        """Share of the blocks that a backward pass goes through."""
        return min(1.0, self.top_layers / self.facts.model.layers) if self.top_layers else 1.0


@dataclass(frozen=True, kw_only=True)
class RecipeSituation(ArmSituation):
    """The scope of one arm at one data size."""

    level: Level
    settled: Mapping[str, Any] = field(default_factory=dict)
    """Recipe fields that earlier rules decided."""

    @property
    def examples(self) -> int:
        """What one pass goes over: the labelled texts, or the pairs that are drawn of them."""
        pairs = 2 * int(self.settled["pair_iterations"]) if self.arm.contrastive else 1
        return pairs * self.level.train
