"""The plan: resolved, frozen, explained, hashed.

A plan holds arms (method configurations), trials (an arm with a data size and seeds), stages (the graph of what is to
be done, each named by a fingerprint) and gates (conditions on measured values, as data). It is a pure function of
spec, identity facts and rule set; estimates stand beside it, outside its hash.
"""

from functools import cached_property
from typing import Any, Literal

from fewtune.compiler.arm import Arm, Precision, Verbalizer
from fewtune.compiler.decision import Decision
from fewtune.compiler.fingerprint import fingerprint
from fewtune.compiler.price import Estimate
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.evaluation import Metric
from fewtune.specs.experiment import DESCRIPTIVE, Experiment
from fewtune.specs.frozen import Frozen
from fewtune.specs.methods import MethodName

PLAN_VERSION = 1
VALIDATION = "validation"
"""Name of the split that stops training and chooses the arm."""
CV = "cv"
"""Name of the split that cross-validation scores: every row once."""
REFIT = "refit"
"""Name of the sample that the chosen arm is trained on at last: all labels."""

StageKind = Literal["sample", "augment", "train", "evaluate", "halve", "select", "refit"]
Scheme = Literal["fixed-schedule", "held-out", "validation-split"]


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
