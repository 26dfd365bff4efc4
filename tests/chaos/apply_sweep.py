"""kill_sweep on the real apply. Run as a program: `apply_sweep.py FOLDER EVERY`; prints a JSON object."""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import apply_scenario
import kill_sweep

from fewtune.runtime.train import bag_of_words, engine  # noqa: F401 -- imported once, before forking


def main(folder: Path, every: int) -> None:
    kill_sweep.scenario = apply_scenario  # type: ignore[attr-defined]
    kill_sweep.lighten()
    apply_scenario.project(apply_scenario.HOME).path  # noqa: B018 -- written before any process forks
    operations = kill_sweep.operations(folder / "recorded", publishing=False)
    kills = [
        kill_sweep.Kill(fault, False)
        for number, (verb, _) in enumerate(operations, start=1)
        for fault in kill_sweep.faults(number, verb)
    ]
    tried = kills[::every]
    found = [fault for number, kill in enumerate(tried) if (fault := kill_sweep.survive(folder / str(number), kill))]
    print(json.dumps({"operations": len(operations), "kills": len(tried), "violations": found}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
