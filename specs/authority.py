"""What a spec may spend and reach, and whether a change would let it do more.

A fix may ask for less, never for more: no higher limit and none taken away, no model that is not on this machine, no
path that leaves the folder, nothing fetched from the network, no fewer seeds.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from fewtune.specs.repairs.fixing import at
from fewtune.specs.units import Duration, Quantity, Size

LIMITS: Mapping[str, type[Quantity] | None] = {
    "gpu_memory": Size, "gpu_hours": Duration, "wall_time": Duration, "disk": Size, "latency": Duration, "trials": None,
    "forgetting": None,
}  # fmt: skip
"""Limit -> how it is written; None: a number."""
CEILINGS = ("/augmentation/max_tokens", "/augmentation/max_cost", "/augmentation/teacher/per_minute",
            "/augmentation/teacher/concurrency")  # fmt: skip
"""Numbers that limit what a teacher is asked."""
TEACHER = ("/augmentation/teacher/model", "/augmentation/teacher/base_url", "/augmentation/teacher/key_variable")
"""Who is asked over the network, and with whose key."""
SEEDS = ("data_seeds", "model_seeds")
SOURCES = ("train", "validation", "test", "unlabelled", "replay")
Tree = Mapping[str, Any]


def widens(before: Tree, after: Tree, here: Collection[str] = ()) -> bool:
    """Whether the second document may do what the first one may not.

    Args:
        before: the document as written.
        after: as a fix would make it.
        here: names of models on this machine, of which any spec may name one.
    """
    return (
        any(_raised(before, after, name) for name in LIMITS)
        or any(_lifted(at(before, place), at(after, place)) for place in CEILINGS)
        or any(_fewer(before, after, name) for name in SEEDS)
        or bool(_reached(after) - _reached(before) - set(_written(before)) - _schemed(before) - set(here))
        or bool(_outside(after) - _outside(before))
    )


def amount(name: str, value: Any) -> float | None:
    """A limit as a number; None where it is none."""
    kind = LIMITS[name]
    if kind is None:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if number and value >= 0 else None
    try:
        return float(kind(value).amount) if isinstance(value, str) else None
    except PydanticCustomError:
        return None


def _raised(before: Tree, after: Tree, name: str) -> bool:
    was, now = (_table(tree, "constraints").get(name) for tree in (before, after))
    old, new = (amount(name, value) for value in (was, now))
    if old is None or was == now:
        return False
    return new is None or new > old


def _lifted(was: Any, now: Any) -> bool:
    """Whether a number that limited something is higher, or gone."""
    if not isinstance(was, (int, float)) or isinstance(was, bool):
        return False
    return not isinstance(now, (int, float)) or now > was


def _fewer(before: Tree, after: Tree, name: str) -> bool:
    """Whether seeds that could be had are taken away."""
    was, now = (_table(tree, "evaluation").get(name) for tree in (before, after))
    if not isinstance(was, int) or isinstance(was, bool) or not 1 <= was <= 50:
        return False
    return not isinstance(now, int) or now < was


def _reached(tree: Tree) -> set[str]:
    """Names of the network: models, encoders and data sets."""
    teacher = (at(tree, place) for place in TEACHER)
    return {str(value) for value in (*_named(tree), *_hubs(tree), *teacher) if value is not None}


def _written(tree: Any) -> Iterator[str]:
    """Every text of the document: a name that only moves was asked for before."""
    items = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for item in items:
        yield from (item,) if isinstance(item, str) else _written(item)


def _schemed(tree: Tree) -> set[str]:
    """The teacher's address with a scheme, where it was written without one: nobody else is reached."""
    written = at(tree, "/augmentation/teacher/base_url")
    if not isinstance(written, str) or "://" in written:
        return set()
    return {f"{scheme}://{written.strip().removeprefix('//')}" for scheme in ("http", "https")}


def _named(tree: Tree) -> Iterator[Any]:
    model = _table(tree, "model")
    for key in ("name", "encoder"):
        value = model.get(key)
        yield from () if value is None else [value[0] if isinstance(value, list) and len(value) == 1 else value]
    if isinstance(tree.get("model"), str):
        yield tree["model"]


def _hubs(tree: Tree) -> Iterator[Any]:
    for source in _sources(tree):
        if isinstance(source, dict) and source.get("hub") is not None:
            yield source["hub"]


def _sources(tree: Tree) -> Iterator[Any]:
    data = _table(tree, "data")
    yield from (data.get(name) for name in SOURCES)
    yield from _table(data, "ood").values()


def _outside(tree: Tree) -> set[str]:
    """Paths that leave the folder."""
    paths = [source.get("path") if isinstance(source, dict) else source for source in _sources(tree)]
    paths += [at(tree, place) for place in ("/model/path", "/model/encoder_path", "/augmentation/teacher/recording")]
    return {path for path in paths if isinstance(path, str) and leaves_folder(path)}


def leaves_folder(path: str) -> bool:
    """Whether a path, by its words alone, leads out of the folder it is relative to."""
    parts = path.replace("\\", "/").split("/")
    return path.startswith(("/", "~", "\\", "$")) or ":" in parts[0] or ".." in parts


def _table(tree: Tree, name: str) -> Mapping[str, Any]:
    table = tree.get(name)
    return table if isinstance(table, dict) else {}
