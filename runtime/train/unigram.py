"""The most frequent tag of each word: what a tagger that reads the rest of the text has to be better than.

Close to the baseline of the CoNLL-2003 shared task (Tjong Kim Sang and De Meulder 2003), which looks up whole phrases.
A word that was never seen has the most frequent tag of all; of equally frequent tags the first of the list is taken.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from fewtune.runtime.job import Corpus, Fit, Fitted, Job, RowRef
from fewtune.runtime.train.memory import PeakMemory
from fewtune.runtime.train.prediction import Marked, Predictor
from fewtune.runtime.train.pulse import Pulse
from fewtune.runtime.train.state import about, facts_only

FIELD = "text"


def usual(counts: Counter[int]) -> int:
    """The most frequent tag.

    >>> usual(Counter([2, 1, 1, 2, 0]))
    1
    """
    return min(counts, key=lambda tag: (-counts[tag], tag))


def tagger(texts: Sequence[Sequence[str]], tags: Sequence[Sequence[int]]) -> tuple[dict[str, int], int]:
    """(word -> its most frequent tag, the most frequent tag of all)."""
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for words, own in zip(texts, tags, strict=True):
        for word, tag in zip(words, own, strict=True):
            counts[word][tag] += 1
    return {word: usual(each) for word, each in counts.items()}, usual(sum(counts.values(), Counter()))


class Unigram:
    """Fits and applies the arm `unigram`."""

    libraries = ()

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def fit(self, job: Job, fit: Fit, pulse: Pulse) -> Fitted:
        """Fit on the training rows; validation rows have no use here.

        Raises:
            ValueError: without training rows.
        """
        start = time.perf_counter()
        rows = self.corpus.rows(fit.train)
        if not rows:
            raise ValueError("there are no training rows")
        with PeakMemory("cpu") as peak:
            tags, rest = tagger([row.fields[FIELD].split() for row in rows], [row.marks for row in rows])
            facts = {"formulation": job.arm.formulation, "labels": self.corpus.labels, "tags": tags, "rest": rest}
            state = facts_only(facts)
        return Fitted(
            stage=fit.stage,
            fingerprint=fit.fingerprint,
            state=state,
            seconds=time.perf_counter() - start,
            peak_memory_bytes=peak.bytes,
        )

    def predictor(self, job: Job, state: bytes | None, pulse: Pulse) -> Predictor:
        """What predicts rows from a state.

        Raises:
            ValueError: without a state.
        """
        if not state:
            raise ValueError(f"{job.arm.name}: nothing was fitted, and no state is given")
        known = about(state)
        tags, rest = known["tags"], known["rest"]

        def predict(ref: RowRef) -> Marked:
            start = time.perf_counter()
            texts = [row.fields[FIELD].split() for row in self.corpus.rows(ref)]
            pulse.beat("scoring", len(texts), len(texts))
            marks = tuple(tuple(tags.get(word, rest) for word in words) for words in texts)
            return Marked(
                marks=marks, metric=job.metric, kind="tags", names=self.corpus.labels,
                seconds=time.perf_counter() - start,
            )  # fmt: skip

        return predict
