"""JSON pointers and the operations of RFC 6902 that fixes are made of."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewtune.specs.diagnostic import Fix, Patch
from fewtune.specs.patch import apply_patches, escape, lookup, parts_of, pointer_to

TREE: dict[str, Any] = {"data": {"train": "a.csv", "rows": [1, 2, 3]}, "a/b": {"~": 0}}

Op = dict[str, Any]


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", TREE),
        ("/data/train", "a.csv"),
        ("/data/rows/0", 1),
        ("/data/rows/2", 3),
        ("/a~1b", {"~": 0}),
        ("/a~1b/~0", 0),
    ],
)
def test_lookup(pointer: str, value: Any) -> None:
    assert lookup(TREE, pointer) == value


@pytest.mark.parametrize(
    "pointer", ["/none", "/data/rows/3", "/data/rows/-", "/data/rows/x", "/data/train/x", "/data//"]
)
def test_nothing_is_there(pointer: str) -> None:
    with pytest.raises(KeyError):
        lookup(TREE, pointer)


keys = st.lists(st.text(max_size=5), max_size=4)


@given(keys)
def test_pointers_and_their_parts(parts: list[str]) -> None:
    assert parts_of(pointer_to(*parts)) == parts
    assert all("/" not in escape(part) for part in parts)


@given(keys, st.integers())
def test_what_a_pointer_names_is_found(parts: list[str], value: int) -> None:
    tree: Any = value
    for part in reversed(parts):
        tree = {part: tree}
    assert lookup(tree, pointer_to(*parts)) == value


@pytest.mark.parametrize(
    ("patches", "pointer", "value"),
    [
        ([{"op": "add", "path": "/a~1b/c", "value": 1}], "/a~1b", {"~": 0, "c": 1}),
        ([{"op": "add", "path": "/data/rows/0", "value": 9}], "/data/rows", [9, 1, 2, 3]),
        ([{"op": "add", "path": "/data/rows/-", "value": 9}], "/data/rows", [1, 2, 3, 9]),
        ([{"op": "remove", "path": "/data/rows/1"}], "/data/rows", [1, 3]),
        ([{"op": "remove", "path": "/data/train"}], "/data", {"rows": [1, 2, 3]}),
        ([{"op": "replace", "path": "/data/train", "value": "b.csv"}], "/data/train", "b.csv"),
        ([{"op": "replace", "path": "/data/rows/1", "value": 9}], "/data/rows", [1, 9, 3]),
        ([{"op": "move", "path": "/data/test", "from_": "/data/train"}], "/data", {"rows": [1, 2, 3], "test": "a.csv"}),
        ([{"op": "move", "path": "/data/rows/0", "from_": "/data/rows/2"}], "/data/rows", [3, 1, 2]),
        ([{"op": "test", "path": "/data/train", "value": "a.csv"}], "/data/train", "a.csv"),
        ([{"op": "add", "path": "/x", "value": {}}, {"op": "move", "path": "/x/y", "from_": "/data/train"}],
         "/x", {"y": "a.csv"}),
    ],
)  # fmt: skip
def test_operations(patches: list[Op], pointer: str, value: Any) -> None:
    before = deepcopy(TREE)
    patched = apply_patches(TREE, tuple(Patch(**patch) for patch in patches))
    assert lookup(patched, pointer) == value
    assert before == TREE, "the document itself stays as it is"


@pytest.mark.parametrize(
    "patch",
    [
        {"op": "test", "path": "/data/train", "value": "b.csv"},
        {"op": "test", "path": "/data/none", "value": None},
        {"op": "remove", "path": "/none"},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "move", "path": "/x", "from_": "/none"},
        {"op": "add", "path": "/none/x", "value": 1},
    ],
)
def test_an_operation_on_what_is_not_there(patch: Op) -> None:
    with pytest.raises(KeyError):
        apply_patches(TREE, (Patch(**patch),))


def test_a_failed_test_stops_the_patch() -> None:
    guard = Patch(op="test", path="/data/train", value="other")
    with pytest.raises(KeyError):
        apply_patches(TREE, (guard, Patch(op="remove", path="/data")))


def test_a_patch_stays_as_it_was() -> None:
    patches = (Patch(op="add", path="/x", value={}), Patch(op="move", path="/x/y", from_="/data/train"))
    apply_patches(TREE, patches)
    assert patches[0].value == {}


@pytest.mark.parametrize("path", ["/data/rows/9", "/data/rows/x"])
def test_an_index_that_a_list_does_not_have(path: str) -> None:
    with pytest.raises(KeyError):
        apply_patches(TREE, (Patch(op="add", path=path, value=0),))


def test_a_patch_is_written_as_the_standard_says() -> None:
    fix = Fix(title="", applicability="safe", patches=(Patch(op="move", path="/b", from_="/a"),))
    assert fix.model_dump(mode="json", by_alias=True, exclude_none=True)["patches"] == [
        {"op": "move", "path": "/b", "from": "/a"}
    ]
