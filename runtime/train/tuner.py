"""The arms that use the language model: pattern, head, generation and in-context, with nothing, LoRA or all moving."""

import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load as load_arrays
from torch import Tensor

from fewtune.compiler import packing
from fewtune.compiler.arm import Precision
from fewtune.runtime.job import Batch, Corpus, Fit, Fitted, General, Job, ModelRef, Notify, RowRef
from fewtune.runtime.train import adaptation, demonstrations, patterns
from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.adaptations import kind
from fewtune.runtime.train.asking import Asking
from fewtune.runtime.train.demonstrations import Demonstrations, Neighbours
from fewtune.runtime.train.general import Ability, ability, exam, timed
from fewtune.runtime.train.generation import Ending, write
from fewtune.runtime.train.judging import Judge, Measure, Reference, compared, measured, training_examples
from fewtune.runtime.train.loop import Course, Example, Learner, Training, Validation, train
from fewtune.runtime.train.marking import Laid, laid, predict_sets, predict_tags
from fewtune.runtime.train.memory import PeakMemory, free_bytes, release
from fewtune.runtime.train.model import Base, load
from fewtune.runtime.train.outcome import Seen, fitted, seen
from fewtune.runtime.train.pack import Pack, train_packed
from fewtune.runtime.train.patterns import Rated
from fewtune.runtime.train.prediction import Compared, Marked, Prediction, Predictor, Said, Written, pooled
from fewtune.runtime.train.preference import balance
from fewtune.runtime.train.probe import Vector
from fewtune.runtime.train.prompt import Encoder, load_tokenizer
from fewtune.runtime.train.pulse import Phase, Pulse
from fewtune.runtime.train.reading import Tokens
from fewtune.runtime.train.scoring import features, predict
from fewtune.runtime.train.sentences import Sentences
from fewtune.runtime.train.state import about, facts_only
from fewtune.runtime.train.teacher import Context, Lesson, answers, taught
from fewtune.runtime.train.threads import Threads
from fewtune.store.spans import OUTSIDE

Sayer = Callable[[Sequence[Tokens], Phase], Prediction | Written | Marked]
"""Rows of tokens to what the arm says of them."""
Teller = Callable[[RowRef, Phase], Said]
"""Rows to what the arm says of them."""
ROOM = 4
"""Sizes of the model's files that must be free beside the other bases: a base in fp32 takes two of them, and the work
on it some more."""


