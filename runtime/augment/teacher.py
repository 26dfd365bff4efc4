"""What a teacher is: questions in, texts with their tokens and cost out.

A question holds all that shapes its answer, so its hash names the answer for ever; the time of asking, keys and
addresses are no part of it.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal, Protocol

from fewtune.compiler.fingerprint import canonical
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.specs.frozen import Frozen

LETTERS_PER_TOKEN = 2
"""Letters from A to Z and spaces of a token, a cautious guess: English text has four, odd names two and a half."""
PLAIN = re.compile(r"[A-Za-z\s]+")
TroubleKind = Literal["server", "rate-limit", "cut", "refused", "denied", "not-recorded"]
"""refused: this question, whoever asks it. denied: whoever asks, a wrong key or an unknown model."""


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
    wasted_tokens: int = 0
    """Tokens of tries that were cut: they may have been paid for."""
    cost: float = 0.0
    """Of these, in the currency of the prices."""


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
    """Tokens of a text that nobody has counted, rather too many.

    A run of plain letters by its length; of all else, digits and punctuation included, each byte of UTF-8 may be a
    token: no more come out of a vocabulary that is built on bytes, whatever the language.

    >>> guessed_tokens("five words of plain text"), guessed_tokens("五つの言葉"), guessed_tokens("2,50")
    (12, 15, 4)
    """
    letters = sum(len(run) for run in PLAIN.findall(text))
    return -(-letters // LETTERS_PER_TOKEN) + len(PLAIN.sub("", text).encode(errors="replace"))


def teacher_error(trouble: Trouble) -> RunError:
    """The error that ends what cannot go on without the answer."""
    if trouble.kind == "not-recorded":
        remedy = "ask the teacher itself (replay = false), or replay with the settings that were recorded"
        return RunError(Diagnostic(code="E-not-recorded", message=trouble.message, remedy=remedy))
    remedy = "answers so far are recorded and will not be asked for again: repair the teacher and repeat the command"
    return RunError(Diagnostic(code="E-teacher", message=trouble.message, remedy=remedy))
