"""The arms that tune an encoder: with a new classification head, or by contrast, under a logistic regression."""

import time
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor

from fewtune.compiler.arm import Precision
from fewtune.runtime.job import Corpus, Fit, Fitted, Job, RowRef
from fewtune.runtime.train import adaptation, contrast
from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.adaptations import kind
from fewtune.runtime.train.encoder import EncoderBase, Rows, load
from fewtune.runtime.train.linear import Linear, standardised
from fewtune.runtime.train.loop import Example, Learner, Training, Validation, train
from fewtune.runtime.train.memory import PeakMemory
from fewtune.runtime.train.model import DTYPES
from fewtune.runtime.train.outcome import Seen, fitted, seen
from fewtune.runtime.train.prediction import Prediction, Predictor, Said
from fewtune.runtime.train.pulse import Phase, Pulse
from fewtune.runtime.train.reading import Tokens
from fewtune.runtime.train.scoring import BUDGET, batched, in_halves, predict
from fewtune.runtime.train.threads import Threads

LINEAR = ("coefficients", "intercept")
"""The tensors of a logistic regression in a state."""


class EncoderTuner:
    """Fits and applies arms on one device, with a resident encoder for each precision."""

    libraries = ("torch", "transformers", "tokenizers", "safetensors", "scikit-learn")

    def __init__(self, folder: Path, corpus: Corpus, device: str, threads: Threads) -> None:
        """Remember where the encoder is.

        Args:
            folder: config.json, tokenizer.json and *.safetensors.
            corpus: the rows that jobs name.
            device: as torch writes it.
            threads: of torch.
        """
        self._folder, self._corpus, self._device, self._threads = folder, corpus, device, threads
        self._loaded: dict[Precision, EncoderBase] = {}
        self._seen: Seen | None = None

    @cached_property
    def rows(self) -> Rows:
        """The corpus in the encoder's tokens."""
        return Rows(self._folder / "tokenizer.json", self._corpus)

    def base(self, job: Job, pulse: Pulse) -> EncoderBase:
        """The resident encoder, loaded at its first use; and from now on as many threads as are fast at the moment."""
        self._threads.allow(job.threads)
        if job.arm.precision not in self._loaded:
            pulse.beat("loading", 0, 1)
            dtype = DTYPES[job.arm.precision]
            self._loaded[job.arm.precision] = load(self._folder, self._device, self.rows.separator, dtype)
            pulse.beat("loading", 1, 1)
        base = self._loaded[job.arm.precision]
        pulse.between = partial(self._choose_threads, base)
        pulse.between()
        return base

    @torch.inference_mode()
    def _choose_threads(self, base: EncoderBase) -> None:
        most = min(base.positions, 128)
        self._threads.choose(lambda tokens: base.reader(base.model).read([range(3, 3 + min(tokens, most))]))

    def fit(self, job: Job, fit: Fit, pulse: Pulse) -> Fitted:
        """Train the arm.

        Raises:
            ValueError: without training rows, or with one text where pairs are drawn.
        """
        if not fit.train.rows:
            raise ValueError("there are no training rows")
        base = self.base(job, pulse)
        self._seen, start = None, time.perf_counter()
        with PeakMemory(self._device) as peak:
            weights = adaptation.moving(base, job.arm, len(self._corpus.labels), fit.init_seed)
            view = partial(adaptation.tuned, base, job.arm, (), weights.working)
            learner = Learner(view, weights, keeps_masters=not kind(job.arm).own)
            course = train(self._training(job, fit, learner, pulse))
            tensors = course.result
            if job.arm.objective == "contrastive":
                tensors = tensors | self._regressed(job, fit, learner.tuned, pulse)
            state = adaptation.saved(tensors, self._facts(job))
        self._seen = seen(fit, course, state)
        return fitted(job, fit, course, state, weights.count, seconds=time.perf_counter() - start, peak=peak.bytes)

    def _training(self, job: Job, fit: Fit, learner: Learner, pulse: Pulse) -> Training:
        """A training that is ready for its first step."""
        rows, labels = self.rows.of(fit.train, job.arm.max_tokens), self._labels(fit.train)
        if job.arm.objective == "contrastive":
            pairs = contrast.examples(rows, labels, job.recipe.pair_iterations, fit.order_seed)
            return Training(learner, job.recipe, pairs, fit.order_seed, None, pulse, backward=contrast.backward)
        validation = None
        if fit.validation is not None and fit.validation.rows and job.recipe.evaluate_every:
            unseen = self.rows.of(fit.validation, job.arm.max_tokens)
            look = partial(predict, rows=unseen, pulse=pulse, phase="validating")
            validation = Validation(lambda: look(learner.tuned), self._labels(fit.validation))
        examples = [Example(*each) for each in zip(rows, labels, strict=True)]
        return Training(learner, job.recipe, examples, fit.order_seed, validation, pulse)

    def _labels(self, ref: RowRef) -> list[int]:
        return [row.label for row in self._corpus.rows(ref)]

    def _regressed(self, job: Job, fit: Fit, tuned: Tuned, pulse: Pulse) -> dict[str, Tensor]:
        """The logistic regression on the tuned embeddings of the training rows, in fp64."""
        features = embedded(tuned, self.rows.of(fit.train, job.arm.max_tokens), pulse, "training")
        found = standardised(features, self._labels(fit.train), len(self._corpus.labels), job.recipe.penalty)
        return {"coefficients": torch.from_numpy(found.coefficients), "intercept": torch.from_numpy(found.intercept)}

    def predictor(self, job: Job, state: bytes | None, pulse: Pulse) -> Predictor:
        """What predicts rows from a state.

        Raises:
            ValueError: without a state.
        """
        if not state:
            raise ValueError(f"{job.arm.name}: nothing was fitted, and no state is given")
        base, tensors = self.base(job, pulse), load_tensors(state)
        head = {name: tensors.pop(name).numpy() for name in LINEAR if name in tensors}
        tuned = adaptation.tuned(base, job.arm, (), adaptation.placed_on(base, job.arm, tensors))
        last, self._seen = self._seen, None

        def predict_rows(ref: RowRef) -> Said:
            if last is not None and last.state is state and last.rows == ref:
                return last.prediction
            start, rows = time.perf_counter(), self.rows.of(ref, job.arm.max_tokens)
            if not head:
                return predict(tuned, rows, pulse)
            probabilities = Linear(**head).probabilities(embedded(tuned, rows, pulse, "scoring"))
            return Prediction(probabilities=tuple(probabilities), seconds=time.perf_counter() - start)

        return predict_rows

    def _facts(self, job: Job) -> Mapping[str, Any]:
        """What a reader of the state must know."""
        arm = job.arm
        return {
            "formulation": arm.formulation,
            "adaptation": arm.adaptation,
            "lora": arm.lora.model_dump(mode="json") if arm.lora else None,
            "precision": arm.precision,
            "max_tokens": arm.max_tokens,
            "labels": self._corpus.labels,
        }


@torch.inference_mode()
def embedded(tuned: Tuned, rows: Sequence[Tokens], pulse: Pulse, phase: Phase) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The embedding of each row, of unit length: (rows, hidden), in fp64."""
    found: dict[int, Tensor] = {}
    budget = BUDGET.get(tuned.reader.device.type, BUDGET["cpu"])
    for places in batched([len(row) for row in rows], budget):
        parts = in_halves(tuned.logits, [rows[place] for place in places])
        vectors = torch.nn.functional.normalize(torch.cat(parts).float(), dim=-1)
        found.update(zip(places, vectors.cpu(), strict=True))
        pulse.beat(phase, len(found), len(rows))
    return np.stack([found[place].double().numpy() for place in range(len(rows))])
