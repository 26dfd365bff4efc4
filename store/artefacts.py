"""What stages leave, as files named by fingerprint: adapters, predictions, plans.

A file is complete before the journal names it, and the journal holds its size and hash. So a file that no event names
is the harmless rest of a crash, and one that differs from its event is never used.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fewtune.specs.diagnostic import Diagnostic, StoreError
from fewtune.store import durable
from fewtune.store.event import ArtefactRef

PLAN = "plan.json"
STATE = "state.safetensors"
PREDICTIONS = "predictions.json"


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """Content on its way to the disk."""

    fingerprint: str
    name: str
    content: bytes

    @cached_property
    def ref(self) -> ArtefactRef:
        """The name that an event gives it."""
        digest = hashlib.sha256(self.content).hexdigest()
        return ArtefactRef(fingerprint=self.fingerprint, name=self.name, sha256=digest, size=len(self.content))


class Artefacts:
    """The artefact folder of a workspace."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it need not exist yet."""
        self._folder = folder

    def path(self, ref: ArtefactRef) -> Path:
        """Where the file lies."""
        return self._folder / ref.fingerprint[:2] / ref.fingerprint / ref.name

    def write(self, artefact: Artefact) -> ArtefactRef:
        """Write a file so that it survives a crash, whatever is there already."""
        ref = artefact.ref
        path = self.path(ref)
        for folder in (self._folder, path.parent.parent, path.parent):
            durable.make_folder(folder)
        durable.write_file(path, artefact.content)
        return ref

    def read(self, ref: ArtefactRef) -> bytes:
        """The content of a file.

        Raises:
            StoreError: E-artefact where it is missing or differs from what was recorded.
        """
        path = self.path(ref)
        try:
            content = path.read_bytes()
        except OSError as error:
            raise _unsound(path, error.strerror or str(error)) from error
        if len(content) != ref.size or hashlib.sha256(content).hexdigest() != ref.sha256:
            raise _unsound(path, "the content is not what was recorded")
        return content

    def sound(self, ref: ArtefactRef, *, deep: bool = True) -> bool:
        """Whether the file is there as recorded; without `deep` only its size is compared."""
        path = self.path(ref)
        try:
            if path.stat().st_size != ref.size:
                return False
            if not deep:
                return True
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == ref.sha256
        except OSError:
            return False


def foreign(name: str, error: ValueError) -> StoreError:
    """The error for a file whose form this version does not know."""
    return StoreError(
        Diagnostic(
            code="E-artefact",
            message=f"{name} was written in another form: {str(error).splitlines()[0]}",
            remedy="read it with the version of fewtune that wrote it, or run apply again",
        ),
        exit_status=15,
    )


def _unsound(path: Path, why: str) -> StoreError:
    return StoreError(
        Diagnostic(
            code="E-artefact",
            message=f"{path}: {why}",
            remedy="run apply again: it makes what is missing or damaged anew",
        ),
        exit_status=15,
    )
