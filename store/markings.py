"""The sets of labels, or the tags, that one stage gave a split's rows, by columns, as they lie on the disk."""

from functools import cached_property

import numpy as np

from fewtune.specs.evaluation import SET_METRICS, TAG_METRICS, Metric
from fewtune.specs.task import Marks
from fewtune.store.answer_file import AnswerFile
from fewtune.store.event import Number, Scores
from fewtune.store.metrics import Answers, score
from fewtune.store.tally import of_item, tallies

MARKINGS_VERSION = 1
DECIMALS = 6


class Markings(AnswerFile):
    """What an arm said about the rows of a split; every column has one entry for each row."""

    version: int = MARKINGS_VERSION
    marks: Marks
    """Whether the labels of a row are a set or a tag for each word."""
    names: tuple[str, ...]
    """The task's labels; columns hold their indices."""
    wanted: tuple[tuple[int, ...], ...]
    """The right labels in rising order, or the right tag of each word."""
    said: tuple[tuple[int, ...], ...]
    """The predicted ones."""
    shares: tuple[tuple[Number, ...], ...] = ()
    """(rows, labels) probability of each label by itself; none of tags."""

    @cached_property
    def numbers(self) -> list[list[int]]:
        """The tally of each row."""
        pairs = zip(self.wanted, self.said, strict=True)
        return [of_item(self.marks, wanted, said, self.names) for wanted, said in pairs]

    @property
    def right(self) -> list[float]:
        """1 for each row whose labels are all right, and no other; else 0."""
        return [float(wanted == said) for wanted, said in zip(self.wanted, self.said, strict=True)]

    def words(self, labels: tuple[int, ...]) -> str:
        """Labels as a person reads them."""
        return ("; " if self.marks == "set" else " ").join(self.names[label] for label in labels)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of such labels."""
        return SET_METRICS if self.marks == "set" else TAG_METRICS

    def answers(self, metric: Metric) -> Answers:
        """What the metric takes of each row."""
        return np.asarray(self.right) if metric == "subset_accuracy" else tallies(self.numbers)

    def scores(self) -> Scores:
        """All metrics; None without rows."""
        nothing = np.zeros(len(self.rows), np.int64)
        return Scores(
            **{
                metric: float(score(metric, nothing, self.answers(metric))) if self.rows else None
                for metric in self.metrics
            }
        )
