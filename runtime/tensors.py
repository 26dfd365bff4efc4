"""safetensors files without torch: names, shapes and content hashes."""

import hashlib
import json
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from fewtune.runtime.memo import keep, recall, stamp
from fewtune.specs.diagnostic import Diagnostic, PlanError

MAX_HEADER = 100_000_000
"""Bytes; the format's own limit."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int
    """Byte range in the file."""


def unreadable(path: Path, reason: str) -> PlanError:
    """The error for weights that cannot be used."""
    remedy = "fetch or convert the model again; fewtune reads safetensors only"
    return PlanError(Diagnostic(code="E-model", message=f"{path.name}: {reason}", pointer="/model", remedy=remedy))


DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a model folder raises whose files are damaged, or say other things than a model's do."""


def damaged(folder: Path, error: Exception) -> PlanError:
    """The error for such a folder."""
    said = f"no {error}" if isinstance(error, KeyError) else str(error)
    return unreadable(folder, f"its files are damaged or incomplete ({said[:120]})")


def tensors_of(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a model folder.

    Raises:
        PlanError: E-model where there are no safetensors files, or one is damaged.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise unreadable(folder, "no *.safetensors file")
    found: dict[str, Tensor] = {}
    for file in files:
        found |= _header(file)
    return found


def _header(file: Path) -> dict[str, Tensor]:
    size = file.stat().st_size
    with file.open("rb") as handle:
        length = struct.unpack("<Q", handle.read(8))[0] if size > 8 else MAX_HEADER + 1
        if length > min(MAX_HEADER, size - 8):
            raise unreadable(file, "not a safetensors file")
        try:
            entries = json.loads(handle.read(length))
        except ValueError as error:
            raise unreadable(file, "a damaged header") from error
    base = 8 + length
    found = {}
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        if not 0 <= start <= end <= size - base:
            raise unreadable(file, f"tensor {name} lies outside the file")
        found[name] = Tensor(file, entry["dtype"], tuple(entry["shape"]), base + start, base + end)
    return found


def weights_hash(folder: Path) -> str:
    """Hash of names, types, shapes and contents, independent of the file layout; remembered by size and time."""
    key = stamp(sorted(folder.glob("*.safetensors")))
    known = recall("hashes", key)
    if known is None:
        known = content_hash(tensors_of(folder))
        keep("hashes", key, known)
    return known


def content_hash(tensors: dict[str, Tensor]) -> str:
    """Hash the tensors in the order of their names."""
    digest = hashlib.sha256()
    maps: dict[Path, mmap.mmap] = {}
    for name, tensor in sorted(tensors.items()):
        if tensor.file not in maps:
            with tensor.file.open("rb") as handle:
                maps[tensor.file] = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        digest.update(f"{name}\n{tensor.dtype}\n{tensor.shape}\n".encode())
        digest.update(memoryview(maps[tensor.file])[tensor.start : tensor.end])
    return digest.hexdigest()[:24]
