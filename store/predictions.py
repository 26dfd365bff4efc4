"""The predictions of one stage on one split, by columns, as they are kept on the disk.

Probabilities are rounded to six decimals: a row of four labels takes about 40 bytes.
"""

import json
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from fewtune.specs.evaluation import Metric
from fewtune.store.answer_file import AnswerFile
from fewtune.store.artefacts import PREDICTIONS, Artefact, foreign
from fewtune.store.event import Number, Scores
from fewtune.store.judgements import Judgements
from fewtune.store.markings import Markings
from fewtune.store.metrics import Answers, IntArray, score
from fewtune.store.writings import Writings

PREDICTIONS_VERSION = 1
DECIMALS = 6


class Predictions(AnswerFile):
    """What an arm said about the rows of a split; every column has one entry for each row."""

    version: int = PREDICTIONS_VERSION
    names: tuple[str, ...]
    """The task's labels; columns hold their indices."""
    labels: tuple[int, ...]
    """The right label."""
    predicted: tuple[int, ...]
    """The predicted label; below zero for no valid answer."""
    probabilities: tuple[tuple[Number, ...], ...]
    """(rows, labels), normalised over the labels; None where a diverged arm gave no number."""

    @property
    def confidence(self) -> list[float | None]:
        """The probability of each predicted label; None where there is no answer."""
        both = zip(self.probabilities, self.predicted, strict=True)
        return [row[label] if 0 <= label < len(row) else None for row, label in both]

    def scores(self) -> Scores:
        """Accuracy, macro-F1 and MCC; None for fewer than two rows."""
        return Scores(accuracy=self._score("accuracy"), macro_f1=self._score("macro_f1"), mcc=self._score("mcc"))

    def _score(self, metric: Metric) -> float | None:
        if len(self.rows) < 2:
            return None
        return float(score(metric, np.asarray(self.labels), np.asarray(self.predicted)))

    def artefact(self, fingerprint: str) -> Artefact:
        """The file that keeps them."""
        columns: dict[str, Any] = self.model_dump(mode="json", exclude={"probabilities"})
        columns["probabilities"] = [
            [None if p is None else round(p, DECIMALS) for p in row] for row in self.probabilities
        ]
        text = json.dumps(columns, separators=(",", ":"), allow_nan=False)
        return Artefact(fingerprint=fingerprint, name=PREDICTIONS, content=text.encode())


AnyAnswers = Predictions | Writings | Judgements | Markings
"""Answers of any kind."""
_EITHER: TypeAdapter[AnyAnswers] = TypeAdapter(AnyAnswers)


def parse_predictions(content: bytes) -> AnyAnswers:
    """Read the file again, of a label or several, of texts or of preferences.

    Raises:
        StoreError: E-artefact where another version of fewtune wrote it in another form.
    """
    try:
        return _EITHER.validate_json(content)
    except ValidationError as error:
        raise foreign(PREDICTIONS, error) from error


def right_labels(said: AnyAnswers) -> IntArray:
    """The right label of each row; 0 where it is no single label."""
    return np.asarray(said.labels if isinstance(said, Predictions) else (0,) * len(said.rows), np.int64)


def answers_to(said: AnyAnswers, metric: Metric) -> Answers:
    """What the metric takes of each row."""
    if isinstance(said, Markings):
        return said.answers(metric)
    return np.asarray(said.predicted if isinstance(said, Predictions) else said.items[metric])
