"""A process that begins with the libraries imported behaves as one that Python starts."""

import subprocess
import sys
from pathlib import Path

import preloaded
import pytest

PROGRAMS = {
    "arguments": "import sys; print(sys.argv)",
    "an echo": "import sys; sys.stdout.write(sys.stdin.read()); print('told', file=sys.stderr)",
    "its folder": "import os; print(os.getcwd(), os.environ['FEWTUNE_WORKSPACE'])",
    "a status": "raise SystemExit(3)",
    "a last word": "import sys; sys.exit('no')",
    "an end in a hurry": "import os; print('lost'); os._exit(4)",
    "a last act": "import atexit; atexit.register(print, 'bye')",
    "a thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()",
    "a signal": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "threads": "import threading; print(threading.active_count())",
    "dice": "import random; print(0 <= random.random() < 1)",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_is_what_a_start_of_python_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEWTUNE_WORKSPACE", "there")
    command, stdin = ["-c", PROGRAMS[name], "one", "two three"], "a line\nand another"
    wanted = subprocess.run([sys.executable, *command], cwd=tmp_path, input=stdin, capture_output=True, text=True)
    found = preloaded.run(*command, cwd=tmp_path, stdin=stdin)
    assert (found.returncode, found.stdout, found.stderr) == (wanted.returncode, wanted.stdout, wanted.stderr)


def test_an_error_ends_with_its_traceback() -> None:
    found = preloaded.run("-c", "raise ValueError('seven')")
    assert (found.returncode, found.stderr.splitlines()[-1]) == (1, "ValueError: seven")


def test_two_runs_share_nothing(tmp_path: Path) -> None:
    program = "import os, random, sys; print(os.getpid(), random.random(), hasattr(sys, 'mine')); sys.mine = 1"
    first, second = (preloaded.run("-c", program).stdout.split() for _ in range(2))
    assert len({*first[:2], *second[:2]}) == 4
    assert (first[2], second[2]) == ("False", "False")


def test_a_script_alone_finds_no_fewtune(tmp_path: Path) -> None:
    (tmp_path / "tried.py").write_text("import torch, beside\nimport fewtune.api.cli")
    (tmp_path / "beside.py").touch()
    assert preloaded.run(tmp_path / "tried.py").returncode == 0
    assert "ModuleNotFoundError" in preloaded.run(tmp_path / "tried.py", alone=True).stderr


def test_what_takes_too_long_is_killed() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        preloaded.run("-c", "import time; time.sleep(60)", timeout=0.2)
    assert preloaded.run("-c", "").returncode == 0
