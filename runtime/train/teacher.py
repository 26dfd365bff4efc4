"""A teacher: the base with a context that the student does not see (arXiv 2112.00861 section 3, arXiv 2209.15189).

The context is demonstrations or a text of the user. Where the teacher answers a demonstration's own text, that one is
taken out of its context: it would only repeat the label. Before anything is learnt from it, the teacher has to beat
zero-shot and the majority class on the labelled texts; an untrained or badly prompted one passes its errors on.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fewtune.compiler.arm import Distillation
from fewtune.runtime.job import Fit, RowRef
from fewtune.runtime.train.demonstrations import BLANK, Demonstrations
from fewtune.runtime.train.loop import Backward, Example
from fewtune.runtime.train.loss import NO_LABEL, Soft
from fewtune.runtime.train.prediction import Prediction
from fewtune.runtime.train.reading import Tokens

Answering = Callable[[str, Sequence[int]], Prediction]
"""(text before the query, places of rows) -> what the base says of the rows."""


@dataclass(frozen=True)
class Verdict:
    """How well a teacher knows the labelled texts, beside what needs no context."""

    teacher: float
    """Accuracy, each text without its own demonstration."""
    zero_shot: float
    majority: float
    rows: int

    @property
    def leads(self) -> bool:
        """Whether there is anything to learn from it."""
        return self.teacher > max(self.zero_shot, self.majority)

    @property
    def note(self) -> str:
        """What to say where the gate stays closed."""
        return (
            f"nothing was distilled: on {self.rows} labelled texts the teacher has {self.teacher:.2f}, zero-shot "
            f"{self.zero_shot:.2f}, the majority class {self.majority:.2f}"
        )


@dataclass(frozen=True)
class Context:
    """What a teacher sees before each text."""

    demonstrations: Demonstrations | None = None
    text: str = ""
    """Instead of demonstrations."""

    def before(self, shown: str) -> str:
        """The opening for a text; a demonstration of the same text (as it begins in the prompt) is left out.

        With it goes the last one of each other label: else the text's own label would be the rarest in the context, and
        the teacher would be held down just where it is asked.
        """
        if self.demonstrations is None:
            return self.text + BLANK if self.text else ""
        known = self.demonstrations
        own = {place for place, text in enumerate(known.texts) if text.startswith(shown)}
        if own:
            last = {label: place for place, label in enumerate(known.labels)}
            told = {known.labels[place] for place in own}
            own |= {place for label, place in last.items() if label not in told}
        kept = tuple(text for place, text in enumerate(known.texts) if place not in own)
        return replace(known, texts=kept).opening


def answers(context: Context, shown: Sequence[str], answer: Answering) -> Prediction:
    """What the teacher says of rows.

    Args:
        context: what it sees.
        shown: each row's filled pattern, by which a demonstration of the same row is known.
        answer: asks the base about rows behind an opening.
    """
    groups: dict[str, list[int]] = {}
    for place, text in enumerate(shown):
        groups.setdefault(context.before(text), []).append(place)
    found: dict[int, tuple[float, ...]] = {}
    seconds = 0.0
    for opening, places in groups.items():
        said = answer(opening, places)
        found.update(zip(places, said.probabilities, strict=True))
        seconds += said.seconds
    return Prediction(probabilities=tuple(found[place] for place in range(len(shown))), seconds=seconds)


def verdict(taught: Prediction, zero_shot: Prediction, labels: Sequence[int]) -> Verdict:
    """Compare a teacher with what needs no context, on labelled texts."""
    (_, most), *_ = Counter(labels).most_common(1)
    return Verdict(
        teacher=taught.accuracy(labels),
        zero_shot=zero_shot.accuracy(labels),
        majority=most / len(labels),
        rows=len(labels),
    )


def softened(probabilities: Sequence[float], temperature: float) -> tuple[float, ...]:
    """Softmax of the logits over a temperature, from the softmax at one.

    >>> [round(p, 3) for p in softened([0.8, 0.2], 2.0)]
    [0.667, 0.333]
    """
    powers = [p ** (1.0 / temperature) for p in probabilities]
    return tuple(power / sum(powers) for power in powers)


@dataclass(frozen=True)
class Lesson:
    """What a training learns from."""

    examples: Sequence[Example]
    note: str = ""
    """Why there is nothing to learn; empty: there is."""
    backward: Backward | None = None
    """How it is learnt; None: by cross-entropy."""


def taught(
    how: Distillation,
    context: Context,
    said: Callable[[Context, RowRef], Prediction],
    rows_of: Callable[[RowRef], Sequence[Tokens]],
    fit: Fit,
    labels: Sequence[int],
) -> Lesson:
    """A teacher's answers, if it leads on the labelled rows.

    Args:
        how: temperature and the labels' weight.
        context: what the teacher sees.
        said: what the base says of rows in a context.
        rows_of: the rows as the student reads them.
        fit: names the labelled rows and the texts without labels.
        labels: of the labelled rows.
    """
    own = said(context, fit.train)
    found = verdict(own, said(Context(), fit.train), labels)
    labelled = _examples(how, rows_of(fit.train), own, labels)
    if not found.leads:
        return Lesson(labelled, found.note)
    if fit.transfer is None:
        return Lesson(labelled)
    texts = _examples(how, rows_of(fit.transfer), said(context, fit.transfer), None)
    return Lesson([*texts, *(labelled if how.label_weight else [])])


def _examples(
    how: Distillation, rows: Sequence[Tokens], said: Prediction, labels: Sequence[int] | None
) -> list[Example]:
    """Rows with the teacher's answers; without labels these are all that counts."""
    weight = how.label_weight if labels is not None else 0.0
    softs = [Soft(softened(each, how.temperature), how.temperature, weight) for each in said.probabilities]
    found = labels or [NO_LABEL] * len(rows)
    return [Example(tokens, label, soft=soft) for tokens, label, soft in zip(rows, found, softs, strict=True)]
