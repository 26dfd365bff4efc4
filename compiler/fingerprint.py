"""Content hashes that name artefacts.

A fingerprint covers the *values* that can change a result, never the reasons for them: canonical JSON, SHA-256, the
kind of artefact in front, 24 hexadecimal digits (96 bits: a collision among 10^9 artefacts has odds of 1e-11).
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

DIGITS = 24
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def canonical(value: Any) -> str:
    """Write a JSON value in its one canonical form: sorted keys, no spaces, floats as Python's shortest repr."""
    return _ENCODER.encode(value)


def fingerprint(kind: str, value: Any) -> str:
    """Name an artefact of this kind by everything that can change it."""
    return hashed(kind, canonical(value))


def hashed(kind: str, content: str) -> str:
    """The fingerprint of a value that is in canonical form already."""
    return hashlib.sha256(f"{kind}\n{content}".encode()).hexdigest()[:DIGITS]


def composed(kind: str, parts: Mapping[str, str]) -> str:
    """`fingerprint(kind, value)` of an object whose values are in canonical form already: many share most of them.

    >>> composed("fit", {"b": canonical([1, 2]), "a": canonical("x")}) == fingerprint("fit", {"a": "x", "b": [1, 2]})
    True
    """
    return hashed(kind, "{" + ",".join([f'"{name}":{parts[name]}' for name in sorted(parts)]) + "}")


def seed(*parts: object) -> int:
    """A 63-bit seed that is a pure function of its parts, the same in every process."""
    *shared, last = parts
    return seeds(*shared)(str(last))


def seeds(*parts: object) -> Callable[[str], int]:
    """Give `seed(*parts, last)` as a function of the last part, for many of them."""
    shared = "".join(f"{part}\x1f" for part in parts).encode()

    def seed_of(last: str) -> int:
        return int.from_bytes(hashlib.sha256(shared + last.encode()).digest()[:8], "big") >> 1

    return seed_of
