"""A full disk is said plainly, takes nothing that was acknowledged, and the next apply goes on."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import invariants
import preloaded
import pytest
import scenario

HERE = Path(__file__).parent
SOME = [200, 6_000, 16_000, 100_000]
ALL = [0, 10, 200, 1_000, 3_000, 6_000, 10_000, 12_000, 13_000, 14_000, 15_000, 16_000, 17_000, 18_000, 50_000, 100_000,
       200_000, 300_000, 400_000, 800_000]  # fmt: skip
"""Bytes that no file may exceed: from nothing at all to enough for everything but the database."""


@pytest.mark.parametrize("limits", [SOME, pytest.param(ALL, marks=pytest.mark.full)], ids=len)
def test_at_several_fill_levels(memory_folder: Path, limits: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    told: Counter[str] = Counter()
    for limit in limits:
        workspace, acknowledged = memory_folder / f"w{limit}", memory_folder / f"a{limit}"
        done = run("full_disk.py", workspace, acknowledged, limit)
        answer = json.loads(done.stdout)
        assert "Traceback" not in done.stderr, done.stderr
        assert {answer["code"], *answer["troubles"]} <= {"E-store-full", "E-results", None}
        told.update([answer["code"] or ("without results" if answer["troubles"] else "complete")])
        assert run("scenario.py", workspace, acknowledged).returncode == 0
        invariants.check(workspace, acknowledged.read_text().split(), scenario.wanted())
        invariants.check_database(workspace)
    assert set(told) >= {"E-store-full", "without results"}
    with capsys.disabled():
        print(f" [{len(limits)} fill levels: {dict(told)}]", end="")


def run(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return preloaded.run(HERE / program, *map(str, arguments))
