"""What the killed processes do: open a store and apply a plan of three trials, telling what was acknowledged.

Run as a program: `scenario.py WORKSPACE ACKNOWLEDGED`. The environment variable FEWTUNE_FAULT says where it dies.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

import miniature

from fewtune.compiler.plan import Plan
from fewtune.store.writer import Store


def plan() -> Plan:
    return miniature.make_plan(arms=("zero-shot", "pattern + LoRA r=8"))


def wanted() -> list[str]:
    """Every result that a complete run has."""
    return [stage.fingerprint for stage in plan().stages if stage.kind in ("train", "evaluate")]


def main(workspace: Path, acknowledged: Path, *, publish: bool = True) -> None:
    log = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with Store.open(workspace) as store:
        for fingerprint in miniature.apply(store, plan(), publish=publish):
            os.write(log, f"{fingerprint}\n".encode())
    os.close(log)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
