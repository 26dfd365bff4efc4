"""No change of journal, artefacts or lease goes past `durable`, where the kill list is made."""

import ast
import json
from pathlib import Path

import preloaded
import pytest

import fewtune.store.writer

HERE = Path(__file__).parent
STORE = Path(fewtune.store.writer.__file__).parent
ALLOWED = {"durable.py", "fault.py"}
CHANGING = {
    "write_text", "write_bytes", "unlink", "rename", "replace", "mkdir", "rmdir", "touch", "remove", "makedirs",
    "fsync", "truncate", "ftruncate", "copyfile", "rmtree", "move", "symlink_to", "hardlink_to", "pwrite",
}  # fmt: skip
OF_FILES = {"os", "shutil", "path", "file", "handle"}


def test_an_audit_hook_sees_no_bypass(memory_folder: Path) -> None:
    done = preloaded.run(HERE / "watched.py", memory_folder / "workspace")
    found = json.loads(done.stdout)
    assert found["seen"] > 50
    assert found["seen in apply"] > 20
    assert len(found["planted"]) == 2, "the watch must see the two changes that the test makes itself"
    assert found["bypassing"] == []


@pytest.mark.parametrize(
    "module", sorted(path for path in STORE.glob("*.py") if path.name not in ALLOWED), ids=lambda path: path.name
)
def test_no_module_changes_files_by_itself(module: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    assert [ast.unparse(call) for call in calls if changes_a_file(call)] == []


def changes_a_file(call: ast.Call) -> bool:
    match call.func:
        case ast.Name(id="open"):
            return True
        case ast.Attribute(attr="open", value=receiver):
            modes = [argument.value for argument in call.args if isinstance(argument, ast.Constant)]
            return ast.unparse(receiver) == "os" or any(set(str(mode)) & set("wax+") for mode in modes)
        case ast.Attribute(attr=name, value=receiver):
            owner = ast.unparse(receiver)
            return name in CHANGING and owner not in ("durable",) and not (name == "replace" and is_text(call))
    return False


def is_text(call: ast.Call) -> bool:
    """`text.replace(old, new)` has two texts; `path.replace(target)` one path."""
    return len(call.args) == 2
