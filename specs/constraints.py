"""What the hardware, the clock and the deployment allow."""

from typing import Annotated

from pydantic import Field, StrictBool

from fewtune.specs.frozen import Frozen
from fewtune.specs.units import DeviceTime, Duration, Size


class Constraints(Frozen):
    """Limits. Omitted ones do not bind; each given one leaves a decision in the plan."""

    gpu_memory: Size | None = None
    """Memory that a trial may take on one device (on a machine without a GPU: main memory)."""
    gpu_hours: DeviceTime | None = None
    """Device time of the whole run, all devices together."""
    wall_time: Duration | None = None
    """Time of the whole run on the clock, from apply to verdict."""
    trials: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] | None = None
    """The largest number of trials."""
    disk: Size | None = None
    """What the run may leave on the disk."""
    latency: Duration | None = None
    """The longest time for one item when the model is used, at batch size one on this device."""
    deployments: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = None
    """How many tasks are to be served from one base model; above one, adapters stay unmerged."""
    forgetting: Annotated[float, Field(ge=0, le=1, strict=True)] | None = None
    """The loss of general ability that may be accepted, as a fraction; a small one favours low-rank adaptation."""
    ood: StrictBool | None = None
    """Whether out-of-domain evaluation is required; then a named out-of-domain split must be given."""
