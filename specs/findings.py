"""pydantic's errors as diagnostics: pointers into the document, nearest names, verified fixes.

pydantic's locations hold the names of union branches, which are not in the document, and one wrong value of a union
gives an error for each branch. So locations are walked along the document, and the errors of one place become one.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from itertools import islice
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fewtune.specs import later
from fewtune.specs.diagnostic import Diagnostic, Fix, Patch
from fewtune.specs.experiment import SPEC_VERSION, Experiment
from fewtune.specs.methods import Pins
from fewtune.specs.patch import apply_patches, lookup, pointer_to

PLAIN = {
    "string_type": "text", "int_type": "a whole number", "float_type": "a number", "bool_type": "true or false",
    "tuple_type": "a list", "dict_type": "a table", "model_type": "a table", "model_attributes_type": "a table",
    "int_from_float": "a whole number", "string_pattern_mismatch": "a name of letters, digits and plain signs",
    "too_short": "more entries", "too_long": "fewer entries", "dataclass_type": "a table",
}  # fmt: skip
"""pydantic's kinds of errors -> what was expected, in a reader's words."""
RANGES = {"greater_than_equal": "at least {ge}", "less_than_equal": "at most {le}",
          "greater_than": "more than {gt}", "less_than": "less than {lt}"}  # fmt: skip
"""pydantic's kinds of range errors -> what was expected."""
SHOWN = 60
"""Characters of a wrong value that are repeated in a message."""
MOST = 50
"""Faults that are named in one answer; where there are more, none has a fix."""


def findings(tree: dict[str, Any]) -> list[Diagnostic]:
    """Every fault that the typed models see in the document, up to `MOST`."""
    try:
        Experiment.model_validate(tree)
    except ValidationError as error:
        places = _places(error, tree)
        faults = [_fault(place, several) for place, several in islice(places.items(), MOST)]
        return faults if len(places) > MOST else _with_fixes(tree, faults)
    return []


def _places(error: ValidationError, tree: dict[str, Any]) -> dict[str, list[ErrorDetails]]:
    """Pointer -> all that was said about it; nothing about what holds another faulty place."""
    places: dict[str, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        found, missing = _walk(tree, details["loc"])
        place = pointer_to(*found, *missing[-1:]) if details["type"] == "missing" else pointer_to(*found)
        places.setdefault(place, []).append(details)
    holders = {holder for place in places for holder in _holders(place)}
    return {place: several for place, several in places.items() if place not in holders}


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


def _fault(place: str, several: list[ErrorDetails]) -> Diagnostic:
    """One diagnostic for all that was said about one place."""
    kinds = {details["type"] for details in several}
    details = several[0]
    if "extra_forbidden" in kinds:
        return _unknown_key(place)
    if kinds == {"missing"}:
        return _missing(place)
    if kinds == {"conflict"}:
        return Diagnostic(code="E-conflict", message=_sentence(details["msg"]), pointer=place)
    return _wrong_value(place, several)


def _wrong_value(place: str, several: list[ErrorDetails]) -> Diagnostic:
    # A list without its faulty entry counts as too short, too.
    several = [details for details in several if details["type"] != "too_short"] or several
    value = several[-1]["input"]
    allowed = [word for details in several if details["type"] == "literal_error" for word in _words(details)]
    said = dict.fromkeys(_expectation(details) for details in several)
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
    )


def _name(place: str) -> str:
    """The last key of a pointer, with the index in its list."""
    *owners, last = place.split("/")
    return f"{owners[-1]}/{last}" if last.isdigit() else last


def _words(details: ErrorDetails) -> list[str]:
    return [word.strip("'") for word in str(details["ctx"]["expected"]).replace(" or ", ", ").split(", ")]


