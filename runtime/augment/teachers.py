"""Which teacher is meant: an endpoint, a model on this machine, or a recording of either."""

from collections.abc import Callable
from pathlib import Path

from fewtune.runtime.augment.endpoint import Endpoint
from fewtune.runtime.augment.local import LocalModel
from fewtune.runtime.augment.recording import Recorded, Recording, Replay
from fewtune.runtime.augment.teacher import FREE, Prices, Teacher
from fewtune.runtime.folders import embedded_folder
from fewtune.specs.frozen import Frozen
from fewtune.specs.model import EMBEDDED


class TeacherRef(Frozen):
    """Where a teacher is found."""

    model: str
    """The embedded model's name, a local folder, or the name that an endpoint knows."""
    base_url: str | None = None
    """Of an endpoint; None: the model lies on this machine, or at the vendor's own address."""
    key_variable: str | None = None
    """Name of the environment variable that holds the endpoint's key."""
    concurrency: int = 4
    per_minute: float = 0.0
    prices: Prices = FREE
    replay: bool = False
    """Whether only the recording answers."""

    @property
    def is_local(self) -> bool:
        """Whether it is a model on this machine: the embedded one, or a folder."""
        return self.base_url is None and (self.model == EMBEDDED or Path(self.model).is_dir())


def opened(
    ref: TeacherRef, recording: Recording, *, device: str = "cpu", say: Callable[[str], None] = lambda text: None
) -> Teacher:
    """The teacher, behind its recording.

    Raises:
        RunError: E-teacher, E-training-missing.
    """
    if ref.replay:
        return Replay(recording, ref.model, structured=not ref.is_local)
    if ref.is_local:
        folder = embedded_folder() if ref.model == EMBEDDED else Path(ref.model)
        return Recorded(LocalModel(folder, ref.model, device=device), recording)
    endpoint = Endpoint(
        ref.model, ref.base_url, ref.key_variable, concurrency=ref.concurrency, per_minute=ref.per_minute,
        prices=ref.prices, say=say,
    )  # fmt: skip
    return Recorded(endpoint, recording)
