"""Apply and recover with every change of a file watched; prints a JSON list of changes that bypass `durable`.

Run as a program: `watched.py WORKSPACE`.
"""

import json
import os
import sys
import traceback
from pathlib import Path

import scenario

from fewtune.store import durable, publication  # noqa: F401 -- imported before anything is watched

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink", "shutil.copyfile")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """An audit hook: it cannot be taken off, so it lives in a process of its own."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = str(workspace)
        self.seen = 0
        self.bypassing: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            changes = any(letter in str(mode or "") for letter in "wax+") or bool(int(flags) & WRITING)  # type: ignore[call-overload]
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
        return path.startswith(self.workspace) and ".duckdb" not in path and not path.endswith("lease/lock")


def main(workspace: Path) -> None:
    watch = Watch(workspace)
    sys.addaudithook(watch)
    acknowledged = workspace.with_name("acknowledged")
    scenario.main(workspace, acknowledged)
    with (workspace / "journal.jsonl").open("ab") as journal:  # a bypass, which must be seen
        journal.write(b'{"torn')
    (workspace / "artefacts" / ".state.1-1.tmp").write_bytes(b"left by a crash")  # another one
    planted, watch.bypassing = watch.bypassing, []
    scenario.main(workspace, acknowledged)
    print(json.dumps({"seen": watch.seen, "planted": planted, "bypassing": watch.bypassing}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
