"""Tokens without torch: the tokenizer file of a model, read by the `tokenizers` library."""

import hashlib
import lzma
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenCounter = Callable[[list[str]], list[int]]
EMBEDDED_TOKENIZER = Path(__file__).resolve().parent / "embedded" / "tokenizer.json.xz"


def embedded_tokenizer_text() -> str:
    """The embedded model's tokenizer.json."""
    return lzma.decompress(EMBEDDED_TOKENIZER.read_bytes()).decode()


@cache
def tokenizer_of(folder: Path | None) -> "tuple[Tokenizer, str]":
    """(tokenizer, its content's hash) of a model folder; None: of the embedded model."""
    from tokenizers import Tokenizer

    text = embedded_tokenizer_text() if folder is None else (folder / "tokenizer.json").read_text(encoding="utf-8")
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
