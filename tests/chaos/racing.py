"""Two applies at once, and takeovers from a killed holder, again and again; judged from raw bytes.

Run as a program: `racing.py FOLDER RACES`; prints a JSON object.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import invariants
import kill_sweep
import miniature
import scenario

from fewtune.specs.diagnostic import StoreError
from fewtune.store import writer
from fewtune.store.writer import Store

CONTENDERS = 4
PATIENT = 30.0
"""Seconds that one waits who waits at all."""


class Inside:
    """A mark that only one process can have: who finds it there has met another holder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "inside"

    def __enter__(self) -> None:
        os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))

    def __exit__(self, *_: object) -> None:
        self.path.unlink()


def in_children(works: list[Callable[[], dict[str, Any]]], folder: Path) -> list[dict[str, Any]]:
    """Do all at the same moment, each in a process of its own; what each says, with its pid and what went wrong."""
    ready, go = os.pipe()
    pids = []
    for number, work in enumerate(works):
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os.read(ready, 1)  # returns when the parent closes its end
            said: dict[str, Any] = {"pid": os.getpid()}
            try:
                said |= work()
            except BaseException as error:
                said["wrong"] = repr(error)
            finally:
                (folder / f"said-{number}").write_text(json.dumps(said))
                os._exit(0)
        pids.append(pid)
    os.close(ready)
    os.close(go)
    for pid in pids:
        os.waitpid(pid, 0)
    return [json.loads((folder / f"said-{number}").read_text()) for number in range(len(works))]


def apply(folder: Path, wait: float) -> dict[str, Any]:
    """One apply, that says how it ended and what it computed."""
    began, done = time.monotonic(), []
    try:
        with Store.open(folder / "workspace", wait_seconds=wait) as store, Inside(folder):
            for fingerprint in miniature.apply(store, scenario.plan(), publish=False):
                done.append(fingerprint)
                time.sleep(0.005)
    except StoreError as error:
        return {"busy": str(error), "exit": error.exit_status, "seconds": time.monotonic() - began}
    return {"done": done, "seconds": time.monotonic() - began}


def race(folder: Path, number: int) -> dict[str, Any]:
    """Two applies; in every second race both wait for each other."""
    wait = PATIENT if number % 2 else 0.0
    found = in_children([lambda: apply(folder, wait)] * 2, folder)
    wrong = [one["wrong"] for one in found if "wrong" in one]
    refused = [one for one in found if "busy" in one]
    if len(refused) > (0 if wait else 1):
        wrong.append(f"{len(refused)} were refused")
    for one in refused:
        other = next(rival["pid"] for rival in found if rival is not one)
        if one["exit"] != 8 or f"process {other} on" not in one["busy"] or one["seconds"] > 1:
            wrong.append(f"after {one['seconds']:.1f} s: {one['busy']}")
    computed = [fingerprint for one in found for fingerprint in one.get("done", ())]
    if not wrong:
        try:
            invariants.check(folder / "workspace", computed, scenario.wanted())
        except AssertionError as error:
            wrong.append(str(error))
    return {"wrong": wrong, "refused": len(refused), "waited": bool(wait)}


def hold(folder: Path, ready: int) -> None:
    """Begin a run, say so, and stay."""
    with Store.open(folder / "workspace") as store:
        store.start_run(scenario.plan(), miniature.make_estimate(scenario.plan()))
        os.write(ready, b"x")
        signal.pause()


def contend(folder: Path) -> dict[str, Any]:
    """Take the workspace over, or wait until it is free."""
    with Store.open(folder / "workspace", wait_seconds=PATIENT) as store, Inside(folder):
        at = time.monotonic()
        time.sleep(0.005)
        return {"at": at, "fence": store._lease.number}


def takeover(folder: Path, number: int) -> dict[str, Any]:
    """A holder is killed while others wait; in every second race its lease's files are garbage besides."""
    there, here = os.pipe()
    holder = os.fork()
    if holder == 0:
        hold(folder, here)
        os._exit(1)
    os.read(there, 1)
    if number % 2:
        (folder / "workspace" / "lease" / "holder.json").write_bytes(b"\xff{")
        (folder / "workspace" / "lease" / "fence").write_bytes(b"many")
    killed = [0.0]

    def kill() -> dict[str, Any]:
        time.sleep(0.02)
        killed[0] = time.monotonic()
        os.kill(holder, signal.SIGKILL)
        return {"killed": killed[0]}

    *found, killer = in_children([*[lambda: contend(folder)] * CONTENDERS, kill], folder)
    os.waitpid(holder, 0)
    os.close(there)
    os.close(here)
    wrong = [one["wrong"] for one in found if "wrong" in one]
    if wrong:
        return {"wrong": wrong, "seconds": 0.0}
    records = invariants.journal_records(folder / "workspace")
    ends = [record for record in records if record["kind"] == "run_ended"]
    fences = sorted(one["fence"] for one in found)
    if len(ends) != 1 or ends[0]["fence"] != fences[0]:
        wrong.append(f"the dead run was ended {len(ends)} times")
    if len(set(fences)) != CONTENDERS or fences[0] <= records[0]["fence"]:
        wrong.append(f"leases {fences} after {records[0]['fence']}")
    return {"wrong": wrong, "seconds": min(one["at"] for one in found) - killer["killed"]}


def main(folder: Path, races: int) -> None:
    kill_sweep.lighten()
    writer.Store.publish = lambda self, *, force=False: False  # type: ignore[method-assign]
    found: dict[str, list[dict[str, Any]]] = {"race": [], "takeover": []}
    for name, one in (("race", race), ("takeover", takeover)):
        for number in range(races):
            place = folder / f"{name}-{number}"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            found[name].append(one(place, number))
            shutil.rmtree(place)
    wrong = {name: [said for one in ones for said in one["wrong"]] for name, ones in found.items()}
    print(json.dumps({
        "races": races,
        "refused": sum(one["refused"] for one in found["race"]),
        "slowest_takeover_s": round(max(one["seconds"] for one in found["takeover"]), 3),
        "race_violations": wrong["race"],
        "takeover_violations": wrong["takeover"],
    }))  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
