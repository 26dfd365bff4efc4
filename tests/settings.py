"""Pairs of specs that differ in one setting: every leaf of the language, and what a change of it shows in."""

import csv
import json
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from rule_cases import without_false
from situations import document, facts

from fewtune.compiler.compilation import compile_plan
from fewtune.compiler.facts import Facts
from fewtune.runtime.lock import Lock
from fewtune.runtime.probe.data import data_facts, files, read
from fewtune.specs.diagnostic import PlanError
from fewtune.specs.experiment import DESCRIPTIVE, Experiment

FIXTURE = Path(__file__).parent / "fixtures" / "settings.toml"
KEYS = {"field", "a", "b", "with", "facts", "read", "shows", "method", "splits"}
SHOWN = ("refusal", "decision", "trial", "stage", "gate", "statistic")
"""What a change can show in: statistic is what stands beside the plan, times and the detectable difference among it."""
COLUMNS = ("text", "body", "premise", "first", "hypothesis", "second", "question", "query", "context", "passage",
           "target", "answer", "rejected", "worse")  # fmt: skip
ROWS = 120


def leaves(model: type[BaseModel] = Experiment, at: str = "") -> Iterator[str]:
    """Every place of the language that takes a value, "*" for a name or a number in between."""
    for name, field in model.model_fields.items():
        if model is Experiment and name in DESCRIPTIVE:
            continue
        yield from _leaves(field.annotation, f"{at}.{name}" if at else name)


def _leaves(annotation: Any, at: str) -> Iterator[str]:
    members = [one for one in _members(annotation) if one is not type(None)]
    nested = [one for one in members if _is_model(one) or any(map(_is_model, get_args(one)))]
    if len(nested) < len(members):
        yield at
    for one in nested:
        inner = [one] if _is_model(one) else [each for each in get_args(one) if _is_model(each)]
        for each in inner:
            yield from leaves(each, at if _is_model(one) else f"{at}.*")


def _members(annotation: Any) -> list[Any]:
    """The members of a union, aliases and Annotated looked through."""
    origin = getattr(annotation, "__origin__", None)
    if hasattr(annotation, "__metadata__"):
        return _members(origin)
    if origin in (dict, tuple) or not get_args(annotation):
        return [annotation]
    return [each for one in get_args(annotation) for each in _members(one)]


def _is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


@dataclass(frozen=True)
class Pair:
    """Two specs that differ in one field; None: the field is left out."""

    field: str
    given: dict[str, Any]

    @property
    def shows(self) -> str:
        """What differs, one of `SHOWN`."""
        return str(self.given["shows"])

    def spec(self, side: str) -> dict[str, Any]:
        """The document with the field's value of this side."""
        tables = {"data": {"label_budget": 160}} | deepcopy(self.given.get("with", {}))
        tree = document(**without_false(tables))
        owner, value = tree, self.given.get(side)
        *path, last = self.field.replace("*", "0" if self.field.startswith("methods.") else "blogs").split(".")
        for part in path:
            owner = owner[int(part)] if isinstance(owner, list) else owner.setdefault(part, {})
        owner.pop(last, None)
        if value is not None:
            owner[last] = value
        return tree

    def outcome(self, side: str, folder: Path) -> dict[str, Any]:
        """What is made of one side, by what it shows in."""
        reads = self.given.get("read", self.field.startswith("data."))
        situation = json.dumps([self.spec(side), self.given.get("facts", {})])
        return _outcome(situation, folder if reads else None)

    def differs(self, folder: Path) -> set[str]:
        """All that the two sides do not have in common."""
        one, other = self.outcome("a", folder), self.outcome("b", folder)
        return {name for name in SHOWN if one.get(name) != other.get(name)}


@lru_cache(maxsize=64)
def _outcome(situation: str, folder: Path | None) -> dict[str, Any]:
    tree, parameters = json.loads(situation)
    try:
        asked = Experiment.model_validate(tree)
        made = compile_plan(asked, _measured(asked, parameters, folder))
    except ValidationError as error:
        return {"refusal": [(one["loc"], one["msg"]) for one in error.errors()]}
    except PlanError as error:
        return {"refusal": [one.model_dump() for one in error.diagnostics]}
    plan = made.plan.model_dump(mode="json")
    shown: dict[str, Any] = {name: plan[f"{name}s"] for name in ("decision", "trial", "stage", "gate")}
    return shown | {"statistic": made.estimate.model_dump(mode="json")}


def _measured(asked: Experiment, parameters: dict[str, Any], folder: Path | None) -> Facts:
    """Facts without files, but those of the data from files where there is a folder."""
    own: dict[str, Any] = {} if asked.model.embeds_encoder else {"encoder": asked.model.encoder_place}
    if folder is None:
        return facts(asked, **own, **parameters)
    data = data_facts(read(asked, files(asked, folder, Lock())), lambda texts: [len(text.split()) for text in texts])
    measured = facts(asked, labels=data.labels, **own, **parameters)
    return Facts(data=data, model=measured.model, encoder=measured.encoder, device=measured.device)


def write_world(folder: Path) -> Path:
    """Files for every split and one more, with a column for everything that a spec may name."""
    for name in ("train", "test", "validation", "blogs", "unlabelled", "replay", "other"):
        with (folder / f"{name}.csv").open("w", newline="") as handle:
            table = csv.writer(handle)
            table.writerow([*COLUMNS, "label", "kind"])
            for row in range(ROWS):
                words = [f"{name} {row} of {column}" + " more" * (row % 3) for column in COLUMNS]
                table.writerow([*words, "abcd"[row % 4], "xy"[row % 2]])
    return folder


def _read() -> Iterator[Pair]:
    content = tomllib.loads(FIXTURE.read_text())
    for given in content["pair"]:
        yield Pair(given["field"], given)
    for given in content["source"]:
        for split in given["splits"]:
            own, name = deepcopy(given), split.replace("ood.*", "blogs")
            data = own.setdefault("with", {}).setdefault("data", {})
            owner = data.setdefault("ood", {}) if split == "ood.*" else data
            owner.setdefault(name, {"path": f"{name}.csv"})
            yield Pair(
                f"data.{split}.{given['field']}", own | ({"a": f"{name}.csv"} if given["field"] == "path" else {})
            )
    for given in content["pin"]:
        tables = deepcopy(given.get("with", {}))
        arm = {"method": given.get("method", "pattern+lora"), **tables.pop("arm", {})}
        for place in ("methods.pin", "methods.arms.*"):
            yield Pair(f"{place}.{given['field']}", given | {"with": tables | {"methods": {"arms": [arm]}}})


PAIRS = tuple(_read())
