"""The tables of the language: which keys stand where."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from pydantic import BaseModel

from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import Pins
from fewtune.specs.patch import parts_of


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Models named anywhere in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in models_in(argument)]


def model_at(pointer: str) -> type[BaseModel]:
    """The model that reads this part of the document."""
    model: type[BaseModel] = Experiment
    for part in parts_of(pointer):
        field = model.model_fields.get(part)
        if field is None:
            continue
        inner = models_in(field.annotation)
        model = inner[0] if inner else model
    return model


def fields_at(pointer: str, tree: Mapping[str, Any] | None = None) -> list[str]:
    """The keys of the table at a place."""
    return list(model_at(pointer).model_fields)


def words_at(pointer: str) -> tuple[str, ...]:
    """The words that the key at a place takes; none where it takes other values."""
    parent, _, key = pointer.rpartition("/")
    field = model_at(parent).model_fields.get(key)
    return tuple(_words(field.annotation)) if field is not None else ()


def _words(annotation: Any) -> Iterator[str]:
    for part in getattr(annotation, "__args__", ()):
        yield from (part,) if isinstance(part, str) else _words(part)


def is_required(pointer: str) -> bool:
    """Whether the key at a place must be there."""
    parent, _, key = pointer.rpartition("/")
    field = model_at(parent).model_fields.get(key)
    return field is not None and field.is_required()


@cache
def _tables() -> Mapping[str, type[BaseModel]]:
    named = {f"/{name}": model_at(f"/{name}") for name in Experiment.model_fields}
    return {"": Experiment} | {at: model for at, model in named.items() if model is not Experiment} | {
        "/methods/pin": Pins
    }  # fmt: skip


@cache
def tables_with(name: str, likeness: float) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Fields at least so like a name, the likest first, each with the tables that have it."""
    found: dict[str, list[str]] = {}
    for table, model in _tables().items():
        for field in model.model_fields:
            found.setdefault(field, []).append(table)
    scored = [(_likeness(name, field, likeness), field) for field in found]
    return tuple((field, tuple(found[field])) for score, field in sorted(scored, reverse=True) if score >= likeness)


def _likeness(name: str, field: str, least: float) -> float:
    matcher = SequenceMatcher(None, name, field)
    return matcher.ratio() if matcher.quick_ratio() >= least else 0.0


def paths(model: type[BaseModel] = Experiment, parent: str = "") -> Iterator[tuple[str, Any]]:
    """(pointer, type) of every field, tables of the user's own names under `*`."""
    for name, field in model.model_fields.items():
        inner = models_in(field.annotation)
        yield f"{parent}/{name}", field.annotation
        several = "/*" if "dict" in str(field.annotation) or "tuple" in str(field.annotation) else ""
        for below in inner:
            yield from paths(below, f"{parent}/{name}{several}")
