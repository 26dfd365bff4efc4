"""Store, recover and apply with every change of a file watched; prints as JSON which of them bypass `durable`.

Run as a program: `watched.py WORKSPACE`; the real apply works in a folder beside it.
"""

import json
import os
import sys
import traceback
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import scenario
from apply_scenario import project

from fewtune.store import durable, publication  # noqa: F401 -- imported before anything is watched

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "shutil.copyfile")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """An audit hook: it cannot be taken off, so it lives in a process of its own."""

    def __init__(self, *workspaces: Path) -> None:
        self.workspaces = tuple(map(str, workspaces))
        self.seen = 0
        self.bypassing: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            changes = any(letter in str(mode or "") for letter in "wax+") or bool(int(flags) & WRITING)  # type: ignore[call-overload]
            if isinstance(path, str) and os.path.isdir(path):  # a file without a name: filelock makes its lock of one
                return
        else:
            path, changes = arguments[0] if arguments else "", event in CHANGES
            if event == "os.mkdir" and os.path.isdir(path):  # nothing changes: filelock asks for what is there
                return
        if changes and isinstance(path, str | bytes | os.PathLike) and self.ours(os.fsdecode(path)):
            self.seen += 1
            files = [frame.filename for frame in traceback.extract_stack()]
            if not any(Path(file).name == "durable.py" for file in files):
                self.bypassing.append(f"{event} {os.fsdecode(path)} from {files[-2]}")

    def ours(self, path: str) -> bool:
        """Inside the workspace, and neither the database's file nor the lock that the kernel knows."""
        return path.startswith(self.workspaces) and ".duckdb" not in path and not path.endswith("lease/lock")


def main(workspace: Path) -> None:
    folder = workspace.with_name("project")
    folder.mkdir()
    applied = project(folder)
    watch = Watch(workspace, applied.workspace)
    sys.addaudithook(watch)
    acknowledged = workspace.with_name("acknowledged")
    scenario.main(workspace, acknowledged)
    with (workspace / "journal.jsonl").open("ab") as journal:  # a bypass, which must be seen
        journal.write(b'{"torn')
    (workspace / "artefacts" / ".state.1-1.tmp").write_bytes(b"left by a crash")  # another one
    planted, watch.bypassing = watch.bypassing, []
    scenario.main(workspace, acknowledged)
    stored = watch.seen
    assert applied.apply().state == "succeeded"
    print(
        json.dumps(
            {"seen": stored, "seen in apply": watch.seen - stored, "planted": planted, "bypassing": watch.bypassing}
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
