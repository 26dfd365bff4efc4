"""The engine: jobs in, answers out, in this process or inside a worker.

It knows arms with the language model and arms without, and imports and loads a network only for those that need it.
 Scores are always computed from the bytes that fitting left, so what is reported is what will be used.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from fewtune.runtime.job import Answer, Batch, Corpus, Fit, Fitted, Job, ModelRef, Notify, Outcome, Progress, Scored
from fewtune.runtime.train.memory import out_of_memory, release
from fewtune.runtime.train.prediction import Predictor
from fewtune.runtime.train.pulse import Pulse

if TYPE_CHECKING:
    from fewtune.runtime.train.threads import Threads
    from fewtune.runtime.train.tuner import Tuner

THREAD_SETTINGS = {"GOMP_SPINCOUNT": "1000000", "TOKENIZERS_PARALLELISM": "false"}
"""Set before OpenMP is loaded: threads spin for about a millisecond at barriers before they sleep. Sleeping at once
halves the rate on virtual machines, where waking is slow; spinning beside a busy neighbour is what `Threads` avoids."""


KINDS = {
    "majority": "words", "tfidf": "words", "lead": "lead", "encoder": "encoder", "probe": "probe",
    "unigram": "unigram", "encoder-head": "encoder-tuner", "setfit": "encoder-tuner",
}  # fmt: skip
"""Formulation -> the method that fits it, where it is not the tuner."""


class Method(Protocol):
    """One kind of arms."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """Distributions whose versions may show in the results."""

    def fit(self, job: Job, fit: Fit, pulse: Pulse) -> Fitted:
        """Fit the arm."""

    def predictor(self, job: Job, state: bytes | None, pulse: Pulse) -> Predictor:
        """What predicts rows from a state."""


def _libraries(method: Method, job: Job) -> tuple[str, ...]:
    return (*method.libraries, *(("bitsandbytes",) if job.arm.four_bit else ()))


def ignore(_: Progress) -> None:
    """Take no notice of progress."""


class Engine:
    """Runs jobs on one device with one resident base model."""

    def __init__(
        self,
        model: ModelRef,
        corpus: Corpus,
        *,
        device: str = "cpu",
        threads: int | None = None,
        steady: bool = True,
    ) -> None:
        """Remember what jobs refer to; nothing is imported or loaded yet.

        Args:
            model: where the base model is.
            corpus: the rows that jobs name.
            device: as torch writes it: cpu, cuda, cuda:0.
            threads: of torch, at most; None: as it is set.
            steady: always so many; else fewer, while a busy neighbour makes fewer faster.
        """
        self.model = model
        self.corpus = corpus
        self.device = device
        self.threads = threads
        self.steady = steady or device != "cpu"
        self._methods: dict[str, Method] = {}

    def run(
        self, job: Job, *, state: bytes | None = None, notify: Notify = ignore, fitted: Fitted | None = None
    ) -> Answer:
        """Do a job; what goes wrong in it is part of the answer.

        Args:
            job: fit (if it asks for it) and score.
            state: what an earlier fit left, for a job without a fit.
            notify: called with signs of life; what it raises is a failure of the job, KeyboardInterrupt apart.
            fitted: the job's own fit, where it was made together with others.
        """
        outcomes: list[Outcome] = []
        failure: Literal["out_of_memory", "error"] | None = None
        message, libraries = "", tuple[str, ...]()
        try:
            method = self._method(job)
            libraries = _libraries(method, job)
            pulse = Pulse(job.id, notify)
            if job.fit is not None:
                fitted = self._measured(fitted or method.fit(job, job.fit, pulse), job, pulse)
                outcomes.append(fitted)
                state = fitted.state
            if job.scores:
                _score(method.predictor(job, state, pulse), job, outcomes)
        except Exception as error:
            failure = "out_of_memory" if out_of_memory(error) else "error"
            message = f"{type(error).__name__}: {error}"
        if failure is not None:
            release()
        return Answer(
            job=job.id,
            outcomes=tuple(outcomes),
            failure=failure,
            message=message,
            device=self.device,
            versions={name: version(name) for name in libraries},
        )

    def _measured(self, fitted: Fitted, job: Job, pulse: Pulse) -> Fitted:
        """The fit with what the language model can still do beside the task, in the state as saved."""
        if job.fit is None or not job.fit.general or not job.arm.trained or job.arm.encoded:
            return fitted
        return replace(fitted, general=self._tuner.general(job, fitted.state, pulse))

    def run_batch(self, batch: Batch, *, notify: Notify = ignore) -> Iterator[Answer]:
        """Do jobs together; yields each one's answer when it ends.

        Trainings share their steps; those that do not come to an end together (one does not fit into memory, say) are
        done alone. All others are done one after the other.
        """
        over, failed = set[str](), ""
        if batch.slots > 1 and len(batch.jobs) > 1:
            try:
                for job, fitted in self._tuner.fit_together(batch, notify):
                    over.add(job.id)
                    yield self.run(job, notify=notify, fitted=fitted)
            except Exception as error:
                failed = f"not with others, which ended in {type(error).__name__}: {error}"
            release()
        for job, state in zip(batch.jobs, batch.states, strict=True):
            if job.id not in over:
                answer = self.run(job, state=state, notify=notify)
                yield replace(answer, message=answer.message or failed)

    def _method(self, job: Job) -> Method:
        """The method of the job's arm."""
        kind = KINDS.get(job.arm.formulation, "model")
        for name, value in THREAD_SETTINGS.items():
            os.environ.setdefault(name, value)
        if kind not in self._methods:
            self._methods[kind] = self._made(kind)
        return self._methods[kind]

    def _made(self, kind: str) -> Method:
        if kind == "words":
            return self._bag_of_words()
        if kind == "model":
            return self._tuner
        if kind == "lead":
            return self._lead()
        if kind == "unigram":
            return self._unigram()
        if kind == "encoder-tuner":
            return self._encoder_tuner()
        return self._encoder() if kind == "encoder" else self._probe()

    def _bag_of_words(self) -> Method:
        from fewtune.runtime.train.bag_of_words import BagOfWords

        return BagOfWords(self.corpus)

    def _lead(self) -> Method:
        from fewtune.runtime.train.lead import Lead

        return Lead(self.corpus)

    def _unigram(self) -> Method:
        from fewtune.runtime.train.unigram import Unigram

        return Unigram(self.corpus)

    def _encoder(self) -> Method:
        from fewtune.runtime.train.probe import Probe
        from fewtune.runtime.train.sentences import Sentences

        return Probe(self.corpus, lambda: Sentences(Path(self.model.encoder), self.corpus, self.device, self._threads))

    def _encoder_tuner(self) -> Method:
        from fewtune.runtime.train.encoder_tuner import EncoderTuner

        folder = Path(self.model.tuned_encoder or self.model.encoder)
        return EncoderTuner(folder, self.corpus, self.device, self._threads)

    def _probe(self) -> Method:
        from fewtune.runtime.train.probe import Probe

        return Probe(self.corpus, lambda: self._tuner)

    @cached_property
    def _tuner(self) -> "Tuner":
        from fewtune.runtime.train.tuner import Tuner

        return Tuner(self.model, self.corpus, self.device, self._threads)

    @cached_property
    def _threads(self) -> "Threads":
        import torch

        from fewtune.runtime.train.threads import Threads

        return Threads(self.threads or torch.get_num_threads(), steady=self.steady)


def _score(predictor: Predictor, job: Job, outcomes: list[Outcome]) -> None:
    """Add the predictions for one split after the other, so that a failure loses only what comes after it."""
    for score in job.scores:
        prediction = predictor(score.rows)
        scored = Scored(
            stage=score.stage,
            fingerprint=score.fingerprint,
            split=score.split,
            rows=score.rows,
            seconds=prediction.seconds,
            spared_seconds=prediction.spared_seconds,
            **prediction.columns,
        )
        outcomes.append(scored)
