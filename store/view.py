"""A public view: a query with a sentence about the whole and about every column."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class View:
    """What a user may ask for by name."""

    name: str
    comment: str
    """What one row is."""
    columns: dict[str, str]
    """Column -> unit, direction and what null means; in the order of the query."""
    query: str

    def statements(self) -> tuple[str, ...]:
        """The statements that make it."""
        comments = (
            f"COMMENT ON COLUMN {self.name}.{column} IS {_quoted(text)}" for column, text in self.columns.items()
        )
        return (
            f"CREATE VIEW {self.name} AS {self.query}",
            f"COMMENT ON VIEW {self.name} IS {_quoted(self.comment)}",
            *comments,
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """A private view that several public ones are made of."""

    name: str
    query: str

    def statements(self) -> tuple[str, ...]:
        """The statement that makes it."""
        return (f"CREATE VIEW private.{self.name} AS {self.query}",)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