def _expectation(details: ErrorDetails) -> str:
    if details["type"] == "literal_error":
        return str(details["ctx"]["expected"])
    if details["type"] in PLAIN:
        return PLAIN[details["type"]]
    if details["type"] in RANGES:
        return RANGES[details["type"]].format(**details["ctx"])
    said = details["msg"]
    for opening in ("Input should be a valid ", "Input should be ", "String should ", "expected "):
        if said.startswith(opening):
            return said.removeprefix(opening)
    return _sentence(said)


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
    known = _keys_at(parent)
    home = [where for where in _homes(key) if where != place]
    near = [] if home else get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    return Diagnostic(
        code="E-unknown-key",
        message=f"there is no key {key!r} in {parent or 'the spec'}" + (f"; it belongs to {home[0]}" if home else ""),
        pointer=place,
        got=key,
        nearest=near[0] if near else home[0] if home else None,
        remedy=None if near or home else f"the keys here are {', '.join(known)}",
    )


def _model_at(parent: str) -> type[BaseModel]:
    """The model that reads this part of the document."""
    model: type[BaseModel] = Experiment
    for part in parent.split("/")[1:]:
        field = model.model_fields.get(part)
        if field is None:
            continue
        inner = models_in(field.annotation)
        model = inner[0] if inner else model
    return model


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Models named anywhere in a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in models_in(argument)]


def _keys_at(parent: str) -> list[str]:
    return list(_model_at(parent).model_fields)


def _homes(key: str) -> list[str]:
    """Other tables that have this key."""
    tables = {f"/{name}": _model_at(f"/{name}") for name in Experiment.model_fields} | {"/methods/pin": Pins}
    return [
        f"{table}/{key}" for table, model in tables.items() if key in model.model_fields and model is not Experiment
    ]


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


def _with_fixes(tree: dict[str, Any], faults: list[Diagnostic]) -> list[Diagnostic]:
    """Offer each fault's fix if it leaves fewer faults than there were."""

    def helps(fix: Fix) -> bool:
        try:
            patched = apply_patches(tree, fix.patches)
            Experiment.model_validate(patched)
        except KeyError:
            return False
        except ValidationError as error:
            return len(_places(error, patched)) < len(faults)
        return True

    return [
        fault.model_copy(update={"fixes": tuple(fix for fix in _fixes(fault, tree) if helps(fix))}) for fault in faults
    ]


def _fixes(fault: Diagnostic, tree: dict[str, Any]) -> list[Fix]:
    makers: dict[str, Callable[[Diagnostic, dict[str, Any]], Fix | None]] = {
        "E-unknown-key": _rename, "E-value": _replace, "E-missing": _add_version,
    }  # fmt: skip
    make = makers.get(fault.code)
    fix = make(fault, tree) if make else None
    return [fix] if fix else []


def _rename(fault: Diagnostic, tree: dict[str, Any]) -> Fix | None:
    if fault.nearest is None:
        return None
    target = fault.nearest if fault.nearest.startswith("/") else f"{fault.pointer.rsplit('/', 1)[0]}/{fault.nearest}"
    with suppress(KeyError):
        lookup(tree, target)
        return None  # the move would take the place of what the user wrote
    patches = [Patch(op="move", path=target, from_=fault.pointer)]
    owner = target.rsplit("/", 1)[0]
    if owner.count("/") == 1 and owner[1:] not in tree:
        patches.insert(0, Patch(op="add", path=owner, value={}))
    return Fix(title=f"write {target}", applicability="likely", patches=tuple(patches))


def _replace(fault: Diagnostic, tree: dict[str, Any]) -> Fix | None:
    if fault.nearest is None:
        return None
    was = Patch(op="test", path=fault.pointer, value=lookup(tree, fault.pointer))
    patch = Patch(op="replace", path=fault.pointer, value=fault.nearest)
    return Fix(title=f"write {fault.nearest!r}", applicability="likely", patches=(was, patch))


def _add_version(fault: Diagnostic, _: dict[str, Any]) -> Fix | None:
    if fault.expected != "spec_version":
        return None
    patch = Patch(op="add", path="/spec_version", value=SPEC_VERSION)
    return Fix(title=f"add spec_version = {SPEC_VERSION}", applicability="safe", patches=(patch,))
