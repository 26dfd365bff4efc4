"""What holds for all tests: one thread for tiny models, no network, no progress bars of libraries, long tests first."""

import gc
import os
import shutil
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

FIRST = (
    "runtime/test_cluster.py", "chaos/test_apply_kills.py", "api/test_live.py", "api/test_embedded.py",
    "chaos/test_kill_points.py", "api/test_submissions.py", "api/test_detached.py", "chaos/test_races.py",
    "runtime/test_pull.py", "runtime/train/test_calibration.py",
)  # fmt: skip
"""Modules with tests of many seconds, most of which wait: they begin while there is other work to do beside them."""

MEMORY, ENOUGH = Path("/dev/shm"), 4 * 2**30
"""Where folders of tests are where there is room, in bytes: a sync costs nothing there, and a test syncs hundreds."""

if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

gc.disable()  # what collecting the tests makes stays until the end: to look through it is a third of the time


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not str(item.path).endswith(FIRST))


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()
