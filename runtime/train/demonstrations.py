"""Labelled examples in the prompt: in-context learning without training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fewtune.runtime.job import Row
from fewtune.runtime.train.linear import Floats
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


@dataclass(frozen=True)
class Neighbours:
    """All labelled examples, of which each query gets those that are most like it (arXiv 2101.06804, section 3)."""

    known: Demonstrations
    vectors: Floats
    """(examples, features), each field's part of unit length."""

    def nearest(self, query: Floats) -> list[int]:
        """Places of all examples, the most similar first; of equals the first one.

        Args:
            query: (features,)
        """
        places: list[int] = np.argsort(-(self.vectors @ query), kind="stable").tolist()
        return places

    def opening(self, query: Floats, encoder: Encoder, room: int) -> str:
        """The text before a query: as many examples as are asked for and fit, the most similar one last.

        Args:
            query: (features,)
            encoder: counts tokens.
            room: tokens of all examples; one that does not fit is passed over.
        """
        texts: list[str] = []
        for place in self.nearest(query):
            longer = [self.known.texts[place], *texts]
            if len(texts) < self.known.asked and len(encoder.ids("".join(text + BLANK for text in longer))) <= room:
                texts = longer
        return "".join(text + BLANK for text in texts)


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


def written(
    encoder: Encoder, template: Template, answers: Sequence[str], rows: Sequence[Row], *, count: int, limit: int
) -> Demonstrations:
    """Every row as it would be shown.

    Args:
        encoder: counts tokens.
        template: the pattern that query and demonstrations share.
        answers: what follows the pattern of each row.
        rows: the training rows.
        count: how many of them a query gets.
        limit: tokens of one, which is cut like a query.
    """
    fields = [encoder.fitting(template, row.fields, limit)[0] for row in rows]
    texts = [template.filled(each) + answer for each, answer in zip(fields, answers, strict=True)]
    return Demonstrations(texts=tuple(texts), labels=tuple(row.label for row in rows), asked=count)
