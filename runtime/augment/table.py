"""Rows of a data set as seeds and as candidates, and candidates as rows."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from fewtune.runtime.augment.example import Candidate, Origin, Seed, joined
from fewtune.specs.diagnostic import Diagnostic, RunError

PROVENANCE = {"origin": "string", "call": "string", "place": "int64", "attributes": "string", "fault": "string"}
"""Columns that say where a row comes from, and why it could not be read, with their types; null: nobody knows."""


class Table:
    """Which columns hold what, and what the labels are called."""

    def __init__(self, fields: Sequence[str], label: str, seeds: Any) -> None:
        """Read the labels' names off the seeds, in the order of their feature or sorted, and the types of the columns.

        Args:
            fields: the columns of the texts.
            label: the column of the label.
            seeds: a `datasets.Dataset`, or any sequence of mappings.

        Raises:
            RunError: E-usage without these columns.
        """
        self.fields, self.label = tuple(fields), label
        _check(seeds, (*self.fields, label))
        named = _named(seeds, label)
        values = {str(row[label]): row[label] for row in seeds}
        self.names: tuple[str, ...] = named or tuple(sorted(values))
        self._numbered = bool(named)
        self._values = list(range(len(named))) if named else [values[name] for name in self.names]
        """How the seeds write each label."""
        features = getattr(seeds, "features", None) or {}
        self._features = {
            name: kind for name, kind in features.items()
            if name == label or (name in self.fields and "string" in getattr(kind, "dtype", ""))
        }  # fmt: skip
        """Column -> its type, where the seeds are a data set; what is no text there is one here."""

    def seeds(self, rows: Any) -> list[Seed]:
        """Rows that people labelled.

        Raises:
            RunError: E-usage without the columns.
        """
        return [Seed(fields=self._texts(row), label=place) for row, place in self._labelled(rows)]

    def candidates(self, rows: Any) -> list[Candidate]:
        """Rows that are to be tested, whoever wrote them; one with a label that the seeds have not has a fault.

        Raises:
            RunError: E-usage without the columns.
        """
        return [self._candidate(row, place) for row, place in self._labelled(rows)]

    def held(self, rows: Any) -> list[str]:
        """Rows of an evaluation split as texts; they need no label.

        Raises:
            RunError: E-usage without the columns of the texts.
        """
        _check(rows, self.fields)
        return [joined(self._texts(row)) for row in rows]

    def _texts(self, row: Mapping[str, Any]) -> dict[str, str]:
        """The texts of a row; an empty one where there is none."""
        return {name: "" if row[name] is None else str(row[name]) for name in self.fields}

    def dataset(self, candidates: Sequence[Candidate]) -> Any:
        """Candidates as a `datasets.Dataset`: the columns of the seeds, and where each row comes from."""
        from datasets import Dataset

        columns: dict[str, list[Any]] = {name: [one.fields.get(name, "") for one in candidates] for name in self.fields}
        columns[self.label] = [self._values[one.label] for one in candidates]
        columns["attributes"] = ["; ".join(f"{k}: {v}" for k, v in one.attributes.items()) for one in candidates]
        columns |= {name: [getattr(one, name) or None for one in candidates] for name in ("origin", "call", "fault")}
        columns["place"] = [one.place for one in candidates]
        rows = Dataset.from_dict({name: columns[name] for name in (*self.fields, self.label)})
        return with_columns(self.like_seeds(rows, candidates), {name: columns[name] for name in PROVENANCE})

    def like_seeds(self, rows: Any, candidates: Sequence[Candidate]) -> Any:
        """Rows whose labels and columns are written as the seeds' are, where these are a data set.

        Args:
            rows: a `datasets.Dataset`.
            candidates: what each row was read as; all of them have a label.
        """
        if not self._features:
            return rows
        from datasets import Dataset, Features

        values = {**rows.to_dict(), self.label: [self._values[one.label] for one in candidates]}
        return Dataset.from_dict(values, features=Features({**rows.features, **self._features}))

    def _labelled(self, rows: Any) -> list[tuple[Mapping[str, Any], int]]:
        """Each row, and its label's place among the names; -1: it is none of them."""
        _check(rows, (*self.fields, self.label))
        own = _named(rows, self.label)
        places = {name: place for place, name in enumerate(self.names)}
        found = []
        for row in rows:
            value = row[self.label]
            if own and isinstance(value, int):
                value = own[value] if 0 <= value < len(own) else None
            elif self._numbered and isinstance(value, int) and 0 <= value < len(self.names):
                value = self.names[value]
            found.append((row, places.get(str(value), -1)))
        return found

    def _candidate(self, row: Mapping[str, Any], place: int) -> Candidate:
        origin, number = row.get("origin"), row.get("place")
        fault = row.get("fault") or ""
        return Candidate(
            fields=self._texts(row), label=place, origin=origin if origin in get_args(Origin) else None,
            call=row.get("call") or "", place=number if isinstance(number, int) and number >= 0 else 0,
            attributes=_attributes(row.get("attributes") or ""),
            fault=str(fault) if fault or place >= 0 else f"the label {row[self.label]!r} is none of the seeds'",
        )  # fmt: skip


def with_columns(rows: Any, columns: Mapping[str, Sequence[Any]]) -> Any:
    """A data set with more columns, nulls allowed; provenance and quality have the same types everywhere."""
    from datasets import Dataset, Features, Value

    types = {name: Value(PROVENANCE.get(name, "float64")) for name in columns}
    whole = {**rows.to_dict(), **{name: list(values) for name, values in columns.items()}}
    return Dataset.from_dict(whole, features=Features({**rows.features, **types}))


def _check(rows: Any, wanted: Sequence[str]) -> None:
    names = getattr(rows, "column_names", None) or (list(rows[0]) if len(rows) else None)
    missing = [name for name in wanted if names is not None and name not in names]
    if missing:
        message = f"the rows have no column {missing[0]!r}; they have {', '.join(map(repr, names or ()))}"
        remedy = "name the columns in text and label"
        raise RunError(Diagnostic(code="E-usage", message=message, remedy=remedy))


def _named(rows: Any, column: str) -> tuple[str, ...]:
    """The labels of a data set whose feature names them; empty: it does not."""
    names = getattr((getattr(rows, "features", None) or {}).get(column), "names", None)
    return tuple(names or ())


def _attributes(text: str) -> dict[str, str]:
    return dict(part.partition(": ")[::2] for part in text.split("; ") if part) if isinstance(text, str) else {}
