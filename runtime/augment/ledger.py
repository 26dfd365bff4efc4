"""What a teacher's answers have cost, and whether the next question still fits under the ceilings.

Recorded answers count as much as new ones: a run that is repeated from its recording stops where it stopped.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from fewtune.runtime.augment.teacher import FREE, Answer, Prices, Question, Trouble

Ceiling = Literal["tokens", "money"]


@dataclass
class Ledger:
    """Tokens and money of one sample, and their ceilings."""

    most_tokens: int | None = None
    most_cost: float | None = None
    prices: Prices = FREE
    tokens: int = 0
    cost: float = 0.0
    calls: int = 0
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

    def settle(self, answers: Iterable[Answer | Trouble]) -> None:
        """Add what answers have cost, and tries that brought none."""
        for answer in answers:
            self.calls += isinstance(answer, Answer)
            self.tokens += answer.tokens if isinstance(answer, Answer) else answer.wasted_tokens
            self.cost += answer.cost
