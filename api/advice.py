"""Fixes of what only data and model show: the file, column or label that was meant, and settings that nothing feels."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import takewhile
from pathlib import Path
from typing import Any

from fewtune.compiler.facts import Facts
from fewtune.compiler.sample import pool
from fewtune.runtime.lock import read_lock
from fewtune.runtime.probe.columns import columns_of
from fewtune.runtime.probe.rows import ENDINGS, Table, data_path, read_table
from fewtune.specs.authority import widens
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import Diagnostic, Fix, Patch, PlanError
from fewtune.specs.experiment import Experiment
from fewtune.specs.model import EMBEDDED
from fewtune.specs.patch import apply_patches
from fewtune.specs.repairs.fixing import add, at, has, move, remove, replace, set_aside, split
from fewtune.specs.repairs.names import bare
from fewtune.specs.task import FIELDS

MOST_FILES = 2_000
"""Files of the spec's folder that are looked at for a near name."""
DEPTH = 4
MODEL = "/model/name"
SHORTEST = 4
"""Letters of a name from which its beginning stands for it."""
NUMBER = re.compile(r"\d+")
PUBLISHED = (("135",), ("360",), ("1", "7"), ("2", "135"), ("2", "360"), ("2", "1", "7"), ("3", "3"))
"""Numbers in the names of the SmolLM family: other ones so near to the embedded model's name are slips."""
KEPT = 3
"""Values of a long list that a fix keeps."""
SAMPLE = 200
"""Rows that are read to guess a column."""


@dataclass(frozen=True)
class Setting:
    """What a finding is about."""

    tree: Mapping[str, Any]
    experiment: Experiment | None
    base: Path
    facts: Facts | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models on this machine: the embedded one, and what was pulled for the spec's folder."""
        try:
            pulled = read_lock(self.base).models
        except PlanError:
            return (EMBEDDED,)
        return (EMBEDDED, *(name for name, locked in pulled.items() if Path(locked.folder).is_dir()))


def advised(finding: Diagnostic, setting: Setting) -> Diagnostic:
    """The finding with its fixes, and the nearest name where there is one."""
    ways = WAYS.get(finding.code)
    fixes = tuple(fix for fix in ways(finding, setting) if _is_modest(fix, setting)) if ways else ()
    near = finding.nearest
    if near is None and fixes:
        written = [patch.value for patch in fixes[0].patches if patch.op in ("replace", "add")]
        near = written[0] if written and isinstance(written[0], str) and finding.code in NAMED else None
    return finding.model_copy(update={"fixes": (*finding.fixes, *fixes), "nearest": near})


def _is_modest(fix: Fix, setting: Setting) -> bool:
    """Whether a fix applies, and asks for no more than the spec."""
    here = setting.models if any(patch.path == MODEL for patch in fix.patches) else ()
    try:
        return not widens(setting.tree, apply_patches(dict(setting.tree), fix.patches), here)
    except KeyError:
        return False


