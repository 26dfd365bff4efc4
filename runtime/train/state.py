"""What fitting leaves: one safetensors file in memory, its facts as JSON in the header. Nothing is pickled."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save

from fewtune.compiler.arm import Verbalizer

KEY = "fewtune"
"""Name of the only metadata entry: safetensors writes several in random order, and equal states have equal bytes."""


def metadata(about: Mapping[str, Any]) -> dict[str, str]:
    """The header's metadata."""
    return {KEY: json.dumps(about, sort_keys=True, ensure_ascii=False)}


def about(state: bytes) -> dict[str, Any]:
    """The facts in a state's header; empty for an empty state.

    Raises:
        ValueError: if it is no state of fewtune.
    """
    if not state:
        return {}
    (length,) = struct.unpack("<Q", state[:8])
    header = json.loads(state[8 : 8 + length])
    text = header.get("__metadata__", {}).get(KEY)
    if text is None:
        raise ValueError("the state has no fewtune metadata")
    facts: dict[str, Any] = json.loads(text)
    return facts


def searched(facts: Mapping[str, Any]) -> tuple[str, Verbalizer | None]:
    """(pattern, label words) that a search found; no words where texts are written.

    Args:
        facts: of the state that it left.
    """
    if not facts["tokens"]:
        return facts["pattern"], None
    words, tokens = (dict(zip(facts["labels"], facts[name], strict=True)) for name in ("words", "tokens"))
    return facts["pattern"], Verbalizer(words=words, tokens=tokens)


def facts_only(facts: Mapping[str, Any], **arrays: np.ndarray[Any, Any]) -> bytes:
    """A state without weights: facts, and arrays where there are some."""
    content: bytes = save(arrays, metadata=metadata(facts))
    return content
