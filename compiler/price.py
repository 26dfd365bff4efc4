"""What a plan will take and what it can tell: predictions beside it, each a range with its basis."""

from typing import Literal

from fewtune.specs.frozen import Frozen


class Range(Frozen):
    """An estimate: half of all runs are expected below `mid`, nearly all between `low` and `high`."""

    low: float
    mid: float
    high: float
    basis: Literal["heuristic", "scaled", "calibrated", "measured"] = "heuristic"
    """scaled: by the pace of other methods on the same device."""


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


class Together(Frozen):
    """More of both."""

    seeds: int
    items: int


class Need(Frozen):
    """What would tell two arms apart whose difference is so small."""

    difference: float
    seeds: int | None
    """Data seeds with the plan's test items; None: no number up to 50."""
    items: int | None
    """Test items with the plan's data seeds; None: no number up to 100,000."""
    together: Together | None = None
    """Where neither alone would do: both, grown by about the same factor; None: not even the most of both."""


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
