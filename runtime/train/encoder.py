"""An encoder to be tuned: rows of tokens in, the mean of the last layer's states of each row out.

A row is a text, or two texts in one row as the encoder's own tokenizer joins them. The mean over a row's tokens is how
the embedded sentence encoder was trained to represent a text (arXiv 1908.10084, section 3); the same is taken of every
other encoder, so a pooler that a checkpoint may have is dropped. The network stays in evaluation mode: nothing drops
out, so that a text has one representation in a step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel
from transformers.utils import logging

from fewtune.runtime.job import Corpus, RowRef
from fewtune.runtime.train.model import Base, check_complete
from fewtune.runtime.train.prompt import load_tokenizer
from fewtune.runtime.train.reading import Prefix, Reader, Tokens

POOLER = "pooler."


@dataclass(frozen=True)
class EncoderBase(Base):
    """A frozen encoder on its device."""

    padding: int = 0
    """The token that fills short rows; RoBERTa counts positions by it."""
    separator: int | None = None
    """The token behind which the second text of a pair begins; None: the encoder does not tell the texts apart."""

    @property
    def width(self) -> int:
        """Numbers of a row's representation."""
        return int(self.model.config.hidden_size)

    def reader(self, model: Any, beginning: Callable[[Reader], Prefix] | None = None) -> Reader:
        """A reader of the encoder or of a view of it."""
        return Pooled(model, device=self.device, padding=self.padding, separator=self.separator)


class Pooled(Reader):
    """Reads whole rows, each token looking at all of its row."""

    def __init__(self, network: nn.Module, *, device: torch.device, padding: int, separator: int | None) -> None:
        """Read with a network.

        Args:
            network: the encoder.
            device: where it is.
            padding: fills short rows.
            separator: as in `EncoderBase`.
        """
        super().__init__(network, end_to_end=False, device=device)
        self._padding, self._separator = padding, separator

    def read(self, rows: Sequence[Tokens], prefix: Prefix | None = None, last: Sequence[int] | None = None) -> Tensor:
        """The mean of each row's states, (rows, hidden); `prefix` and `last` are for networks that look back only."""
        longest = max(map(len, rows))
        ids = torch.tensor([[*row, *[self._padding] * (longest - len(row))] for row in rows], device=self.device)
        lengths = torch.tensor([len(row) for row in rows], device=self.device)
        mask = torch.lt(torch.arange(longest, device=self.device)[None], lengths[:, None]).long()
        more = {} if self._separator is None else {"token_type_ids": self._kinds(ids, mask)}
        states: Tensor = self.backbone(input_ids=ids, attention_mask=mask, **more).last_hidden_state
        return (states * mask[:, :, None]).sum(1) / lengths[:, None]

    def _kinds(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(rows, longest): 1 for the tokens behind the first separator, where BERT's second text stands; else 0."""
        ends = torch.eq(ids, self._separator or 0).long()
        return torch.gt(ends.cumsum(1) - ends, 0).long() * mask


class Rows:
    """Token ids of rows, each encoded once for each length that it may have."""

    def __init__(self, tokenizer_file: Path, corpus: Corpus) -> None:
        """Read the tokenizer.

        Args:
            tokenizer_file: tokenizer.json.
            corpus: the rows that jobs name.
        """
        self._tokenizer, self._corpus = load_tokenizer(str(tokenizer_file)), corpus
        self._known: dict[tuple[str, int, int], list[int]] = {}

    def of(self, ref: RowRef, limit: int) -> list[list[int]]:
        """Token ids of each row of `ref`, at most `limit` of them: what is too long is cut, of a pair the longer text.

        Args:
            ref: the rows.
            limit: tokens, special ones included.
        """
        split, missing = self._corpus.splits[ref.split], dict[tuple[str, int, int], Any]()
        for row in ref.rows:
            if (ref.split, row, limit) not in self._known:
                texts = tuple(split[row].fields.values())
                missing[ref.split, row, limit] = texts if len(texts) > 1 else texts[0]
        self._tokenizer.enable_truncation(limit, strategy="longest_first")
        encoded = self._tokenizer.encode_batch(list(missing.values()))
        self._known.update(zip(missing, (one.ids for one in encoded), strict=True))
        added = [tuple(row.fields.values()) for row in ref.added]
        more = self._tokenizer.encode_batch([texts if len(texts) > 1 else texts[0] for texts in added])
        return [*(self._known[ref.split, row, limit] for row in ref.rows), *(one.ids for one in more)]

    @property
    def separator(self) -> int | None:
        """What the tokenizer puts behind a text; None: nothing."""
        ids: list[int] = self._tokenizer.encode("a").ids
        return ids[-1] if len(ids) > 1 else None


def load(path: Path, device: str, separator: int | None, dtype: torch.dtype = torch.float32) -> EncoderBase:
    """Load a local encoder folder.

    Args:
        path: config.json and *.safetensors.
        device: where it stays.
        separator: what its tokenizer puts behind a text.
        dtype: of the arithmetic.

    Raises:
        ValueError: for weights that are incomplete.
    """
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    place = torch.device(device)
    model, report = AutoModel.from_pretrained(
        str(path), dtype=dtype, attn_implementation="sdpa" if place.type == "cuda" else "eager", local_files_only=True,
        use_safetensors=True, trust_remote_code=False, output_loading_info=True,
    )  # fmt: skip
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    missing = [name for name in report["missing_keys"] if not str(name).startswith(POOLER)]
    check_complete(model, {**report, "missing_keys": missing})
    return prepared(model.to(place), separator)


def prepared(model: Any, separator: int | None) -> EncoderBase:
    """Freeze a loaded encoder."""
    model.requires_grad_(False)
    model.eval()
    parameter, config = next(model.parameters()), model.config
    tells = (getattr(config, "type_vocab_size", 0) or 0) > 1 and "token_type_ids" in signature(model.forward).parameters
    return EncoderBase(
        model=model,
        dtype=parameter.dtype,
        device=parameter.device,
        positions=int(getattr(config, "max_position_embeddings", None) or 512),
        end_to_end=False,
        shares_beginnings=False,
        padding=int(getattr(config, "pad_token_id", None) or 0),
        separator=separator if tells else None,
    )
