"""Which teacher is meant: an endpoint, a model on this machine, or a recording of either."""

import gc
from collections.abc import Callable
from pathlib import Path

from fewtune.runtime.augment.endpoint import Endpoint
from fewtune.runtime.augment.local import LocalModel
from fewtune.runtime.augment.recording import Recorded, Recording, Replay
from fewtune.runtime.augment.teacher import FREE, Prices, Teacher
from fewtune.runtime.folders import embedded_folder
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.specs.frozen import Frozen
from fewtune.specs.model import EMBEDDED


class TeacherRef(Frozen):
    """Where a teacher is found."""

    model: str
    """The embedded model's name, a local folder, or the name that an endpoint knows."""
    base_url: str | None = None
    """Of an endpoint; None: the model lies on this machine, or, where a key is named, at the vendor's own address."""
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


class Loaded:
    """The model of this machine that was loaded last, kept for who asks for it next."""

    def __init__(self) -> None:
        self._key: tuple[Path, str, str] | None = None
        self._model: LocalModel | None = None

    def __bool__(self) -> bool:
        """Whether there is one in memory."""
        return self._model is not None

    def model(self, folder: Path, name: str, device: str) -> LocalModel:
        """The model; another one that was there goes first."""
        key = (folder, name, device)
        if self._model is None or self._key != key:
            self.release()
            self._key, self._model = key, LocalModel(folder, name, device=device)
        return self._model

    def release(self) -> None:
        """Free its memory."""
        if self._model is not None:
            self._key = self._model = None
            gc.collect()


def opened(
    ref: TeacherRef, recording: Recording, *, device: str = "cpu", say: Callable[[str], None] = lambda text: None,
    loaded: Loaded | None = None,
) -> Teacher:  # fmt: skip
    """The teacher, behind its recording.

    Args:
        ref: where it is found.
        recording: of its calls.
        device: where a model of this machine computes.
        say: is told what goes wrong on the way.
        loaded: keeps a model of this machine; None: nothing is kept.

    Raises:
        RunError: E-teacher, E-training-missing.
    """
    if ref.replay:
        return Replay(recording, ref.model, structured=not ref.is_local)
    if ref.is_local:
        folder = embedded_folder() if ref.model == EMBEDDED else Path(ref.model)
        return Recorded((Loaded() if loaded is None else loaded).model(folder, ref.model, device), recording)
    if ref.base_url is None and ref.key_variable is None:  # never to a vendor for a mistyped name
        message = f"{ref.model!r} is neither the embedded model nor a folder, and no address is given"
        remedy = 'base_url = "http://...", or key_variable = "OPENAI_API_KEY" for the vendor\'s own address'
        raise RunError(Diagnostic(code="E-teacher", message=message, remedy=remedy))
    endpoint = Endpoint(
        ref.model, ref.base_url, ref.key_variable, concurrency=ref.concurrency, per_minute=ref.per_minute,
        prices=ref.prices, say=say,
    )  # fmt: skip
    return Recorded(endpoint, recording)
