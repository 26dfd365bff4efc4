"""Whether the spec's folder has what a document names."""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any

from fewtune.api.advice import is_file, nearest_files
from fewtune.runtime.probe.rows import ENDINGS, data_path, read_table
from fewtune.specs.authority import SOURCES
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import PlanError
from fewtune.specs.meanings import COLUMNS
from fewtune.specs.repairs.fixing import at
from fewtune.specs.repairs.names import bare

FILES = 3
"""Data files of a spec in which a column is looked for."""


def standing(base: Path) -> Callable[[Mapping[str, Any], str], bool]:
    """For a folder: whether it has the file, folder or column that a place of a document names, or nearly so.

    True where nobody can tell.
    """

    def stands(tree: Mapping[str, Any], place: str) -> bool:
        _, table, *rest = place.split("/")
        if place == "/model/path" and isinstance(at(tree, place), str):
            return bool(nearest_files(at(tree, place), base, folders=True))
        if table != "data" or not rest or not isinstance(at(tree, place), str):
            return True
        if rest[0] in (*SOURCES, "ood") and (rest[-1] == "path" or len(rest) == (2 if rest[0] == "ood" else 1)):
            return is_file(at(tree, place), base) or bool(nearest_files(at(tree, place), base))
        return rest[0] not in COLUMNS or _has_column(tree, at(tree, place), base)

    return stands


def _has_column(tree: Mapping[str, Any], name: str, base: Path) -> bool:
    """Whether the first data file that can be read has such a column, or one of nearly that name."""
    named = islice(_texts(tree.get("data")), FILES)
    for path in (near for written in named for near in (written, *nearest_files(written, base)[:1])):
        try:
            known = read_table(data_path(path, base), Source(path=path, rows="1-1")).columns
        except (PlanError, OSError, ValueError):
            continue
        return bool(get_close_matches(bare(name), [bare(column) for column in known], n=1, cutoff=0.6))
    return True


def _texts(tree: Any) -> Iterator[str]:
    """The names of data files among all texts, in their order."""
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else (tree,)
    for item in items:
        if isinstance(item, str) and item.lower().endswith(ENDINGS):
            yield item
        elif isinstance(item, (dict, list)):
            yield from _texts(item)
