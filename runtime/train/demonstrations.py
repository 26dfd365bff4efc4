"""Labelled examples in the prompt: in-context learning without training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fewtune.runtime.job import Row
from fewtune.runtime.train.order import balanced, permutation
from fewtune.runtime.train.prompt import Encoder, Template

BLANK = "\n\n"


@dataclass(frozen=True)
class Demonstrations:
    """The examples that stand before every query."""

    texts: tuple[str, ...]
    """Filled patterns with their label's word or target, in the prompt's order."""
    labels: tuple[int, ...]
    asked: int
    """How many the recipe wanted."""

    @property
    def opening(self) -> str:
        """The text before the query."""
        return "".join(text + BLANK for text in self.texts)

    def facts(self) -> dict[str, Any]:
        """What predicting later needs, as JSON."""
        return {"demonstrations": self.texts, "labels_shown": self.labels, "used": len(self.texts), "asked": self.asked}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> "Demonstrations":
        """Read what `facts` wrote."""
        return cls(texts=tuple(facts["demonstrations"]), labels=tuple(facts["labels_shown"]), asked=facts["asked"])


def chosen(
    encoder: Encoder,
    template: Template,
    answers: Sequence[str],
    rows: Sequence[Row],
    count: int,
    limit: int,
    room: int,
    seed: int,
) -> Demonstrations:
    """Choose demonstrations balanced over the labels if there are any, then shuffle them.

    Args:
        encoder: counts their tokens.
        template: the pattern that query and demonstrations share.
        answers: what follows the pattern of each row: its label's word, or its target.
        rows: the training rows.
        count: how many are wanted.
        limit: tokens of one demonstration, which is cut like a query.
        room: tokens of all of them; one that does not fit is passed over.
        seed: of the choice and of the order.
    """
    texts: list[str] = []
    labels: list[int] = []
    for place in balanced([row.label for row in rows], seed)[:count]:
        row = rows[place]
        fields, _ = encoder.fitting(template, row.fields, limit)
        text = template.filled(fields) + answers[place]
        if len(encoder.ids("".join(shown + BLANK for shown in [*texts, text]))) <= room:
            texts.append(text)
            labels.append(row.label)
    order = permutation(len(texts), seed, 1)
    return Demonstrations(
        texts=tuple(texts[place] for place in order), labels=tuple(labels[place] for place in order), asked=count
    )
