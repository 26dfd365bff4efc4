"""What an evaluate stage leaves of a split's rows: a file of columns, and the event that names it."""

from abc import abstractmethod

from fewtune.specs.frozen import Frozen
from fewtune.store.artefacts import PREDICTIONS, Artefact
from fewtune.store.event import Evaluated, Scores


class AnswerFile(Frozen):
    """Answers to a split's rows by columns, each with one entry for each row."""

    version: int
    split: str
    """The split's name in the report."""
    rows: tuple[int, ...]
    """Index of each row in its split, from 0."""

    @abstractmethod
    def scores(self) -> Scores:
        """All metrics; None without rows."""

    def artefact(self, fingerprint: str) -> Artefact:
        """The file that keeps them."""
        return Artefact(fingerprint=fingerprint, name=PREDICTIONS, content=self.model_dump_json().encode())

    def evaluated(self, *, fingerprint: str, attempt: str, seconds: float, content: str) -> tuple[Evaluated, Artefact]:
        """The event and the file for the journal.

        Args:
            fingerprint: of the evaluate stage.
            attempt: who computed them.
            seconds: how long that took.
            content: digest of the split's texts and answers.
        """
        artefact = self.artefact(fingerprint)
        event = Evaluated(
            fingerprint=fingerprint,
            attempt=attempt,
            split=self.split,
            metrics=self.scores(),
            items=len(self.rows),
            seconds=seconds,
            artefact=artefact.ref,
            content=content,
        )
        return event, artefact
