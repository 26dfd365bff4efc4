"""The rules' fixtures: titled situations with the decision that they must give."""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from situations import experiment, facts, with_model

from fewtune.compiler.decision import Decision
from fewtune.compiler.notes import LEFT_OUT, Noted
from fewtune.compiler.resolve import resolve
from fewtune.compiler.sample import pool
from fewtune.compiler.situation import Situation
from fewtune.specs.patch import lookup

FIXTURES = Path(__file__).parent / "fixtures" / "rules"
KEYS = {"title", "spec", "facts", "arm", "at", "left_out", "value", "nothing", "some", "evidence", "because", "instead",
        "twin"}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One titled situation of a fixture.

    `nothing` stands for null, `some` lets the value hold more keys, `left_out` names the method that is no arm.
    """

    rule: str
    given: dict[str, Any]

    @property
    def name(self) -> str:
        """The rule and the title."""
        return f"{self.rule}: {self.given['title']}"

    @cached_property
    def decision(self) -> Decision:
        """What the rules decide about the value that the case is about."""
        parameters = dict(self.given.get("facts", {}))
        changes = parameters.pop("model_changes", {})
        if isinstance(parameters.get("tokens"), str):
            parameters["tokens"] = lengths(parameters["tokens"])
        asked = experiment(**without_false(self.given.get("spec", {})))
        measured = with_model(facts(asked, **parameters), **changes)
        resolution = resolve(Situation.first(asked, measured, pool(measured.data)[0]))
        if "left_out" in self.given:
            absent = [one for one in resolution.noted if one.pointer == LEFT_OUT]
            return next(one.decision() for one in absent if one.choice.value == self.given["left_out"])
        if "arm" in self.given:
            arms = [one for one in resolution.arms if one.arm.method == self.given["arm"]]
            made = [one.arm.augmentation.source if one.arm.augmentation else None for one in arms]
            return self._among(arms[made.index(self.given.get("twin"))].noted)
        return self._among(resolution.noted)

    @property
    def at(self) -> str:
        """The place of the value, relative to the arm where there is one."""
        return str(self.given["at"])

    def _among(self, noted: tuple[Noted, ...]) -> Decision:
        return decision_at(self.at, [one.decision() for one in noted])


def decision_at(place: str, decisions: Iterable[Decision]) -> Decision:
    """The one decision that a place belongs to, with the value at that place."""
    found = [one for one in decisions if place == one.field or place.startswith(one.field + "/")]
    assert len(found) == 1, f"{len(found)} decisions at {place}"
    value = lookup({"value": found[0].value}, "/value" + place[len(found[0].field) :])
    return found[0].model_copy(update={"value": value})


def without_false(tables: dict[str, Any]) -> dict[str, Any]:
    """TOML has no null: `test = false` takes the key away."""
    return {
        name: {key: None if value is False and key == "test" else value for key, value in table.items()}
        for name, table in tables.items()
    }


def lengths(text: str) -> tuple[int, ...]:
    """Lengths of texts: "200 x 20, 1 x 400"."""
    pairs = [tuple(map(int, part.split(" x "))) for part in text.split(", ")]
    return tuple(tokens for count, tokens in pairs for _ in range(count))


def read() -> Iterator[Case]:
    for path in sorted(FIXTURES.glob("*.toml")):
        content = tomllib.loads(path.read_text())
        defaults = {key: value for key, value in content.items() if key != "case"}
        yield from (Case(path.stem, defaults | given) for given in content["case"])


CASES = tuple(read())
NAMES = sorted({case.rule for case in CASES})
