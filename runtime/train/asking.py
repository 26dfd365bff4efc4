"""How rows are put to the language model: in a pattern, behind demonstrations, beside texts that say nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fewtune.compiler.arm import Generation
from fewtune.compiler.wording import CONTENT_FREE
from fewtune.runtime.job import Corpus, Job, RowRef
from fewtune.runtime.train.adaptation import Tuned
from fewtune.runtime.train.contextual import calibrated
from fewtune.runtime.train.demonstrations import Demonstrations, Neighbours
from fewtune.runtime.train.loop import Example
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.prediction import Prediction
from fewtune.runtime.train.prompt import Encoder, Template
from fewtune.runtime.train.pulse import Phase, Pulse
from fewtune.runtime.train.reading import Tokens
from fewtune.runtime.train.scoring import predict
from fewtune.runtime.train.sentences import Sentences
from fewtune.specs.data import FIELD


@dataclass(frozen=True)
class Asking:
    """Puts the rows of a corpus into prompts of one pattern."""

    encoder: Encoder
    corpus: Corpus
    sentences: Callable[[], Sentences]
    """Finds texts that are alike."""

    def template(self, job: Job, opening: str = "") -> Template:
        """The job's pattern, behind an opening.

        Raises:
            ValueError: where the arm has none.
        """
        if job.arm.pattern is None:
            raise ValueError(f"{job.arm.name}: the arm has no pattern")
        return Template(job.arm.pattern, options=", ".join(self.words(job)), opening=opening)

    def words(self, job: Job) -> list[str]:
        """The word of each label."""
        return [job.words.get(label, label) for label in self.corpus.labels]

    def tokens(self, job: Job) -> list[int]:
        """The token of each label; none for a head."""
        return [] if job.arm.formulation == "head" else [job.tokens[label] for label in self.corpus.labels]

    def room(self, base: Base, job: Job) -> int:
        """Tokens that may be read: what is written needs positions, too."""
        written = job.arm.generation.max_new_tokens if job.arm.generation else 0
        return base.positions - written - job.arm.virtual_tokens

    def limit(self, base: Base, job: Job) -> int:
        """Tokens of one row in its pattern."""
        room = self.room(base, job)
        return min(job.arm.max_tokens or room, room)

    def answers(self, job: Job, ref: RowRef) -> list[Any]:
        """The label of each row, its labels, or its target."""
        rows = self.corpus.rows(ref)
        if job.arm.marks is not None:
            return [row.marks for row in rows]
        return [row.target if job.arm.generation else row.label for row in rows]

    def examples(self, job: Job, rows: Sequence[Tokens], ref: RowRef) -> list[Example]:
        """Rows with their labels; or with their targets behind them, cut where texts end, and the end-of-text token."""
        if job.arm.marks is not None:
            return [Example(row, labels=own) for row, own in zip(rows, self.answers(job, ref), strict=True)]
        if job.arm.generation is None:
            return [Example(*each) for each in zip(rows, self.answers(job, ref), strict=True)]
        texts = zip(rows, self.answers(job, ref), strict=True)
        return [self.written(job, job.arm.generation, row, text) for row, text in texts]

    def written(self, job: Job, generation: Generation, row: Tokens, text: str) -> Example:
        """A row with a text behind it, its end included."""
        target = [*self.encoder.continuation(self.template(job).gap + text.strip()), *generation.end_tokens[:1]]
        target = target[: generation.max_new_tokens]
        return Example([*row, *target[:-1]], target=target)

    def asked(
        self, base: Base, job: Job, shown: Demonstrations | Neighbours | None, ref: RowRef, pulse: Pulse
    ) -> list[Template]:
        """Each row's template."""
        if isinstance(shown, Neighbours):
            room = self.room(base, job) - self.limit(base, job)
            vectors = self.sentences().neighbourly([row.fields for row in self.corpus.rows(ref)], pulse)
            return [self.template(job, shown.opening(vector, self.encoder, room)) for vector in vectors]
        return [self.template(job, shown.opening if shown else "")] * len(ref.rows)

    def encoded(self, base: Base, job: Job, asked: Sequence[Template], ref: RowRef) -> Sequence[Tokens]:
        """The rows in their templates; those of one template are remembered."""
        if len(set(asked)) == 1:
            return self.encoder.rows(asked[0], self.long(base, job, asked[0]), self.corpus, ref)
        rows = zip(asked, self.corpus.rows(ref), strict=True)
        return [self.encoder.encode(template, row, self.long(base, job, template)) for template, row in rows]

    def long(self, base: Base, job: Job, template: Template) -> int:
        """Tokens of a row behind an opening, which is not cut."""
        limit = self.limit(base, job)
        if not template.opening:
            return limit
        return min(self.room(base, job), len(self.encoder.ids(template.opening)) + limit)

    def calibrated(
        self, base: Base, job: Job, tuned: Tuned, asked: Sequence[Template], rows: Sequence[Tokens], pulse: Pulse,
        phase: Phase,
    ) -> Prediction:  # fmt: skip
        """Probabilities beside what texts without content get in the same prompt."""
        distinct = list(dict.fromkeys(asked))
        names = set(FIELD.findall(job.arm.pattern or "")) - {"labels"}
        free = [
            self.encoder.fitting(template, dict.fromkeys(names, text), self.long(base, job, template))[1]
            for template in distinct for text in CONTENT_FREE
        ]  # fmt: skip
        said = predict(tuned, [*rows, *free], pulse, phase)
        found, empty = said.probabilities[: len(rows)], said.probabilities[len(rows) :]
        each = len(CONTENT_FREE)
        leaning = {template: empty[each * at : each * at + each] for at, template in enumerate(distinct)}
        rows_of = zip(found, asked, strict=True)
        return replace(said, probabilities=tuple(calibrated(row, leaning[template]) for row, template in rows_of))
