"""The texts that one stage wrote for one split, by columns, with their targets and scores, as they lie on the disk."""

from fewtune.specs.evaluation import TEXT_METRICS, Metric
from fewtune.store.answer_file import AnswerFile
from fewtune.store.event import Scores
from fewtune.store.text_metrics import item_scores

WRITINGS_VERSION = 1


class Writings(AnswerFile):
    """What an arm wrote for the rows of a split; every column has one entry for each row."""

    version: int = WRITINGS_VERSION
    targets: tuple[str, ...]
    """What was to be written."""
    texts: tuple[str, ...]
    """What was written."""
    items: dict[Metric, tuple[float, ...]]
    """Each metric of texts -> the score of each row, 0 to 1."""

    @classmethod
    def scored(cls, split: str, rows: tuple[int, ...], targets: tuple[str, ...], texts: tuple[str, ...]) -> "Writings":
        """Score the texts by every metric."""
        items = {metric: item_scores(metric, texts, targets) for metric in TEXT_METRICS}
        return cls(split=split, rows=rows, targets=targets, texts=texts, items=items)

    def scores(self) -> Scores:
        """The mean of each metric; None without rows."""
        means = {metric: sum(each) / len(each) if each else None for metric, each in self.items.items()}
        return Scores(**means)
