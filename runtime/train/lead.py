"""The first sentence as the summary: what a summary has to be better than, for nothing."""

import re
import time

from fewtune.runtime.job import Corpus, Fit, Fitted, Job, RowRef
from fewtune.runtime.train.prediction import Predictor, Written
from fewtune.runtime.train.pulse import Pulse

END = re.compile(r"[.!?][\"')\]]*(?=\s|$)|\n")
"""Where a sentence may end: at a full stop before a space, and at a line break."""
ABBREVIATIONS = ("dr.", "mr.", "mrs.", "ms.", "prof.", "st.", "no.", "vs.", "e.g.", "i.e.", "fig.", "approx.")
"""Full stops that end no sentence."""


def first_sentence(text: str) -> str:
    """The text up to the end of its first sentence; all of it where none ends.

    >>> first_sentence("Dr. Lee saw 3.5 cm of growth. No pain."), first_sentence("No end here")
    ('Dr. Lee saw 3.5 cm of growth.', 'No end here')
    """
    stripped = text.strip()
    ends = (stripped[: found.end()].strip() for found in END.finditer(stripped))
    return next((end for end in ends if not end.lower().endswith(ABBREVIATIONS)), stripped)


class Lead:
    """Copies the first sentence; nothing is fitted."""

    libraries = ()

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def fit(self, job: Job, fit: Fit, pulse: Pulse) -> Fitted:
        """Nothing; a plan asks for no fit of an arm that sees no rows.

        Raises:
            ValueError: always.
        """
        raise ValueError(f"{job.arm.name}: there is nothing to fit")

    def predictor(self, job: Job, state: bytes | None, pulse: Pulse) -> Predictor:
        """What copies the first sentence of each row's first field."""

        def copied(ref: RowRef) -> Written:
            start = time.perf_counter()
            pulse.beat("scoring", 0, len(ref.rows))
            rows = self.corpus.splits[ref.split]
            texts = tuple(first_sentence(next(iter(rows[row].fields.values()))) for row in ref.rows)
            return Written(texts=texts, metric=job.metric, seconds=time.perf_counter() - start)

        return copied
