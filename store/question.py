"""What a process that answers queries is asked."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        path: the published copy; None: an empty database with the same views.
        sql: one statement.
        rows: to return at most.
        bytes: of rows as JSON, at most.
        seconds: after which the statement is interrupted.
    """

    path: str | None
    sql: str
    rows: int
    bytes: int
    seconds: float
