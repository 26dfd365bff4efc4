"""The texts that one stage wrote for one split, by columns, with their targets and scores, as they lie on the disk."""

from fewtune.specs.evaluation import TEXT_METRICS, Metric
from fewtune.specs.frozen import Frozen
from fewtune.store.artefacts import PREDICTIONS, Artefact
from fewtune.store.event import Evaluated, Scores
from fewtune.store.text_metrics import item_scores

WRITINGS_VERSION = 1


class Writings(Frozen):
    """What an arm wrote for the rows of a split; every column has one entry for each row."""

    version: int = WRITINGS_VERSION
    split: str
    """The split's name in the report."""
    rows: tuple[int, ...]
    """Index of each row in its split, from 0."""
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

    def artefact(self, fingerprint: str) -> Artefact:
        """The file that keeps them."""
        return Artefact(fingerprint=fingerprint, name=PREDICTIONS, content=self.model_dump_json().encode())

    def evaluated(self, *, fingerprint: str, attempt: str, seconds: float, content: str) -> tuple[Evaluated, Artefact]:
        """The event and the file for the journal; see `Predictions.evaluated`."""
        artefact = self.artefact(fingerprint)
        event = Evaluated(
            fingerprint=fingerprint, attempt=attempt, split=self.split, metrics=self.scores(), items=len(self.rows),
            seconds=seconds, artefact=artefact.ref, content=content,
        )  # fmt: skip
        return event, artefact
