"""What a teacher is: questions in, texts with their tokens and cost out.

A question holds all that shapes its answer, so its hash names the answer for ever; the time of asking, keys and
addresses are no part of it.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, Protocol

from fewtune.compiler.fingerprint import canonical
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.specs.frozen import Frozen

CHARACTERS_PER_TOKEN = 3.0
"""A cautious guess where nobody has counted: English text has about four."""
TroubleKind = Literal["server", "rate-limit", "cut", "refused", "not-recorded"]


class Question(Frozen):
    """One call of a teacher."""

    system: str
    user: str
    form: dict[str, Any] | None = None
    """JSON Schema of the answer; None: plain text."""
    max_tokens: int
    temperature: float
    seed: int
    """Of the sampling; two questions in the same words differ in it."""

    @cached_property
    def content(self) -> str:
        """Its canonical JSON."""
        return canonical(self.model_dump(mode="json"))

    def key(self, model: str) -> str:
        """SHA-256 of the question to this model."""
        return hashlib.sha256(f"teacher call\n{model}\n{self.content}".encode()).hexdigest()

    @property
    def most_tokens(self) -> int:
        """Tokens that it can cost: a guess of the prompt, and the longest answer."""
        return guessed_tokens(self.system) + guessed_tokens(self.user) + self.max_tokens


class Answer(Frozen):
    """What a teacher said."""

    text: str
    model: str
    """As the teacher names itself."""
    prompt_tokens: int
    completion_tokens: int
    cost: float = 0.0
    """In the currency of the prices that were given; 0 without prices."""
    counted: bool = True
    """Whether the tokens were counted by the teacher, or guessed from the characters."""
    wasted_tokens: int = 0
    """Tokens of earlier tries that were cut."""
    ended: Literal["stop", "length"] = "stop"
    """Whether the text is whole."""

    @property
    def tokens(self) -> int:
        """All that was spent."""
        return self.prompt_tokens + self.completion_tokens + self.wasted_tokens


class Prices(Frozen):
    """Money for a million tokens."""

    prompt: float = 0.0
    completion: float = 0.0

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Of one call."""
        return (self.prompt * prompt_tokens + self.completion * completion_tokens) / 1e6


FREE = Prices()


class Trouble(Frozen):
    """Why there is no answer."""

    kind: TroubleKind
    message: str
    tries: int = 0


class Teacher(Protocol):
    """Anything that answers questions."""

    model: str
    """Its name: a part of every question's key."""
    structured: bool
    """Whether it can be asked for JSON."""
    note: str
    """What a reader of its texts must know; empty: nothing."""

    def ask(self, questions: Sequence[Question]) -> Iterator[tuple[int, Answer | Trouble]]:
        """Each question's place with its answer, as soon as it is there, in any order."""


def guessed_tokens(text: str) -> int:
    """Tokens of a text that nobody has counted.

    >>> guessed_tokens("five words of plain text")
    8
    """
    return -(-len(text) // int(CHARACTERS_PER_TOKEN))


def teacher_error(trouble: Trouble) -> RunError:
    """The error that ends what cannot go on without the answer."""
    if trouble.kind == "not-recorded":
        remedy = "ask the teacher itself (replay = false), or replay with the settings that were recorded"
        return RunError(Diagnostic(code="E-not-recorded", message=trouble.message, remedy=remedy))
    remedy = "answers so far are recorded and will not be asked for again: repair the teacher and repeat the command"
    return RunError(Diagnostic(code="E-teacher", message=trouble.message, remedy=remedy))