class Tuner:
    """Fits and applies arms on one device, with a resident base for each precision and quantisation."""

    libraries = ("torch", "transformers", "tokenizers", "safetensors")

    def __init__(self, model: ModelRef, corpus: Corpus, device: str, threads: Threads) -> None:
        self.path = Path(model.path)
        self._encoder_folder = Path(model.encoder)
        self.corpus = corpus
        self.device = device
        self.threads = threads
        self.encoder = Encoder(load_tokenizer(str(self.path / "tokenizer.json")))
        self.asking = Asking(self.encoder, corpus, lambda: self.sentences)
        self._bases: dict[tuple[Precision, bool], Base] = {}
        """By precision, and whether it is held in four bits."""
        self._seen: Seen | None = None
        self._begun: tuple[Hashable, Mapping[str, Tensor]] | None = None
        """The last continued pre-training, by what it was asked for."""
        self._before: dict[Hashable, Ability] = {}
        """What each base can do as it is, by its kind and the size of what it was asked."""
        self._reference = Reference()

    def base(self, job: Job, pulse: Pulse) -> Base:
        """The resident base, loaded at its first use; and from now on as many threads as are fast at the moment."""
        self.threads.allow(job.threads)
        kind = job.arm.base
        if kind not in self._bases:
            pulse.beat("loading", 0, 1)
            self._make_room()
            self._bases[kind] = load(str(self.path), job.arm.precision, self.device, four_bit=job.arm.four_bit)
            pulse.beat("loading", 1, 1)
        base = self._bases[kind]
        pulse.between = partial(self._choose_threads, base)
        pulse.between()
        return base

    def _make_room(self) -> None:
        """Give up the other bases where memory is short; they are read again when they are needed."""
        size = sum(file.stat().st_size for file in self.path.glob("*.safetensors"))
        if self._bases and free_bytes(self.device) < ROOM * size:
            self._bases.clear()
            release()

    @torch.inference_mode()
    def _choose_threads(self, base: Base) -> None:
        self.threads.choose(lambda tokens: base.reader(base.model).read([range(min(tokens, base.positions))]))

    def fit(self, job: Job, fit: Fit, pulse: Pulse) -> Fitted:
        """Train the arm or choose its demonstrations."""
        base = self.base(job, pulse)
        self._seen = None
        start = time.perf_counter()
        with PeakMemory(self.device) as peak:
            job, searched = self._searched(base, job, fit, pulse)
            course, moved, state = Course(), 0, b""
            if job.arm.trained:
                course, moved = self._course(base, job, fit, pulse)
                state = adaptation.saved(course.result, self._facts(job) | _search_facts(searched))
            elif job.arm.formulation == "in-context":
                state = self._shown(base, job, fit, pulse, _search_facts(searched))
        left = self._fitted(job, course, state, moved, seconds=time.perf_counter() - start, peak=peak.bytes)
        notes = [patterns.note(searched, len(fit.train.rows)) if searched else "", left.note]
        return replace(left, note="; ".join(filter(None, notes)))

    def _searched(self, base: Base, job: Job, fit: Fit, pulse: Pulse) -> tuple[Job, list[Rated]]:
        """The job under the pattern and words that the base understands best, and how all did; itself, if it has none.

        Every candidate is asked without demonstrations and before anything is trained.
        """
        if job.arm.pattern_use != "search":
            return job, []
        found = patterns.search(self.asking, base, job, fit, pulse)
        return patterns.best(found).candidate.of(job), found

    def fit_together(self, batch: Batch, notify: Notify) -> Iterator[tuple[Job, Fitted]]:
        """Train arms that share their steps, `batch.slots` at a time, in the batch's order.

        Yields:
            Each job and what its fit left, as soon as it ends.
        """
        jobs = batch.jobs
        pulses = {job.id: Pulse(job.id, notify) for job in jobs}
        base = self.base(jobs[0], pulses[jobs[0].id])
        for pulse in pulses.values():
            pulse.between = partial(self._choose_threads, base)
        labels, slots = len(self.corpus.labels), min(batch.slots, len(jobs))
        pack = Pack(base, [job.arm for job in jobs], self.asking.tokens(jobs[0]), labels, slots)
        counts: dict[str, int] = {}

        def start(job: Job, slot: int) -> Training:
            fit = _fit_of(job)
            learner = pack.seat(slot, job.arm, fit.init_seed)
            counts[job.id] = learner.weights.count
            return self._training(base, job, fit, learner, pulses[job.id])

        with closing(pack), PeakMemory(self.device) as peak:
            for job, course, seconds in train_packed(pack, jobs, start):
                state = adaptation.saved(course.result, self._facts(job))
                left = self._fitted(job, course, state, counts[job.id], seconds=seconds, peak=peak.read())
                yield job, replace(left, slots=slots)

    def _fitted(self, job: Job, course: Course, state: bytes, moved: int, *, seconds: float, peak: int) -> Fitted:
        fit = _fit_of(job)
        self._seen = seen(fit, course, state)
        return fitted(job, fit, course, state, moved, seconds=seconds, peak=peak)

    def _course(self, base: Base, job: Job, fit: Fit, pulse: Pulse) -> tuple[Course, int]:
        """Train: (what came of it, how many parameters moved). What only training needs is gone afterwards."""
        arm, labels, tokens = job.arm, len(self.corpus.labels), self.asking.tokens(job)
        if packing.key(arm) is not None and (base.device.type == "cuda" or arm.masked):  # recorded, or masked
            with closing(Pack(base, [arm], tokens, labels, slots=1)) as pack:
                learner = pack.seat(0, arm, fit.init_seed)
                training = self._training(base, job, fit, learner, pulse)
                ((_, course, _),) = train_packed(pack, [job], lambda *_: training)
                return course, learner.weights.count
        start = self._pretrained(base, job, fit, pulse)
        weights = adaptation.moving(base, arm, labels, fit.init_seed, start)
        view = partial(adaptation.tuned, base, arm, tokens, weights.working)
        learner = Learner(view, weights, keeps_masters=not kind(arm).own)
        return train(self._training(base, job, fit, learner, pulse)), weights.count

    def _pretrained(self, base: Base, job: Job, fit: Fit, pulse: Pulse) -> Mapping[str, Tensor]:
        """What continued pre-training makes of the arm's parameters; kept for the next trial that asks for the same."""
        if not fit.pretraining:
            return {}
        arm = job.arm.model_copy(update={"formulation": "pattern", "name": "", "label_noise": 0.0})
        steps = job.recipe.pretraining_steps
        recipe = job.recipe.model_copy(update={"steps": steps, "evaluate_every": None, "warmup_steps": steps // 10})
        asked = (
            arm.model_dump_json(exclude={"recipes", "method", "role", "pattern", "pattern_use", "patterns"}),
            recipe,
            fit.pretraining,
        )
        if self._begun is None or self._begun[0] != asked:
            weights = adaptation.moving(base, arm, 0, seed=0)
            learner = Learner(lambda: adaptation.speaking(base, arm, weights.working), weights, not kind(arm).own)
            course = train(Training(learner, recipe, self._texts(base, job, fit), 0, None, pulse, phase="pre-training"))
            if course.diverged:
                raise ValueError("continued pre-training diverged: a lower learning rate, or fewer steps")
            self._begun = (asked, course.result)
        return self._begun[1]

    def _texts(self, base: Base, job: Job, fit: Fit) -> list[Example]:
        """Texts without labels, each token to be foretold from those before it."""
        limit, found = self.asking.limit(base, job), []
        for ref in fit.pretraining:
            for row in ref.rows:
                text = "\n".join(self.corpus.splits[ref.split][row].fields.values())
                ids = self.encoder.ids(text)[:limit]
                if len(ids) > 1:
                    found.append(Example(ids[:-1], target=ids[1:]))
        return found

    def _labelled(self, base: Base, job: Job, fit: Fit) -> list[Example]:
        """The training rows under the job's pattern."""
        rows = self.encoder.rows(self.asking.template(job), self.asking.limit(base, job), self.corpus, fit.train)
        return self.asking.examples(job, rows, fit.train)

    def _lesson(self, base: Base, job: Job, fit: Fit, pulse: Pulse) -> Lesson:
        """What there is to learn from: the labelled rows, what a teacher says of rows, or preferences."""
        if job.arm.preference is not None:
            return self._judged(base, job, fit, pulse)
        template, limit, how = self.asking.template(job), self.asking.limit(base, job), job.arm.distillation
        if how is None and job.arm.marks == "tags":
            return Lesson(self._tagged(base, job, fit.train))
        if how is None:
            return Lesson([example for view in patterns.views(job) for example in self._labelled(base, view, fit)])
        plain = adaptation.tuned(base, job.arm.model_copy(update={"adaptation": "none"}), self.asking.tokens(job), {})

        def said(context: Context, ref: RowRef) -> Prediction:
            def answer(opening: str, places: Sequence[int]) -> Prediction:
                part = RowRef(split=ref.split, rows=tuple(ref.rows[place] for place in places))
                asked = [self.asking.template(job, opening)] * len(places)
                rows = self.asking.encoded(base, job, asked, part)
                if how.calibration == "none":
                    return predict(plain, rows, pulse)
                return self.asking.calibrated(base, job, plain, asked, rows, pulse, "scoring")

            fields = [self.corpus.splits[ref.split][row].fields for row in ref.rows]
            texts = [template.filled(self.encoder.fitting(template, each, limit)[0]) for each in fields]
            return answers(context, texts, answer)

        def rows_of(ref: RowRef) -> Sequence[Tokens]:
            return self.encoder.rows(template, limit, self.corpus, ref)

        shown = Context(text=how.context) if how.context else Context(self._demonstrations(base, job, fit))
        return taught(how, shown, said, rows_of, fit, self.asking.answers(job, fit.train))

    def _training(self, base: Base, job: Job, fit: Fit, learner: Learner, pulse: Pulse) -> Training:
        """A training that is ready for its first step."""
        lesson = self._lesson(base, job, fit, pulse)
        if not lesson.examples:
            raise ValueError("there are no training rows")
        validation = None
        if fit.validation is not None and fit.validation.rows and job.recipe.evaluate_every:
            ref, say = fit.validation, self._teller(base, job, learner.tuned, None, pulse)
            answers_of = ref.rows if job.compares else self.asking.answers(job, ref)
            validation = Validation(lambda: say(ref, "validating"), answers_of)
        return Training(
            learner, job.recipe, lesson.examples, fit.order_seed, validation, pulse, note=lesson.note,
            backward=lesson.backward,
        )  # fmt: skip

    def _shown(self, base: Base, job: Job, fit: Fit, pulse: Pulse, searched: Mapping[str, Any]) -> bytes:
        """The state of an in-context arm; of an ensemble the same rows under each pattern."""
        facts = {**self._facts(job), **searched}
        if job.arm.demonstrations_by == "balanced":
            facts["views"] = [self._demonstrations(base, view, fit).facts() for view in patterns.views(job)]
            return facts_only(_flat(facts))
        rows = self.corpus.rows(fit.train)
        vectors = self.sentences.neighbourly([row.fields for row in rows], pulse)
        facts["views"] = [self._examples_shown(base, view, fit).facts() for view in patterns.views(job)]
        return facts_only(_flat(facts), vectors=vectors.astype(np.float32))

    def _examples_shown(self, base: Base, job: Job, fit: Fit) -> Demonstrations:
        """Every labelled example as it would be shown."""
        rows = self.corpus.rows(fit.train)
        return demonstrations.written(
            self.encoder, self.asking.template(job), self._shown_answers(job, fit.train), rows,
            count=job.recipe.demonstrations, limit=self.asking.limit(base, job),
        )  # fmt: skip

    @cached_property
    def sentences(self) -> Sentences:
        """The sentence encoder, loaded at its first use."""
        return Sentences(self._encoder_folder, self.corpus, self.device, self.threads)

    def _demonstrations(self, base: Base, job: Job, fit: Fit) -> Demonstrations:
        """Labelled examples before every query; they leave room for the longest one."""
        return demonstrations.chosen(
            self.encoder,
            self.asking.template(job),
            self._shown_answers(job, fit.train),
            self.corpus.rows(fit.train),
            count=job.recipe.demonstrations,
            limit=self.asking.limit(base, job),
            room=self.asking.room(base, job) - self.asking.limit(base, job),
            seed=fit.order_seed,
        )

    def _shown_answers(self, job: Job, ref: RowRef) -> list[str]:
        """What follows each row's pattern where it is shown: its label's word, or its target and how that ends."""
        if job.arm.generation is None:
            words = self.asking.words(job)
            return [f" {words[label]}" for label in self.asking.answers(job, ref)]
        gap, ends = self.asking.template(job).gap, job.arm.generation.end_tokens
        end = "" if job.arm.generation.stop_at_newline or not ends else self.encoder.tokenizer.id_to_token(ends[0])
        return [f"{gap}{target.strip()}{end or ''}" for target in self.asking.answers(job, ref)]

    def predictor(self, job: Job, state: bytes | None, pulse: Pulse) -> Predictor:
        """What predicts rows from a state, or from none where the arm needs none.

        Raises:
            ValueError: without a state that is needed.
        """
        arm, base = job.arm, self.base(job, pulse)
        if not state and (arm.trained or arm.formulation == "in-context"):
            raise ValueError(f"{arm.name}: nothing was fitted, and no state is given")
        job = patterns.as_fitted(job, about(state or b""))
        tensors = adaptation.restored(base, arm, state) if arm.trained and state else {}
        tuned = adaptation.tuned(base, arm, self.asking.tokens(job), tensors)
        last, self._seen = self._seen, None
        say = self._teller(base, job, tuned, state, pulse)

        def predict_rows(ref: RowRef) -> Said:
            if last is not None and last.state is state and last.rows == ref:
                return last.prediction
            return say(ref, "scoring")

        return predict_rows

    def _teller(self, base: Base, job: Job, tuned: Tuned, state: bytes | None, pulse: Pulse) -> Teller:
        """What predicts rows, writes texts for them, or compares theirs; an ensemble by the mean of its patterns."""
        if job.compares:
            return self._comparer(base, job, tuned, pulse)
        if job.arm.marks == "tags":
            tag = self._tagger(job, tuned, pulse)
            return lambda ref, phase: tag(self._laid(base, job, ref), phase)
        shown: Sequence[Any] = [None] * len(patterns.views(job))
        if job.arm.formulation == "in-context" and state:
            shown = self._remembered(job, state)
        parts = [
            self._asker(base, view, tuned, known, pulse) for view, known in zip(patterns.views(job), shown, strict=True)
        ]
        if len(parts) == 1:
            return parts[0]

        def together(ref: RowRef, phase: Phase) -> Said:
            said = [part(ref, phase) for part in parts]
            return pooled([one for one in said if isinstance(one, Prediction)])

        return together

    def _remembered(self, job: Job, state: bytes) -> list[Demonstrations | Neighbours]:
        """What an in-context state shows, pattern by pattern."""
        facts = about(state)
        known = [Demonstrations.of(each) for each in facts.get("views", [facts])]
        if job.arm.demonstrations_by == "balanced":
            return [*known]
        vectors = load_arrays(state)["vectors"].astype(np.float64)
        return [Neighbours(each, vectors) for each in known]

    def _asker(
        self, base: Base, job: Job, tuned: Tuned, shown: Demonstrations | Neighbours | None, pulse: Pulse
    ) -> Teller:
        """What asks one pattern about rows, behind demonstrations where there are some."""
        say = self._sayer(job, tuned, pulse)

        def ask(ref: RowRef, phase: Phase) -> Said:
            asked = self.asking.asked(base, job, shown, ref, pulse)
            rows = self.asking.encoded(base, job, asked, ref)
            if job.arm.calibration == "none":
                return say(rows, phase)
            return self.asking.calibrated(base, job, tuned, asked, rows, pulse, phase)

        return ask

    def general(self, job: Job, state: bytes, pulse: Pulse) -> General:
        """What the language model can do beside the task, before and in a state."""
        arm, base = job.arm, self.base(job, pulse)
        asked = exam(self.encoder, self.asking.room(base, job))
        name = arm.base, asked.size
        if name not in self._before:
            self._before[name] = ability(adaptation.untouched(base), asked)
        before, tensors = self._before[name], adaptation.restored(base, arm, state)
        after, seconds = timed(adaptation.speaking(base, arm, tensors), asked)
        return General(
            version=asked.version, loss_before=before.loss, loss=after.loss, accuracy_before=before.accuracy,
            accuracy=after.accuracy, tokens=asked.size[0], items=asked.size[1], seconds=seconds,
        )  # fmt: skip

    def key(self, job: Job) -> Hashable:
        """What of a job changes the base's features of a row."""
        arm = job.arm
        return arm.pattern, arm.max_tokens, arm.precision, tuple(self.asking.words(job))

    def read(self, job: Job, ref: RowRef, pulse: Pulse) -> list[Vector]:
        """The base's features of each row, its text in the arm's pattern."""
        base = self.base(job, pulse)
        rows = self.encoder.rows(self.asking.template(job), self.asking.limit(base, job), self.corpus, ref)
        return [vector.numpy() for vector in features(base.reader(base.model), rows, pulse)]

    def _sayer(self, job: Job, tuned: Tuned, pulse: Pulse) -> Sayer:
        """What predicts labels for rows of tokens, or writes texts."""
        if job.arm.marks == "set":
            return lambda rows, phase: predict_sets(tuned, rows, job.metric, pulse, phase)
        if job.arm.generation is None:
            return lambda rows, phase: predict(tuned, rows, pulse, phase)
        ending = Ending(job.arm.generation, self.encoder.tokenizer)

        def written(rows: Sequence[Tokens], phase: Phase) -> Written:
            texts, seconds = write(tuned, rows, ending, pulse, phase)
            return Written(texts=texts, metric=job.metric, seconds=seconds)

        return written

    def _laid(self, base: Base, job: Job, ref: RowRef) -> list[Laid]:
        """The words of each row; all that the model can read, whatever was longest in training."""
        texts = (next(iter(row.fields.values())) for row in self.corpus.rows(ref))
        return [laid(self.encoder.tokenizer, text, self.asking.room(base, job)) for text in texts]

    def _tagged(self, base: Base, job: Job, ref: RowRef) -> list[Example]:
        """Rows with a tag at the end of each word."""
        pairs = zip(self._laid(base, job, ref), self.asking.answers(job, ref), strict=True)
        return [Example(row.tokens, target=row.targets(tags)) for row, tags in pairs]

    def _tagger(self, job: Job, tuned: Tuned, pulse: Pulse) -> Callable[[Sequence[Laid], Phase], Marked]:
        """What gives each word its tag; words behind the model's last position are outside of all spans."""
        names = self.corpus.labels
        outside = names.index(OUTSIDE) if OUTSIDE in names else 0
        return lambda rows, phase: predict_tags(tuned, rows, outside, job.metric, pulse, phase, names)

    def _compared(self, base: Base, job: Job, ref: RowRef) -> tuple[list[list[Example]], list[bool | None]]:
        """(the texts of each row, the preferred one first; whether the only one was liked, None for a pair)."""
        assert job.arm.generation is not None
        texts, liked = list[list[Example]](), list[bool | None]()
        rows = self.encoder.rows(self.asking.template(job), self.asking.limit(base, job), self.corpus, ref)
        for tokens, row in zip(rows, self.corpus.rows(ref), strict=True):
            both = [row.target, *([row.rejected] if row.rejected else [])]
            texts.append([self.asking.written(job, job.arm.generation, tokens, text) for text in both])
            liked.append(None if row.rejected else row.label == 1)
        return texts, liked

    def _measure(self, base: Base, job: Job, pulse: Pulse, phase: Phase) -> Measure:
        """Measures texts by the base itself."""
        plain = adaptation.tuned(base, job.arm.model_copy(update={"adaptation": "none"}), self.asking.tokens(job), {})
        return lambda texts: self._reference.of(
            job.arm.base, texts, lambda new: measured(plain, new, pulse, phase)
        )  # fmt: skip

    def _judged(self, base: Base, job: Job, fit: Fit, pulse: Pulse) -> Lesson:
        """The training rows with what the loss knows of the base, and the loss."""
        assert job.arm.preference is not None
        texts, liked = self._compared(base, job, fit.train)
        said = [(True, False) if one is None else (one,) for one in liked]
        examples = training_examples(texts, said, job.arm.preference, self._measure(base, job, pulse, "training"))
        counts = sum(one is not False for one in liked), sum(one is not True for one in liked)
        return Lesson(examples, backward=Judge(job.arm.preference, balance(*counts)).backward)

    def _comparer(self, base: Base, job: Job, tuned: Tuned, pulse: Pulse) -> Callable[[RowRef, Phase], Compared]:
        """What says how likely the arm finds the texts of rows, beside its base."""

        def compare(ref: RowRef, phase: Phase) -> Compared:
            texts, liked = self._compared(base, job, ref)
            reference = self._measure(base, job, pulse, phase)
            own: Measure = reference if not job.arm.trained else lambda some: measured(tuned, some, pulse, phase)
            return compared(texts, liked, own, reference)

        return compare

    def _facts(self, job: Job) -> dict[str, Any]:
        """What a reader of the state must know."""
        arm = job.arm
        return {
            "formulation": arm.formulation,
            "adaptation": arm.adaptation,
            "lora": arm.lora.model_dump(mode="json") if arm.lora else None,
            "precision": arm.precision,
            "pattern": arm.pattern,
            "labels": self.corpus.labels,
            "words": self.asking.words(job),
            "tokens": self.asking.tokens(job),
            **({"marks": arm.marks} if arm.marks else {}),
        } | ({"generation": arm.generation.model_dump(mode="json")} if arm.generation else {})


def _fit_of(job: Job) -> Fit:
    assert job.fit is not None
    return job.fit


def _search_facts(found: Sequence[Rated]) -> dict[str, Any]:
    return {"search": [one.facts() for one in found]} if found else {}


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    """One pattern's demonstrations stand beside the other facts."""
    first, *more = facts.pop("views")
    return {**facts, "views": [first, *more]} if more else {**facts, **first}
