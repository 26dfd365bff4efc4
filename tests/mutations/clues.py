"""What is left of a value that was damaged: whether it can be found in the text, the files and the schema.

Each rule answers why not, in words, and with nothing where it can: where some repair that a careful colleague would
make without asking may find the value, or another with the same meaning, whether fewtune makes that repair or not. A
rule looks at the document as it is when the fault is made; what a later fault takes away from it counts as there.
"""

from collections.abc import Iterator
from math import inf, isfinite
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fewtune.specs.tables import model_at
from mutations.fault import Parts, Tree, pointer

NOWHERE = "what it should be is not written anywhere"
FREE = ("name", "title", "notes", "tags", "question", "instruction", "context", "patterns")
"""Nearly any text is taken there, so most numbers are one, too."""
COLUMNS = ("text", "label", "target", "premise", "hypothesis", "context", "question", "rejected")
QUANTITIES = ("gpu_memory", "gpu_hours", "wall_time", "disk", "latency")
SOURCES = ("train", "validation", "test", "unlabelled", "replay")


def is_column(parts: Parts) -> bool:
    """Whether the place names a column."""
    return len(parts) == 2 and parts[0] == "data" and parts[1] in COLUMNS


def is_source(parts: Parts) -> bool:
    """Whether the place is that of a data file."""
    if not parts or parts[0] != "data":
        return False
    return (len(parts) == 2 and parts[1] in SOURCES) or (len(parts) == 3 and parts[1] == "ood") or parts[-1] == "path"


def _split(parts: Parts) -> str:
    return str(parts[-2] if parts[-1] == "path" else parts[-1])


def _files(tree: Any) -> Iterator[str]:
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else (tree,)
    for item in items:
        if isinstance(item, str) and item.endswith((".csv", ".jsonl")):
            yield item
        elif isinstance(item, (dict, list)):
            yield from _files(item)


def of_file(tree: Tree, parts: Parts, was: Any) -> str:
    """A file that is not named: the one with its split's name, beside another file of the spec."""
    path = was.get("path") if isinstance(was, dict) else was
    folder, _, name = str(path).rpartition("/")
    beside = any(file.rpartition("/")[0] == folder for file in _files(tree) if file != path)
    return "" if beside and _split(parts) in name else "no other file of the spec lies beside it and tells its name"


def of_missing(tree: Tree, parts: Parts, was: Any) -> str:
    """A required key: there is one version, columns tell the task, pins the method, files beside it the file.

    An empty table says nothing and can be left out.
    """
    if parts == ("data",):
        return "no file is named anywhere"
    return of_file(tree, parts, was) if is_source(parts) else ""


REQUIRED: tuple[Parts, ...] = (("spec_version",), ("task",), ("task", "type"), ("data",), ("data", "train"))


def _is_required(parts: Parts) -> bool:
    return parts in REQUIRED or parts[-1] == "method" or (is_source(parts) and parts[-1] == "path")


def of_type(tree: Tree, parts: Parts, was: Any, wrong: Any) -> str:
    """Another form of the value: the value stands in it, or null may be left out, or files and columns tell."""
    if wrong is None:
        return of_missing(tree, parts, was) if _is_required(parts) else ""
    if isinstance(was, (bool, list)) or wrong == [was]:
        return ""
    if isinstance(was, (int, float)):
        return "true says no number" if wrong is True else ""
    if isinstance(was, dict):
        return _of_table(tree, parts, was, wrong)
    return "" if isinstance(wrong, dict) else _of_word(tree, parts, was, wrong)


def _of_word(tree: Tree, parts: Parts, was: str, wrong: Any) -> str:
    """A number, or true, in the place of a text."""
    name = parts[-1] if isinstance(parts[-1], str) else parts[-2]
    if is_source(parts):
        return of_file(tree, parts, was)
    if parts == ("model", "name"):
        return NOWHERE
    if is_column(parts) or name in ("type", "method") or parts == ("model", "path"):
        return ""  # columns tell, or there is one model folder
    if name in FREE:
        return "" if takes(parts, str(wrong).lower()) else NOWHERE
    return "" if name in QUANTITIES and wrong is not True else NOWHERE


def _of_table(tree: Tree, parts: Parts, was: Tree, wrong: Any) -> str:
    """The first value, or the first key, in the place of a table: whether it tells what it is."""
    first = next(iter(was.items()), None)
    if first is None or wrong != first[1]:
        return "" if parts == ("task",) else "all values of the table are gone"
    if parts in (("task",), ("data",), ("methods",), ("data", "ood")):
        return ""
    if parts[:2] == ("methods", "arms"):
        return "" if first[0] == "method" else "the method and the settings are gone"
    told = isinstance(wrong, str) and parts in (("model",), ("evaluation",), ("constraints",))
    return "" if told else "the value may be that of several keys"


def of_number(parts: Parts, wrong: float) -> str:
    """A number that is none: only a limit without an end says something, that there is none."""
    return "" if wrong == inf and parts in (("constraints", "trials"), ("constraints", "forgetting")) else NOWHERE


def of_two(parts: Parts, one: Any, other: Any) -> str:
    """One key with two values: which is meant is told where only one of them is possible there."""
    if is_source(parts) or is_column(parts) or parts in (("model", "name"), ("model", "path")):
        return ""
    return "one of two values would be lost" if takes(parts, one) and takes(parts, other) else ""


def takes(parts: Parts, value: Any) -> bool:
    """Whether the key's type takes the value, or a list of it; 8.0 is 8."""
    field = model_at(pointer(parts[:-1])).model_fields.get(str(parts[-1]))
    if field is None:
        return True
    adapter = TypeAdapter[Any](field.rebuild_annotation())
    forms = [value, int(value)] if isinstance(value, float) and isfinite(value) else [value]
    return any(_is_valid(adapter, form) or _is_valid(adapter, (form,)) for form in forms)


def _is_valid(adapter: TypeAdapter[Any], value: Any) -> bool:
    try:
        adapter.validate_python(value)
    except ValidationError:
        return False
    return True


def of_null(text: str, parts: Parts, was: str) -> str:
    """None in the place of a text of a damaged line: it may be left out, or is told by files and columns."""
    if is_source(parts):
        folder, _, name = was.rpartition("/")
        return "" if f'"{folder}/' in text and _split(parts) in name else NOWHERE
    known = model_at(pointer(parts[:-1])).model_fields
    return "" if str(parts[-1]) in known and "verbalizer" not in parts and "labels" not in parts[:-1] else NOWHERE


CONFLICTS = {
    "ood": "which file is out of the domain is not said", "exclude": "either may be meant",
    "epochs": "one of two values would be lost",
}  # fmt: skip
"""Last key of a contradiction -> why nobody but the user can resolve it."""


def of_conflict(parts: Parts) -> str:
    """A contradiction: of two values that mean something, and cannot both stand, only the user knows which goes."""
    return CONFLICTS.get(str(parts[-1]), "")