def _files(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    """The file below the spec's folder that is most like the one that is named."""
    place = finding.pointer if finding.pointer.startswith("/model/") else _path_of(setting.tree, finding.pointer)
    named = at(setting.tree, place)
    if not isinstance(named, str):
        return
    is_folder = place.startswith("/model/")
    for near in nearest_files(named, setting.base, _homes(setting.tree), folders=is_folder)[:2]:
        if near != named:
            yield replace(setting.tree, place, near)


def _path_of(tree: Mapping[str, Any], pointer: str) -> str:
    return f"{pointer}/path" if isinstance(at(tree, pointer), dict) else pointer


def _homes(tree: Mapping[str, Any]) -> set[str]:
    """Folders of the other data files."""
    named = [at(tree, _path_of(tree, f"/data/{split}")) for split in ("train", "test", "validation")]
    return {path.rpartition("/")[0] for path in named if isinstance(path, str) and "/" in path}


def is_file(path: str, base: Path) -> bool:
    """Whether a spec of a folder may name this as a file."""
    try:
        data_path(path, base)
    except (PlanError, OSError, ValueError):
        return False
    return True


def nearest_files(named: str, base: Path, homes: Collection[str] = (), *, folders: bool = False) -> list[str]:
    """Files below a folder, the most like a name first; none where none is like it.

    Args:
        named: the name.
        base: the folder.
        homes: folders in which it is more likely.
        folders: whether model folders are looked for.
    """
    known = list(_below(base, folders))
    wanted = named.replace("\\", "/").rstrip("/")
    last = wanted.rpartition("/")[2]
    same = [path for path in known if bare(path) == bare(wanted)]
    tail = sorted((path for path in known if f"/{wanted}".lower().endswith(f"/{path}".lower())), key=len, reverse=True)
    by_stem = [path for path in known if _stem(path) == _stem(last)]
    near = get_close_matches(wanted.lower(), [path.lower() for path in known], n=2, cutoff=0.75)
    close = [path for one in near for path in known if path.lower() == one]
    names = {path.rpartition("/")[2].lower(): path for path in known}
    by_name = [names[name] for name in get_close_matches(last.lower(), names, n=1, cutoff=0.75)]
    beside = [path for path in known if "/" not in wanted and path in {f"{home}/{wanted}" for home in homes}]
    found = dict.fromkeys([*same, *tail, *beside, *(by_stem if len(by_stem) == 1 else ()), *close, *by_name])
    if len(by_stem) > 1 and not (same or tail or beside or close):
        ending = wanted.rpartition(".")[2]
        by_stem.sort(key=lambda path: _shared(path, wanted), reverse=True)
        by_stem.sort(key=lambda path: (path.rpartition("/")[0] in homes, path.endswith(ending)), reverse=True)
        found = dict.fromkeys(by_stem)
    return list(found)


def _stem(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0].lower()


def _shared(path: str, wanted: str) -> int:
    """Characters that two paths begin with."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(path.lower(), wanted.lower(), strict=False))
    return len(list(same))


def _below(base: Path, folders: bool) -> Iterator[str]:
    """Data files, or model folders, below a folder, not through links; a bounded number of them."""
    seen = 0
    for root, names, files in os.walk(base):
        here = Path(root).relative_to(base)
        names[:] = sorted(name for name in names if not name.startswith(".") and len(here.parts) < DEPTH)
        for name in sorted(files):
            seen += 1
            if seen > MOST_FILES:
                return
            if folders and name == "config.json":
                yield here.as_posix()
            elif not folders and name.lower().endswith(ENDINGS):
                yield (here / name).as_posix()


def columns(setting: Setting) -> tuple[str, ...]:
    """The columns of the training data; none where they cannot be read."""
    table = _train(setting)
    return tuple(table.columns) if table else ()


def _columns(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    if finding.pointer != "/data" and (near := nearest_column(finding.pointer, setting)):
        yield replace(setting.tree, finding.pointer, near)


def nearest_column(place: str, setting: Setting) -> str | None:
    """The column that the name is most like, or that a guess would take."""
    table = _train(setting)
    if table is None or setting.experiment is None or not has(setting.tree, place):
        return None
    known = list(table.columns)
    named, data = str(at(setting.tree, place)), setting.experiment.data
    folded = {bare(column): column for column in known}
    near = [folded[one] for one in get_close_matches(bare(named), folded, n=1, cutoff=0.6)]
    taken = {getattr(data, field) for field in (*FIELDS[setting.experiment.task.type], "label", "target", "rejected")}
    left = [column for column in known if column not in taken]
    guess = near or _guess(setting.experiment, table, split(place)[1]) or (left if len(left) == 1 else [])
    return guess[0] if guess else None


def _train(setting: Setting) -> Table | None:
    """Some rows of the training data."""
    source = setting.experiment.data.train if setting.experiment else None
    if source is None or source.path is None:
        return None
    try:
        return read_table(data_path(source.path, setting.base), Source(path=source.path, rows=f"1-{SAMPLE}"))
    except PlanError:
        return None


def _guess(experiment: Experiment, table: Table, field: str) -> list[str]:
    data = experiment.data.model_copy(update={field: None})
    answer = experiment.task.answer
    try:
        found = columns_of(data, FIELDS[experiment.task.type], table, answer)
    except PlanError:
        return []
    return [found[field]] if found.get(field) else []


def _aside(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    place = finding.pointer
    if has(setting.tree, place):
        kept = set_aside(setting.tree, place)
        yield from (kept,) if kept else ()
        yield remove(setting.tree, place)


def _labels(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    """A label that the data have, in the place of one that they do not."""
    known = setting.facts.data.labels if setting.facts else _train_labels(setting)
    place = finding.pointer
    folded = {bare(label): label for label in known}
    owner, name = split(place) if place.startswith("/task/verbalizer/") else (place, "")
    if name:
        near = get_close_matches(bare(name), folded, n=1, cutoff=0.6)
        found = move(setting.tree, place, f"{owner}/{folded[near[0]]}") if near else None
        yield from (found,) if found else ()
    for index, label in enumerate(at(setting.tree, place) or () if place == "/task/labels" else ()):
        near = get_close_matches(bare(str(label)), folded, n=1, cutoff=0.6)
        if label not in known and near:
            yield replace(setting.tree, f"{place}/{index}", folded[near[0]])
    yield from _source_labels(place, folded, setting)


def _source_labels(place: str, folded: Mapping[str, str], setting: Setting) -> Iterator[Fix]:
    labels = at(setting.tree, f"{place}/labels")
    for label in labels if isinstance(labels, dict) else ():
        near = get_close_matches(bare(label), folded, n=1, cutoff=0.6)
        found = move(setting.tree, f"{place}/labels/{label}", f"{place}/labels/{folded[near[0]]}") if near else None
        if label not in folded.values() and found:
            yield found


def _train_labels(setting: Setting) -> Sequence[str]:
    table, named = _train(setting), setting.experiment.data.label if setting.experiment else None
    column = table.columns.get(named or "") if table else None
    return sorted({cell.strip() for cell in column or () if cell})


def _rows(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    """All labels that there are, where more are asked for."""
    if finding.pointer == "/data/label_budget" and isinstance(at(setting.tree, finding.pointer), int):
        yield replace(setting.tree, finding.pointer, "all", title="use all rows there are")
    sizes, facts = at(setting.tree, finding.pointer), setting.facts
    if finding.pointer == "/data/label_budget" and isinstance(sizes, list) and facts is not None:
        rows = len(pool(facts.data)[0])
        yield replace(setting.tree, finding.pointer, [*(n for n in sizes if n < rows), rows])


def _models(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    """A model on this machine of nearly that name; to apply without asking only where the sizes in it agree."""
    named = at(setting.tree, MODEL)
    if finding.pointer != MODEL or not isinstance(named, str):
        return
    folded = {name.lower(): name for name in setting.models}
    begun = [name for name in folded if len(named) >= SHORTEST and name.startswith(named.lower())]
    for near in begun if len(begun) == 1 else get_close_matches(named.lower(), folded, n=1, cutoff=0.8):
        sizes, own = NUMBER.findall(named), NUMBER.findall(near)
        slip = near == EMBEDDED and tuple(sizes) not in PUBLISHED and one_slip(named.lower(), near)
        alike = slip or (own[: len(sizes)] == sizes if near in begun else own == sizes)
        yield replace(setting.tree, MODEL, folded[near], "likely" if alike else "choose")


def one_slip(one: str, other: str) -> bool:
    """Whether two texts differ by one sign, or by two neighbours in the other order.

    >>> one_slip("a153m", "a135m"), one_slip("a15m", "a135m"), one_slip("a1b", "a135m")
    (True, True, False)
    """
    for _ in range(2):  # without what both begin with, and then without what both end with
        same = _shared(one, other)
        one, other = one[same:][::-1], other[same:][::-1]
    return max(len(one), len(other)) <= 1 or (len(one) == 2 and one == other[::-1])


def _warmup(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    """A tenth of the steps where all of them warm up; none where a tenth is all of them."""
    written = at(setting.tree, finding.pointer)
    if isinstance(written, (int, float)):
        yield replace(setting.tree, finding.pointer, 0.1 if written > 0.1 else 0.0)


def _sweep(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    """Both ends and the middle of each long list: values would be lost, so the user has to choose it."""
    methods, patches = setting.tree.get("methods", {}), list[Patch]()
    tables = {"/methods/pin": methods.get("pin", {})}
    tables |= {f"/methods/arms/{index}": arm for index, arm in enumerate(methods.get("arms", ()))}
    for place, table in tables.items():
        for name, value in table.items():
            if isinstance(value, list) and len(value) > KEPT and name != "targets":
                ends = [value[0], value[len(value) // 2], value[-1]]
                patches += replace(setting.tree, f"{place}/{name}", ends).patches
    if patches:
        yield Fix(title="keep both ends and the middle of each list", applicability="choose", patches=tuple(patches))


def _values(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    yield from _train_file(finding, setting)
    if finding.pointer.startswith("/task/verbalizer/"):
        yield from _labels(finding, setting)
    elif finding.pointer.endswith("/targets") and setting.facts:
        known = [linear.name for linear in setting.facts.model.linears]
        targets = at(setting.tree, finding.pointer)
        for index, target in enumerate(targets if isinstance(targets, list) else ()):
            near = get_close_matches(target, known, n=1, cutoff=0.5)
            if target not in known and near:
                yield replace(setting.tree, f"{finding.pointer}/{index}", near[0])


def _sources(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    """The one file of that name beside the training data, for a source that says nothing of its place."""
    place = finding.pointer
    source = at(setting.tree, place)
    if place.startswith("/data/") and isinstance(source, dict) and not {"path", "hub"} & set(source):
        found = sibling(setting, split(place)[1], "test" if place == "/data/train" else "train")
        yield from (add(f"{place}/path", found, "likely"),) if found else ()


def _conflicts(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    yield from _blocks(finding, setting)
    yield from _sources(finding, setting)
    if finding.pointer.startswith("/methods/arms/") and finding.pointer.endswith("/dropout"):
        yield from _aside(finding, setting)


def _blocks(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    if finding.pointer.endswith("/top_layers") and setting.facts and isinstance(at(setting.tree, finding.pointer), int):
        yield replace(setting.tree, finding.pointer, setting.facts.model.layers)


def _train_file(finding: Diagnostic, setting: Setting) -> Iterator[Fix]:
    if finding.code == "E-missing" and f"{finding.pointer}/{finding.expected}" == "/data/train":
        found = train_file(setting)
        yield from (add("/data/train", found, "likely"),) if found else ()
    place, written = finding.pointer, at(setting.tree, finding.pointer)
    if place == "/model/path" and isinstance(written, (bool, int, float)):
        known = list(_below(setting.base, folders=True))
        yield from (replace(setting.tree, place, known[0]),) if len(known) == 1 else ()
    name, is_text = place.removeprefix("/data/").removesuffix("/path"), isinstance(written, (str, dict))
    if finding.code == "E-value" and name in OTHER and has(setting.tree, place) and (name == "train" or not is_text):
        found = sibling(setting, name, OTHER[name])
        yield from (replace(setting.tree, place, found),) if found else ()


OTHER = {"train": "test", "test": "train", "unlabelled": "train"}
"""Split -> the one whose file tells where its own is."""


def train_file(setting: Setting) -> str | None:
    """The one file beside the test file that is named for training."""
    return sibling(setting, "train", "test")


def sibling(setting: Setting, name: str, of: str) -> str | None:
    """The one file with a split's name for its own, or in it, beside another split's file and with its ending."""
    other = at(setting.tree, _path_of(setting.tree, f"/data/{of}"))
    if isinstance(other, str) and not is_file(other, setting.base):
        other = next(iter(nearest_files(other, setting.base)), other)
    folder = str(other).rpartition("/")[0] if isinstance(other, str) else ""
    ending = str(other).rpartition(".")[2] if isinstance(other, str) else ""
    found = [path for path in _below(setting.base, folders=False) if path.rpartition("/")[0] == folder
             and name in _stem(path) and ending in ("", path.rpartition(".")[2])]  # fmt: skip
    found = [path for path in found if _stem(path) == name] or found
    return found[0] if len(found) == 1 else None


Ways = Callable[[Diagnostic, Setting], Iterator[Fix]]
WAYS: Mapping[str, Ways] = {
    "E-file-missing": _files, "E-path": _files, "E-file-unreadable": _files, "E-column": _columns,
    "E-no-effect": _aside, "E-label-unknown": _labels, "E-value": _values, "E-too-few-rows": _rows,
    "E-conflict": _conflicts, "E-missing": _train_file, "E-facts-missing": _models, "E-warmup": _warmup,
    "E-too-many-trials": _sweep,
}  # fmt: skip
"""Code -> what would mend it."""
NAMED = ("E-file-missing", "E-path", "E-file-unreadable", "E-column", "E-label-unknown", "E-value", "E-facts-missing")
