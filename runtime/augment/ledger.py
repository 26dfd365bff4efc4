"""What a teacher's answers have cost, and whether the next question still fits under the ceilings.

Recorded answers count as much as new ones: a run that is repeated from its recording stops where it stopped.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from fewtune.runtime.augment.teacher import FREE, Answer, Prices, Question, Trouble, teacher_error
from fewtune.specs.diagnostic import RunError

Ceiling = Literal["tokens", "money"]
MANY = 8
"""Questions that are refused one after the other, a whole round, after which no more are asked."""


@dataclass
class Ledger:
    """Tokens and money of one sample, and their ceilings."""

    most_tokens: int | None = None
    most_cost: float | None = None
    prices: Prices = FREE
    tokens: int = 0
    cost: float = 0.0
    calls: int = 0
    refused: int = 0
    """Questions that were refused."""
    in_a_row: int = 0
    """Of them, those since the last answer."""
    refusal: str = ""
    """What was said to the last of them."""
    watch: Callable[[], None] = lambda: None
    """Raises where the operator's ceilings are reached; asked before each batch."""
    lost: Callable[[Question], Trouble | None] = lambda question: None
    """What earlier commands lost on a question, of which no answer came."""

    def affordable(self, questions: Sequence[Question]) -> tuple[int, Ceiling | None]:
        """How many of the questions fit, in their order, each answer as long as it may be; what forbids more."""
        tokens, cost = self.tokens, self.cost
        for place, question in enumerate(questions):
            tokens += question.most_tokens
            cost += self.prices.cost(question.most_tokens - question.max_tokens, question.max_tokens)
            if (lost := self.lost(question)) is not None:
                tokens, cost = tokens + lost.wasted_tokens, cost + lost.cost
            if self.most_tokens is not None and tokens > self.most_tokens:
                return place, "tokens"
            if self.most_cost is not None and cost > self.most_cost:
                return place, "money"
        return len(questions), None

    @property
    def note(self) -> str:
        """What was refused, in words; empty: nothing."""
        if not self.refused:
            return ""
        times = "a question was refused" if self.refused == 1 else f"{self.refused} questions were refused"
        row = f", the last {self.in_a_row} of them in a row, which ended it" if self.in_a_row >= MANY else ""
        return f"{times}{row} ({self.refusal})"

    def refused_all(self) -> RunError:
        """The error of a teacher that answers nothing."""
        message = f"nothing was answered, {self.in_a_row} questions in a row were refused; the last: {self.refusal}"
        return teacher_error(Trouble(kind="refused", message=message))

    def settle(self, answers: Iterable[Answer | Trouble]) -> None:
        """Add what answers have cost, and tries that brought none."""
        for answer in answers:
            self.calls += isinstance(answer, Answer)
            if isinstance(answer, Answer):
                self.in_a_row = 0
            elif answer.kind == "refused":
                self.refused, self.in_a_row, self.refusal = self.refused + 1, self.in_a_row + 1, answer.message
            self.tokens += answer.tokens if isinstance(answer, Answer) else answer.wasted_tokens
            self.cost += answer.cost
