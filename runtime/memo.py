"""What was measured before, in the user's cache folder: allowed, never needed."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from fewtune.runtime.folders import cache_folder


def stamp(files: list[Path]) -> list[list[Any]]:
    """Path, size and time of files that are too large to be read each time."""
    return [[str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns] for file in files]


def recall(kind: str, key: Any) -> str | None:
    """What was kept under a key that names all that can change it; None where nothing was, or it cannot be read."""
    try:
        return _path(kind, key).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def keep(kind: str, key: Any, text: str) -> None:
    """Keep a text for later; a cache that cannot be written costs time only."""
    path = _path(kind, key)
    temporary = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)


def _path(kind: str, key: Any) -> Path:
    return cache_folder() / kind / hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]
