"""pydantic's errors as diagnostics: pointers into the document, one for each place, in a reader's words.

pydantic's locations hold the names of union branches, which are not in the document, and one wrong value of a union
gives an error for each branch. So locations are walked along the document, and the errors of one place become one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fewtune.specs import later
from fewtune.specs.diagnostic import Diagnostic
from fewtune.specs.experiment import SPEC_VERSION, Experiment
from fewtune.specs.patch import lookup, pointer_to
from fewtune.specs.tables import fields_at

PLAIN = {
    "string_type": "text", "int_type": "a whole number", "float_type": "a number", "bool_type": "true or false",
    "tuple_type": "a list", "dict_type": "a table", "model_type": "a table", "model_attributes_type": "a table",
    "int_from_float": "a whole number", "string_pattern_mismatch": "a name of letters, digits and plain signs",
    "too_short": "more entries", "too_long": "fewer entries", "dataclass_type": "a table",
    "finite_number": "a finite number",
}  # fmt: skip
"""pydantic's kinds of errors -> what was expected, in a reader's words."""
BASE_URL = "/augmentation/teacher/base_url"
PLACED = {
    BASE_URL: "an address that begins with http:// or https://",
    "/augmentation/teacher/key_variable": "the name of an environment variable in capitals, as API_KEY",
}
"""Place of a text of another form than `PLAIN` has -> what was expected."""
REMEDIES = {
    "/augmentation/teacher/key_variable": "name the environment variable that holds the endpoint's key, never the key",
}
"""Place -> what to do about a wrong value."""
RANGES = {"greater_than_equal": "at least {ge}", "less_than_equal": "at most {le}",
          "greater_than": "more than {gt}", "less_than": "less than {lt}"}  # fmt: skip
"""pydantic's kinds of range errors -> what was expected."""
OPENINGS = ("Input should be a valid ", "Input should be ", "String should have ", "String should ", "expected ")
"""How pydantic's other sentences begin, before what was expected."""
SHOWN = 60
"""Characters of a wrong value that are repeated in a message."""
MANY = 16
"""Allowed words that are all told."""
MOST = 50
"""Faults that are named in one answer; where there are more, none has a fix."""


@dataclass(frozen=True)
class Fault:
    """One faulty place, and what a repair has to know of it."""

    place: str
    """Pointer; of a missing key, where it would stand."""
    diagnostic: Diagnostic
    allowed: tuple[str, ...] = ()
    """Words that are taken there."""
    bounds: Mapping[str, float] | None = None
    """Bounds that were broken: ge, gt, le, lt."""


def faults_of(tree: Mapping[str, Any]) -> list[Fault]:
    """Every fault that the typed models see in the document, up to `MOST` and one."""
    try:
        Experiment.model_validate(tree)
    except ValidationError as error:
        found = [_fault(place, several) for place, several in islice(places(error, tree).items(), MOST + 1)]
        return _numbered(found, tree)
    return []


def _numbered(found: list[Fault], tree: Mapping[str, Any]) -> list[Fault]:
    """A table whose keys are numbers, or `value` alone, is what stands in it: one fault."""
    owners = dict.fromkeys(fault.place.rpartition("/")[0] for fault in found if _is_numbered(fault, tree))
    kept = [fault for fault in found if fault.place.rpartition("/")[0] not in owners]
    return kept + [Fault(owner, Diagnostic(
        code="E-value", message=f"{_name(owner)}: expected a value or a list, got a table of them", pointer=owner,
        expected="a value or a list")) for owner in owners]  # fmt: skip


def _is_numbered(fault: Fault, tree: Mapping[str, Any]) -> bool:
    owner = fault.place.rpartition("/")[0]
    return fault.diagnostic.code == "E-unknown-key" and _is_listing(lookup(tree, owner))


def _is_listing(table: Mapping[str, Any]) -> bool:
    """Whether keys are numbers in place of a list's order, or only say that a value follows."""
    return all(map(str.isdigit, table)) or list(table) == ["value"]


def faulty_places(tree: Mapping[str, Any]) -> set[str]:
    """The places alone."""
    try:
        Experiment.model_validate(tree)
    except ValidationError as error:
        return set(places(error, tree))
    return set()


