"""How likely one stage found the texts of a split's rows, by columns, with their scores, as they lie on the disk.

Every log-probability is the mean over a text's tokens, its end included, in nats: one definition for all arms, whatever
they were trained by, so that they compare and length alone wins nothing. Of a pair, `margin` is by how much more than
the base the arm prefers the better text, (m_w - m_l) - (base m_w - base m_l); `preference_accuracy` is 1 where the arm
itself finds the better text likelier. Of a single text, `margin` is by how much likelier than to the base it became,
with its sign turned where it was not liked; `preference_accuracy` is 1 where that is above 0. A tie counts half.
"""

from collections.abc import Sequence

from fewtune.specs.evaluation import Metric
from fewtune.specs.frozen import Frozen
from fewtune.store.answer_file import AnswerFile
from fewtune.store.event import Scores

JUDGEMENTS_VERSION = 1
DECIMALS = 6
FAR = 100.0
"""Margins beyond it, in nats a token, are of models that fell apart; they count so much."""


class Item(Frozen):
    """One row's texts."""

    own: tuple[float, ...]
    """Mean log-probability of a token of the preferred and of the rejected text, or of the only one."""
    base: tuple[float, ...]
    """The same by the base."""
    liked: bool | None = None
    """Whether the only text was; None for a pair."""

    @property
    def margin(self) -> float:
        """What training added to the preference, in nats a token."""
        gained = [after - before for after, before in zip(self.own, self.base, strict=True)]
        value = gained[0] - gained[1] if self.liked is None else gained[0] if self.liked else -gained[0]
        return max(-FAR, min(FAR, value))

    @property
    def right(self) -> float:
        """1 where the preference is the right one, 0.5 for none."""
        lead = self.own[0] - self.own[1] if self.liked is None else self.margin
        return 0.5 if lead == 0 else float(lead > 0)


class Judgements(AnswerFile):
    """What an arm preferred among the texts of a split; every column has one entry for each row."""

    version: int = JUDGEMENTS_VERSION
    preferred: tuple[str, ...]
    """The better text of a pair, or the only text."""
    rejected: tuple[str, ...]
    """The worse text of a pair; empty where there is one text."""
    judged: tuple[Item, ...]
    items: dict[Metric, tuple[float, ...]]
    """Each metric -> the score of each row."""

    @classmethod
    def scored(
        cls, split: str, rows: tuple[int, ...], texts: Sequence[tuple[str, str]], judged: Sequence[Item]
    ) -> "Judgements":
        """Score the items by every metric.

        Args:
            split: its name in the report.
            rows: index of each row.
            texts: (preferred, rejected) of each row.
            judged: how likely the arm found them.
        """
        items: dict[Metric, tuple[float, ...]] = {
            "preference_accuracy": tuple(item.right for item in judged),
            "margin": tuple(item.margin for item in judged),
        }
        short = tuple(Item(own=_short(item.own), base=_short(item.base), liked=item.liked) for item in judged)
        preferred, rejected = (tuple(pair[place] for pair in texts) for place in (0, 1))
        return cls(split=split, rows=rows, preferred=preferred, rejected=rejected, judged=short, items=items)

    def scores(self) -> Scores:
        """The mean of each metric; None without rows."""
        return Scores(**{metric: sum(each) / len(each) if each else None for metric, each in self.items.items()})


def _short(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(round(value, DECIMALS) for value in values)
