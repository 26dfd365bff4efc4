"""No path of a spec leads out of its folder: every field that takes one, hostile spellings, a record of each open."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hostile import PATHS
from mutations.seeds import SEEDS, write_files
from tiny import tiny_model

from fewtune.api.checking import check
from fewtune.api.given import Given
from fewtune.specs.data import PathText
from fewtune.specs.tables import paths

OPENED: list[str] = []
RECORDING = [False]


def _record(event: str, arguments: tuple[Any, ...]) -> None:
    if RECORDING[0] and event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], (str, bytes)):
        OPENED.append(os.fsdecode(arguments[0]))


sys.addaudithook(_record)


@contextmanager
def recorded() -> Iterator[list[str]]:
    """What is opened or listed meanwhile."""
    OPENED.clear()
    RECORDING[0] = True
    try:
        yield OPENED
    finally:
        RECORDING[0] = False


def fields() -> list[str]:
    """Every field of the language that takes a path, found by walking its models; short forms of a source included."""
    marked = [pointer for pointer, kind in paths() if str(PathText) in str(kind)]
    sources = [pointer.removesuffix("/path") for pointer in marked if pointer.startswith("/data/")]
    return [*marked, *sources]


def test_every_path_field_is_found() -> None:
    found = fields()
    assert {
        "/data/train/path",
        "/data/ood/*/path",
        "/model/path",
        "/model/encoder_path",
        "/data/replay",
        "/augmentation/teacher/recording",
    } <= set(found)
    assert len(found) == 15


def spec_with(field: str, path: str) -> bytes:
    """A sound spec with a path in one field."""
    tree = json.loads(json.dumps(SEEDS["clauses, as it is"]))
    *owners, last = field.replace("*", "other").split("/")[1:]
    here = tree
    for owner in owners:
        inner = here.get(owner)
        here[owner] = inner if isinstance(inner, dict) else {}
        here = here[owner]
    here[last] = path
    return json.dumps(tree).encode()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of specs beside one with a secret, to which a link leads."""
    root = tmp_path_factory.mktemp("root").resolve()
    (root / "outside").mkdir()
    (root / "outside" / "secret.csv").write_text("text,label\nnobody reads this,a\nor this,b\n")
    (root / "out.csv").write_text("text,label\nnor this,a\nor this,b\n")
    folder = root / "specs"
    folder.mkdir()
    write_files(folder)
    (folder / "link").symlink_to(root / "outside")
    return folder


def allowed(path: str, base: Path) -> bool:
    """Whether a file may be opened: below the folder, or no file of a spec at all (code, caches, the machine)."""
    place = Path(path).resolve()
    if place.is_relative_to(base):
        return True
    own = (Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve(), Path(__file__).resolve().parents[2])
    machine = ("/proc/meminfo", "/proc/cpuinfo", "/proc/self/mountinfo", "/sys/", "/dev/shm", "/proc/stat")
    cache = Path(os.environ.get("FEWTUNE_CACHE", Path.home() / ".cache"))
    return any(map(place.is_relative_to, (*own, cache))) or str(place).startswith(machine)


@pytest.mark.parametrize("count", [7, pytest.param(500, marks=pytest.mark.full)])
def test_nothing_outside_is_opened(count: int, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    chance = Random(count)
    chosen = ["../out.csv", "link/secret.csv", f"{base.parent}/outside/secret.csv", *chance.sample(PATHS, count - 3)]
    opened = set[str]()
    for field in fields():
        for path in chosen if count > 100 else chance.sample(chosen, 3):
            content = spec_with(field, path)
            with recorded() as found:
                checked = check(Given(content, "spec.json", base, "json"), fix=False)
            assert not checked.valid, (field, path)
            opened |= {one for one in found if not allowed(one, base)}
    assert not opened


@pytest.mark.parametrize("field", ["/model/path", "/model/encoder_path"])
@pytest.mark.parametrize("path", ["../outside/model", "link/model", "{outside}/model"])
def test_an_agents_models_lie_inside(path: str, field: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal a model may lie anywhere; who works through MCP reads none outside its roots."""
    outside = base.parent / "outside"
    if not (outside / "model").exists():
        tiny_model(outside / "model")
    content = spec_with(field, path.format(outside=outside))
    free = check(Given(content, "spec.json", base, "json"), fix=False)
    assert "E-path" not in {one.code for one in free.found}
    monkeypatch.chdir(base)
    with recorded() as found:
        bound = check(Given(content, "spec.json", base, "json", roots=(base,)), fix=False)
    assert {one.code for one in bound.found if one.severity == "error"} == {"E-path"}
    assert not {one for one in found if not allowed(one, base)}


@pytest.mark.parametrize("path", ["../out.csv", "link/secret.csv", "/etc/passwd", "~/x.csv", "file:///etc/passwd"])
def test_a_fix_stays_inside(path: str, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(base)
    for one in check(Given(spec_with("/data/train", path), "spec.json", base, "json"), fix=False).found:
        for fix in one.fixes:
            for patch in fix.patches:
                if patch.op == "replace":
                    assert (base / str(patch.value)).resolve().is_relative_to(base)
