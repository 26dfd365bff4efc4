"""Query and read a workspace until a file tells to stop; any error ends it with a traceback.

Run as a program: `spectator.py WORKSPACE`; prints a JSON object.
"""

import json
import sys
from pathlib import Path

from fewtune.store.query import run_sql
from fewtune.store.reader import Reader


def main(root: Path) -> None:
    reader, queries = Reader(root), 0
    finished: list[int] = []
    offsets: list[int] = []
    while not (root / "stop").exists():
        offsets.append(reader.history().end.offset)
        reader.known(deep=True)
        answer = run_sql(reader.workspace, "SELECT count(*) FROM trials WHERE state = 'finished'")
        finished.append(answer.rows[0][0])
        queries += 1
    print(json.dumps({"queries": queries, "finished": finished, "offsets": offsets}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
