"""Evidence of this user's own runs that was adopted: it stands in the lock, and plans weigh it from then on."""

from functools import cached_property

from pydantic import Field

from fewtune.compiler.fingerprint import fingerprint
from fewtune.specs.evaluation import Metric
from fewtune.specs.frozen import Frozen
from fewtune.specs.methods import MethodName
from fewtune.specs.task import TaskType


class Behind(Frozen):
    """An arm that another was ahead of, beyond chance."""

    arm: str
    method: MethodName
    difference: float
    low: float
    high: float
    """Interval of the difference, at the experiment's level."""


class Win(Frozen):
    """The arm that was ahead in one experiment, and of whom."""

    experiment: str
    task: TaskType
    model: str
    """Hash of the base's weights."""
    metric: Metric
    n: int
    """Labels."""
    arm: str
    method: MethodName
    mean: float
    seeds: int
    items: int
    behind: tuple[Behind, ...]
    """Of what it was ahead; never empty."""
    undecided: tuple[str, ...] = ()
    """Arms that could not be told from it."""


class Pace(Frozen):
    """How long trainings took on a device class, against the estimate by its table."""

    device: str
    ratio: float = Field(gt=0)
    """Seconds taken for each second that was estimated."""
    runs: int
    methods: tuple[MethodName, ...] = ()
    """What those runs had; of others the ratio is a guess."""


class Adopted(Frozen):
    """All that was adopted for the specs of one folder."""

    wins: tuple[Win, ...] = ()
    paces: tuple[Pace, ...] = ()

    @cached_property
    def id(self) -> str:
        """Name of what plans rest on; empty where that is nothing. Paces move estimates, and so what limits cut."""
        return fingerprint("adopted", self.model_dump(mode="json")) if self.wins or self.paces else ""

    def joined(self, newer: "Adopted") -> "Adopted":
        """With what was learnt since: an experiment's and a device's newer word replaces the older one."""
        names, devices = {win.experiment for win in newer.wins}, {pace.device for pace in newer.paces}
        return Adopted(
            wins=(*(win for win in self.wins if win.experiment not in names), *newer.wins),
            paces=(*(pace for pace in self.paces if pace.device not in devices), *newer.paces),
        )

    def pace(self, device: str) -> Pace | None:
        """The pace of a device class, where one is known."""
        return next((pace for pace in self.paces if pace.device == device), None)