def places(error: ValidationError, tree: Mapping[str, Any]) -> dict[str, list[ErrorDetails]]:
    """Pointer -> all that was said about it; nothing about what holds another faulty place."""
    found: dict[str, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        known, missing = _walk(tree, details["loc"])
        place = pointer_to(*known, *missing[-1:]) if details["type"] == "missing" else pointer_to(*known)
        found.setdefault(place, []).append(details)
    holders = {holder for place in found for holder in _holders(place)}
    return {place: several for place, several in found.items() if place not in holders}


def _holders(place: str) -> Iterator[str]:
    """The tables and lists around a place."""
    while place:
        place = place.rpartition("/")[0]
        yield place


def _walk(tree: Any, location: tuple[int | str, ...]) -> tuple[list[str | int], list[str]]:
    """Split a location into what the document has and the first key that it lacks; names of branches are skipped."""
    found: list[str | int] = []
    rest: list[str] = []
    for part in location:
        listed = isinstance(tree, list) and isinstance(part, int) and part < len(tree)
        if listed or (isinstance(tree, dict) and part in tree):
            tree = tree[part]
        else:
            rest.append(str(part))
            continue
        found.append(part)
    return found, rest


def _fault(place: str, several: list[ErrorDetails]) -> Fault:
    """One fault for all that was said about one place."""
    kinds = {details["type"] for details in several}
    details = several[0]
    if "extra_forbidden" in kinds:
        return Fault(place, _unknown_key(place))
    if kinds == {"missing"}:
        return Fault(place, _missing(place))
    if kinds == {"conflict"}:
        return Fault(place, Diagnostic(code="E-conflict", message=_sentence(details["msg"]), pointer=place))
    allowed = tuple(word for one in several if one["type"] == "literal_error" for word in _words(one))
    bounds = {name: float(value) for one in several if one["type"] in RANGES for name, value in one["ctx"].items()}
    return Fault(place, _wrong_value(place, several, allowed), allowed, bounds)


def _wrong_value(place: str, several: list[ErrorDetails], allowed: tuple[str, ...]) -> Diagnostic:
    # A list without its faulty entry counts as too short, too.
    several = [details for details in several if details["type"] != "too_short"] or several
    value = several[-1]["input"]
    if place == BASE_URL and isinstance(value, str) and "?" in value:
        message = "base_url: a query may hold a key, and is not taken"
        remedy = "the address up to the question mark; a key stands in the environment, named by key_variable"
        return Diagnostic(code="E-value", message=message, pointer=place, expected=PLACED[place], remedy=remedy)
    said = dict.fromkeys(_expectation(place, details) for details in several)
    later_one = _later_value(place, value)
    if later_one:
        return later_one
    if place == "/spec_version":
        message = f"this fewtune reads spec_version {SPEC_VERSION}"
        return Diagnostic(
            code="E-version", message=message, pointer=place, expected=str(SPEC_VERSION), got=_shown(value)
        )
    near = get_close_matches(value, allowed, n=1, cutoff=0.6) if isinstance(value, str) else []
    return Diagnostic(
        code="E-value",
        message=f"{_name(place)}: expected {' or '.join(said)}, got {_shown(value)}",
        pointer=place,
        expected=" or ".join(said),
        got=_shown(value),
        nearest=near[0] if near else None,
        remedy=REMEDIES.get(place) or (_page(place) if len(allowed) > MANY else None),
    )


def _page(place: str) -> str:
    """Where all words of a place are listed."""
    listed = place.rpartition("/")[0] if place.rpartition("/")[2].isdigit() else place
    return f"`fewtune describe spec {listed}` has them all"


def _name(place: str) -> str:
    """The last key of a pointer, with the index in its list."""
    *owners, last = place.split("/")
    return f"{owners[-1]}/{last}" if last.isdigit() else last


def _words(details: ErrorDetails) -> list[str]:
    return [word.strip("'") for word in str(details["ctx"]["expected"]).replace(" or ", ", ").split(", ")]


def _expectation(place: str, details: ErrorDetails) -> str:
    if details["type"] == "literal_error":
        return _one_of(details)
    if details["type"] == "string_pattern_mismatch" and place in PLACED:
        return PLACED[place]
    if details["type"] in PLAIN:
        return PLAIN[details["type"]]
    if details["type"] in RANGES:
        return RANGES[details["type"]].format(**details["ctx"])
    said = details["msg"]
    for opening in OPENINGS:
        if said.startswith(opening):
            return said.removeprefix(opening)
    return _sentence(said)


def _one_of(details: ErrorDetails) -> str:
    """The allowed words; of many, those that are most like the value."""
    said, words, value = str(details["ctx"]["expected"]), _words(details), details["input"]
    if len(words) <= MANY:
        return said
    near = get_close_matches(value, words, n=3, cutoff=0.4) if isinstance(value, str) else []
    return f"one of {len(words)} words ({', '.join(near or words[:3])}, ...)"


def _sentence(message: str) -> str:
    return message[:1].lower() + message[1:]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _missing(place: str) -> Diagnostic:
    key = place.rsplit("/", 1)[-1]
    parent = place.rsplit("/", 1)[0]
    where = f" in {parent}" if parent else ""
    return Diagnostic(code="E-missing", message=f"{key} is required{where}", pointer=parent, expected=key,
                      remedy=f"add {key}")  # fmt: skip


def _unknown_key(place: str) -> Diagnostic:
    parent, key = place.rsplit("/", 1)
    if not parent and key in later.KEYS:
        return _not_yet(place, key, later.KEYS[key])
    known = ", ".join(fields_at(parent))
    message = f"there is no key {_shown(key)} in {parent or 'the spec'}"
    return Diagnostic(code="E-unknown-key", message=message, pointer=place, got=key[:SHOWN],
                      remedy=f"the keys here are {known}")  # fmt: skip


def _later_value(place: str, value: Any) -> Diagnostic | None:
    if not isinstance(value, str):
        return None
    if place == "/task/type" and value in later.TASKS:
        return _not_yet(place, value, later.TASKS[value])
    method = value.lower().split("+")[-1]
    if place.startswith("/methods/") and method in later.METHODS:
        return _not_yet(place, value, later.METHODS[method])
    return None


def _not_yet(place: str, name: str, what: str) -> Diagnostic:
    message = f"{name} ({what}) is not in this version of fewtune"
    return Diagnostic(
        code="E-not-yet", message=message, pointer=place, got=name, remedy="see `fewtune schema` for what is"
    )
