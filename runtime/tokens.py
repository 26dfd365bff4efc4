"""Tokens without torch: the tokenizer file of a model, read by the `tokenizers` library."""

import hashlib
import lzma
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from fewtune.specs.diagnostic import Diagnostic, PlanError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenCounter = Callable[[list[str]], list[int]]
EMBEDDED_TOKENIZER = Path(__file__).resolve().parent / "embedded" / "tokenizer.json.xz"


def embedded_tokenizer_text() -> str:
    """The embedded model's tokenizer.json."""
    return lzma.decompress(EMBEDDED_TOKENIZER.read_bytes()).decode()


def tokenizer_of(folder: Path | None) -> "tuple[Tokenizer, str]":
    """(tokenizer, its content's hash) of a model folder; None: of the embedded model.

    Raises:
        PlanError: E-model where the folder's tokenizer cannot be read.
    """
    if folder is None:
        return _embedded()
    path = folder / "tokenizer.json"
    try:
        found = path.stat()
        return _read(path, found.st_mtime_ns, found.st_size)
    except Exception as error:  # the library raises nothing narrower
        message = f"{folder.name}/tokenizer.json cannot be read: {str(error)[:120]}"
        remedy = "a whole tokenizer.json, as `save_pretrained` writes it"
        raise PlanError(Diagnostic(code="E-model", message=message, pointer="/model", remedy=remedy)) from error


@cache
def _embedded() -> "tuple[Tokenizer, str]":
    return _made(embedded_tokenizer_text())


@lru_cache(maxsize=8)
def _read(path: Path, changed: int, size: int) -> "tuple[Tokenizer, str]":
    """The file as it was when it had this time (ns) and size (bytes): a server outlives its models."""
    return _made(path.read_text(encoding="utf-8"))


def _made(text: str) -> "tuple[Tokenizer, str]":
    from tokenizers import Tokenizer

    return Tokenizer.from_str(text), hashlib.sha256(text.encode()).hexdigest()[:24]


def counter(tokenizer: "Tokenizer") -> TokenCounter:
    """Counts the tokens of texts, special tokens left out."""

    def count(texts: list[str]) -> list[int]:
        return [len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    return count


def word_tokens(tokenizer: "Tokenizer", words: tuple[str, ...]) -> dict[str, tuple[int, ...]]:
    """Word -> its token ids, written after a space."""
    return {word: tuple(tokenizer.encode(f" {word}", add_special_tokens=False).ids) for word in words}


def special_tokens(tokenizer: "Tokenizer") -> int:
    """How many tokens the tokenizer adds around a text."""
    return int(tokenizer.num_special_tokens_to_add(False))
