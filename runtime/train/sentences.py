"""The sentence encoder: texts in, one vector of unit length out; two texts are compared as Sentence-BERT compares them.

Mean of the last layer's states over the tokens (arXiv 1908.10084, section 3). A pair (u, v) becomes (u, v, |u - v|,
u * v): the encoder reads each text alone, so their difference must be said (InferSent, arXiv 1705.02364, section 3.1).
"""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewtune.compiler.encoder import ENCODER
from fewtune.runtime.job import Corpus, Job, RowRef
from fewtune.runtime.train.linear import Floats
from fewtune.runtime.train.model import check_complete
from fewtune.runtime.train.probe import Vector
from fewtune.runtime.train.prompt import load_tokenizer
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.scoring import batched
from fewtune.runtime.train.threads import Threads

BUDGET = {"cpu": 2048, "cuda": 65536}
"""Tokens of one batch, padding included."""


class Sentences:
    """Features of the embedded sentence encoder, in fp32."""

    def __init__(self, folder: Path, corpus: Corpus, device: str, threads: Threads) -> None:
        """Load it.

        Args:
            folder: config.json, tokenizer.json and model.safetensors.
            corpus: the rows that jobs name.
            device: as torch writes it.
            threads: of torch.

        Raises:
            ValueError: for weights that are incomplete.
        """
        from transformers import AutoModel
        from transformers.utils import logging

        logging.disable_progress_bar()
        logging.set_verbosity_error()
        self._model, report = AutoModel.from_pretrained(
            str(folder), dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False,
            output_loading_info=True,
        )  # fmt: skip
        check_complete(self._model, report)
        self._model.eval().to(device)
        self._tokenizer = load_tokenizer(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(ENCODER.max_tokens)
        self._corpus, self._device, self._threads = corpus, torch.device(device), threads

    def key(self, job: Job) -> Hashable:
        """Nothing of a job changes what the encoder reads."""
        return "sentences"

    def read(self, job: Job, ref: RowRef, pulse: Pulse) -> list[Vector]:
        """One vector a row: 384 numbers for a text, four times as many for a pair."""
        self._threads.allow(job.threads)
        return self.vectors(ref, pulse)

    def vectors(self, ref: RowRef, pulse: Pulse) -> list[Vector]:
        """The same, with as many threads as before."""
        rows = [tuple(row.fields.values()) for row in self._corpus.rows(ref)]
        texts = list(dict.fromkeys(text for row in rows for text in row))
        found = dict(zip(texts, self._vectors(texts, pulse), strict=True))
        return [together([found[text] for text in row]) for row in rows]

    def neighbourly(self, rows: Sequence[Mapping[str, str]], pulse: Pulse) -> Floats:
        """(rows, features): the vectors of a row's fields side by side, so that a product sums the fields' cosines."""
        texts = list(dict.fromkeys(text for row in rows for text in row.values()))
        found = dict(zip(texts, self._vectors(texts, pulse), strict=True))
        return np.array([np.concatenate([found[text] for text in row.values()]) for row in rows], dtype=np.float64)

    @torch.inference_mode()
    def _vectors(self, texts: Sequence[str], pulse: Pulse) -> list[Vector]:
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        found: dict[int, Any] = {}
        for places in batched([len(row) for row in ids], BUDGET.get(self._device.type, BUDGET["cpu"])):
            found.update(zip(places, self._means([ids[place] for place in places]).cpu().numpy(), strict=True))
            pulse.beat("scoring", len(found), len(texts))
        return [found[place] for place in range(len(texts))]

    def _means(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """(rows, hidden), each of unit length."""
        longest = max(map(len, rows))
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows], device=self._device)
        ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=self._device)
        states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state * mask[:, :, None]
        return torch.nn.functional.normalize(states.sum(1) / mask.sum(1, keepdim=True), dim=-1)


def together(vectors: Sequence[Vector]) -> Vector:
    """One text's vector, or what two texts are together."""
    if len(vectors) == 1:
        return vectors[0]
    u, v = vectors
    return np.concatenate([u, v, np.abs(u - v), u * v])
