"""Several patterns: an arm's views of a row, and the search for the one that the base understands best.

The search trains nothing and sees the labels of its own training rows only: a pattern that is picked by the labels of
other rows makes few-shot results look better than they are (arXiv 2105.11447). Candidates are ranked by the mean
log-likelihood of the right answers under the base, which varies less than accuracy where there are few rows (there,
section 2).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fewtune.compiler.arm import Arm, Verbalizer
from fewtune.runtime.job import Fit, Job
from fewtune.runtime.train import adaptation
from fewtune.runtime.train.asking import Asking
from fewtune.runtime.train.judging import measured
from fewtune.runtime.train.model import Base
from fewtune.runtime.train.prediction import LEAST, Prediction
from fewtune.runtime.train.prompt import Template
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.scoring import predict
from fewtune.runtime.train.state import searched

SHOWN = 3
"""Candidates that a note names beside the chosen one."""


@dataclass(frozen=True)
class Candidate:
    """One way to ask."""

    pattern: str
    verbalizer: Verbalizer | None = None
    """None where a text is to be written."""

    @property
    def words(self) -> dict[str, str]:
        """Label -> word."""
        return self.verbalizer.words if self.verbalizer else {}

    def of(self, job: Job) -> Job:
        """The job asked in this way alone."""
        arm = job.arm.model_copy(
            update={"pattern": self.pattern, "pattern_use": "each", "patterns": (), "verbalizers": ()}
        )
        if self.verbalizer is None:
            return job.model_copy(update={"arm": arm})
        return job.model_copy(update={"arm": arm, "words": self.words, "tokens": self.verbalizer.tokens})


@dataclass(frozen=True)
class Rated:
    """A candidate and what the labelled texts say of it."""

    candidate: Candidate
    score: float
    """Mean log-likelihood of the right label among the labels, or of a token of the right text; in nats."""
    accuracy: float | None = None

    def facts(self) -> dict[str, Any]:
        """For a state, as JSON."""
        found = {"pattern": self.candidate.pattern, "words": self.candidate.words, "score": round(self.score, 6)}
        return found | ({} if self.accuracy is None else {"accuracy": round(self.accuracy, 6)})

    def __str__(self) -> str:
        words = "/".join(self.candidate.words.values())
        correct = "" if self.accuracy is None else f", accuracy {self.accuracy:.2f}"
        return f"{self.candidate.pattern!r}{f' with {words}' if words else ''} ({self.score:.3f}{correct})"


def candidates(job: Job) -> list[Candidate]:
    """Everything that a search tries, the usual one first."""
    arm = job.arm
    return [Candidate(text, words) for text in arm.patterns for words in (arm.verbalizers or (None,))]


def views(job: Job) -> list[Job]:
    """The job under each pattern of an ensemble; itself where it has one."""
    return [Candidate(text).of(job) for text in job.arm.patterns] if job.arm.pattern_use == "ensemble" else [job]


def rated(candidate: Candidate, probabilities: Sequence[Sequence[float]], labels: Sequence[int]) -> Rated:
    """How well the base does under a candidate.

    Args:
        candidate: a way to ask.
        probabilities: (rows, labels).
        labels: the right ones.
    """
    chosen = [max(row[label], LEAST) for row, label in zip(probabilities, labels, strict=True)]
    right = sum(row[label] == max(row) for row, label in zip(probabilities, labels, strict=True))
    return Rated(candidate, sum(map(math.log, chosen)) / len(chosen), right / len(chosen))


def best(found: Sequence[Rated]) -> Rated:
    """The first of those with the highest score."""
    return max(found, key=lambda one: one.score)


def note(found: Sequence[Rated], rows: int) -> str:
    """What a reader of the trial must know: what was chosen, and by how much."""
    first = best(found)
    others = sorted((one for one in found if one is not first), key=lambda one: -one.score)
    more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
    return f"pattern search on {rows} labelled texts: {first}; then " + ", ".join(map(str, others[:SHOWN])) + more


def as_fitted(job: Job, facts: Mapping[str, Any]) -> Job:
    """A searching arm's job under what a state says it found.

    Args:
        job: whose arm may search.
        facts: of the state.
    """
    if job.arm.pattern_use != "search":
        return job
    return Candidate(*searched(facts)).of(job)


Rate = Callable[[Candidate], Rated]


def search(asking: Asking, base: Base, job: Job, fit: Fit, pulse: Pulse) -> list[Rated]:
    """Rate every candidate on the training rows, without demonstrations and before anything is trained.

    Args:
        asking: puts rows into prompts.
        base: as it is.
        job: whose arm searches.
        fit: names the training rows.
        pulse: of the job.
    """
    rate = (by_labels if job.arm.generation is None else by_texts)(asking, base, job, fit, pulse)
    return [rate(candidate) for candidate in candidates(job)]


def by_labels(asking: Asking, base: Base, job: Job, fit: Fit, pulse: Pulse) -> Rate:
    """What rates a candidate by its labels; candidates that differ in words alone are read once."""
    labels, names = asking.answers(job, fit.train), asking.corpus.labels
    ids = sorted({token for words in job.arm.verbalizers for token in words.tokens.values()})
    plain = adaptation.tuned(base, _plain(job.arm), ids, {})
    known: dict[Template, Prediction] = {}

    def rate(candidate: Candidate) -> Rated:
        asked = candidate.of(job)
        template = asking.template(asked)
        if "{labels}" not in candidate.pattern:
            template = replace(template, options="")
        if template not in known:
            rows = asking.encoder.rows(template, asking.limit(base, asked), asking.corpus, fit.train)
            known[template] = predict(plain, rows, pulse)
        places = [ids.index(asked.tokens[name]) for name in names]
        some = [[row[place] for place in places] for row in known[template].probabilities]
        return rated(candidate, [[p / max(sum(row), LEAST) for p in row] for row in some], labels)

    return rate


def by_texts(asking: Asking, base: Base, job: Job, fit: Fit, pulse: Pulse) -> Rate:
    """What rates a candidate by how likely the right texts are, token by token."""
    plain = adaptation.tuned(base, _plain(job.arm), [], {})

    def rate(candidate: Candidate) -> Rated:
        asked = candidate.of(job)
        rows = asking.encoder.rows(asking.template(asked), asking.limit(base, asked), asking.corpus, fit.train)
        texts = asking.examples(asked, rows, fit.train)
        sums = measured(plain, texts, pulse, "scoring")
        means = [value / len(text.target) for value, text in zip(sums, texts, strict=True)]
        return Rated(candidate, sum(means) / len(means))

    return rate


def _plain(arm: Arm) -> Arm:
    """The arm on the base as it is."""
    return arm.model_copy(update={"adaptation": "none"})
