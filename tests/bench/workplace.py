"""A folder with real data and a spec, and the verbs run in it as a user would: used by the benchmark scripts."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Workplace:
    """A temporary folder; each verb is a process of its own, its answer the envelope's data."""

    def __init__(self, name: str, keep: Path | None = None) -> None:
        self.folder = keep or Path(tempfile.mkdtemp(prefix=f"fewtune-{name}-"))
        self.folder.mkdir(parents=True, exist_ok=True)

    def add(self, source: Path, name: str | None = None) -> None:
        """Copy a data file."""
        shutil.copyfile(source, self.folder / (name or source.name))

    def write(self, name: str, text: str) -> None:
        """Write a spec."""
        (self.folder / name).write_text(text)

    def run(self, *arguments: str, stdin: str = "") -> tuple[Row, float]:
        """Run a verb with --json; returns (its data, seconds). Its talk goes to this process's standard error."""
        command = [sys.executable, "-m", "fewtune.api.cli", *arguments, "--json"]
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=self.folder, input=stdin, stdout=subprocess.PIPE, text=True, check=False, env=dict(os.environ)
        )
        envelope = json.loads(done.stdout)
        if done.returncode:
            raise SystemExit(f"fewtune {arguments[0]} ended with {done.returncode}: {envelope['diagnostics']}")
        return envelope["data"], time.monotonic() - began


def leaderboard_table(results: Row, split: str) -> str:
    """The leaderboard of a split as Markdown."""
    lines = ["| arm | mean | interval | seeds | items | |", "| --- | --- | --- | --- | --- | --- |"]
    for row in results["leaderboard"]:
        if row["split"] == split:
            interval = f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"
            mark = "chosen" if row["chosen"] else ""
            lines.append(
                f"| {row['arm']} | {row['mean']:.3f} | {interval} | {row['seeds']} | {row['items']} | {mark} |"
            )
    return "\n".join(lines)


def machine() -> str:
    """What the figures were taken on."""
    from fewtune.runtime.probe.device import device_facts

    device = device_facts()
    threads = os.environ.get("OMP_NUM_THREADS")
    fixed = f", OMP_NUM_THREADS={threads}" if threads else ""
    return f"{device.count} x {device.name}, {device.cores} cores{fixed}"
