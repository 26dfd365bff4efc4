"""fewtune.lock: which revisions of hub models and data a spec's folder uses, their hashes, and adopted evidence."""

import json
from pathlib import Path

from pydantic import Field, ValidationError

from fewtune.compiler.adopted import Adopted
from fewtune.runtime.folders import cache_folder
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import Diagnostic, PlanError
from fewtune.specs.frozen import Frozen

NAME = "fewtune.lock"


class LockedModel(Frozen):
    """A model as it was fetched."""

    revision: str
    folder: str
    """Where it lies in the Hugging Face cache."""
    weights_hash: str
    """Hash of the tensors' contents."""


class LockedData(Frozen):
    """A split as it was fetched, kept as Parquet."""

    revision: str
    sha256: str
    rows: int


class Lock(Frozen):
    """All that was fetched for the specs of one folder."""

    lock_version: int = 1
    models: dict[str, LockedModel] = Field(default_factory=dict)
    data: dict[str, LockedData] = Field(default_factory=dict)
    evidence: Adopted = Adopted()
    """What earlier runs showed, where the user adopted it (`fewtune evidence adopt`)."""

    def data_file(self, source: Source) -> Path:
        """The Parquet file of a hub split.

        Raises:
            PlanError: E-facts-missing where it was not pulled.
        """
        locked = self.data.get(data_key(source))
        path = data_file(locked.sha256) if locked else None
        if path is None or not path.exists():
            message = f"{source.place} is not on this machine"
            raise PlanError(Diagnostic(code="E-facts-missing", message=message, remedy="run `fewtune pull SPEC`"))
        return path


def data_key(source: Source) -> str:
    """A hub split's name in the lock, whichever of its rows are used."""
    return "/".join(part or "-" for part in (source.hub, source.config, source.split))


def data_file(sha256: str) -> Path:
    """Where a pulled split lies."""
    return cache_folder() / "data" / f"{sha256}.parquet"


def read_lock(folder: Path) -> Lock:
    """The lock of a spec's folder; empty where there is none.

    Raises:
        PlanError: E-facts-missing where the file is not a lock.
    """
    path = folder / NAME
    if not path.exists():
        return Lock()
    try:
        return Lock.model_validate_json(path.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        remedy = "mend it; or remove it, run `fewtune pull SPEC`, and adopt evidence again where there was some"
        raise PlanError(Diagnostic(code="E-facts-missing", message=f"{path} is damaged", remedy=remedy)) from error


def write_lock(folder: Path, lock: Lock) -> None:
    """Write the lock in a stable order, so that it can be kept under version control."""
    empty = {"evidence"} if lock.evidence == Adopted() else None
    content = json.dumps(lock.model_dump(mode="json", exclude=empty), indent=2, sort_keys=True)
    path = folder / NAME
    temporary = path.with_suffix(".lock.tmp")
    temporary.write_text(content + "\n", encoding="utf-8")
    temporary.replace(path)
