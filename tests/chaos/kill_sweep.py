"""Kill a process at each of its operations on the disk, let another finish its work, and judge what is left.

Run as a program: `kill_sweep.py FOLDER PART PARTS`; prints a JSON object. It imports everything once and forks, so that
a killed process costs a fraction of a second and is still a process of its own. Most of that would go into the
database, which is a function of the journal: it takes part where the process dies near the database's files, and at
every tenth of all other operations.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import invariants
import scenario

from fewtune.store import fault, publication, standings, view, writer  # noqa: F401 -- imported once, before forking
from fewtune.store.statistics import Comparison, Interval

TORN = ("write", "append")
"""Operations that a crash can leave half done."""
NEAR = 1
"""So many operations before and after one on the database's files are tried with the database, too,"""
EVERY = 40
"""and of all others every fortieth."""


class Kill(NamedTuple):
    fault: str
    publishing: bool


def lighten() -> None:
    """Leave out what is dear and touches no file of ours: quantiles, and the comments of the views."""
    interval = Interval(mean=0.5, low=0.0, high=1.0, level=0.95, basis="items_only", seeds=1, items=40)
    comparison = Comparison(
        difference=0.0, low=-1.0, high=1.0, level=0.95, verdict="cannot tell", basis="items_only", p_value=None,
        p_raw=None, raw_low=-1.0, raw_high=1.0, seeds=1, items=40, more_seeds=None, more_items=None,
    )  # fmt: skip
    standings.score_interval = lambda *_: interval
    standings.compare_family = lambda metric, labels, chosen, others, level, **_: (comparison,) * len(others)
    view.View.statements = lambda self: (f"CREATE VIEW {self.name} AS {self.query}",)


def in_child(work: Callable[[], object], log: Path) -> int:
    """Do the work in a process of its own; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            log.write_text(traceback.format_exc())
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def log_of(folder: Path) -> str:
    log = folder / "log"
    return log.read_text() if log.exists() else "killed"


def armed(folder: Path, what: str, *, publishing: bool) -> int:
    """Apply with a fault armed, in a process of its own; its exit status."""
    return in_child(lambda: apply(folder, what, publishing=publishing), folder / "log")


def apply(folder: Path, what: str | None, *, publishing: bool) -> None:
    if not publishing:
        writer.Store.publish = lambda self, *, force=False: False
    fault.arm(what)
    scenario.main(folder / "workspace", folder / "ack", publish=publishing)


def operations(folder: Path, *, publishing: bool) -> list[tuple[str, str]]:
    """Verb and place of all operations of an undisturbed apply."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    record = folder / "operations"
    assert armed(folder, f"record:{record}", publishing=publishing) == 0, log_of(folder)
    found = [line.split() for line in record.read_text().splitlines()]
    return [(verb, place) for _, verb, place in found]


def kills(folder: Path) -> list[Kill]:
    """Every operation without the database, and those near the database's files with it."""
    plain = operations(folder, publishing=False)
    found = [Kill(what, False) for number, (verb, _) in enumerate(plain, start=1) for what in faults(number, verb)]
    whole = operations(folder, publishing=True)
    places = [number for number, (_, place) in enumerate(whole, start=1) if ".duckdb" in place]
    near = {n for place in places for n in range(place - NEAR, place + NEAR + 1) if n <= len(whole)}
    near |= set(range(EVERY, len(whole) + 1, EVERY))
    return found + [Kill(what, True) for n in sorted(near) for what in faults(n, whole[n - 1][0])]


def faults(number: int, verb: str) -> list[str]:
    moments = ("before", "within", "after") if verb in TORN else ("before", "after")
    return [f"die-{moment}:{number}" for moment in moments]


def survive(folder: Path, kill: Kill) -> str | None:
    """Kill, finish, judge; what went wrong, or None."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    acknowledged, log = folder / "ack", folder / "log"
    status = armed(folder, kill.fault, publishing=kill.publishing)
    if status != -signal.SIGKILL:
        return f"{kill}: expected death, got {status}: {log_of(folder)}"
    if in_child(lambda: apply(folder, None, publishing=kill.publishing), log) != 0:
        return f"{kill}: the second process failed: {log_of(folder)}"
    known = acknowledged.read_text().split() if acknowledged.exists() else []
    if in_child(lambda: judge(folder / "workspace", known, database=kill.publishing), log) != 0:
        return f"{kill}: {log_of(folder)}"
    shutil.rmtree(folder)
    return None


def judge(workspace: Path, acknowledged: list[str], *, database: bool) -> None:
    invariants.check(workspace, acknowledged, scenario.wanted())
    if database:
        invariants.check_database(workspace)


def main(folder: Path, part: int, parts: int, every: int) -> None:
    lighten()
    everything = kills(folder / "recorded")
    mine = everything[::every][part::parts]
    found = [fault for number, kill in enumerate(mine) if (fault := survive(folder / str(number), kill))]
    print(json.dumps({"operations": len({k.fault.split(":")[1] for k in everything if not k.publishing}),
                      "kills": len(mine), "violations": found}))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
