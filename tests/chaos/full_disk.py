"""Apply where no file may grow beyond a limit; prints what became of it. Run as `full_disk.py WORKSPACE ACK BYTES`.

The limit is the operating system's own: real errors in the middle of real writes, DuckDB's included.
"""

import json
import resource
import sys
from pathlib import Path

import scenario

from fewtune.specs.diagnostic import StoreError
from fewtune.store.writer import Store


def main(workspace: Path, acknowledged: Path, limit: int) -> None:
    troubles: list[str] = []
    publish = Store.publish

    def watched(self: Store, *, force: bool = False) -> bool:
        published = publish(self, force=force)
        troubles.extend([self.trouble.code] if self.trouble else [])
        return published

    Store.publish = watched  # type: ignore[method-assign]
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    code = None
    try:
        scenario.main(workspace, acknowledged)
    except StoreError as error:
        code = error.diagnostics[0].code
    print(json.dumps({"code": code, "troubles": troubles}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
