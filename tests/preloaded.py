"""Python processes that begin with the libraries imported: torch, transformers and peft take five seconds to import.

A server imports them once and computes nothing; each program is a process forked from it, with its own arguments,
working folder, environment and files, that ends as a Python process does. What is shown of a start of Python itself, of
its imports or of variables that libraries read at their import needs `subprocess`.
"""

import atexit
import gc
import importlib
import json
import logging
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import IO, NoReturn

LIBRARIES = (
    "torch", "transformers.models.auto.modeling_auto", "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama", "transformers.models.bert.modeling_bert", "peft", "bitsandbytes",
    "sklearn.linear_model", "sklearn.feature_extraction.text", "scipy.stats", "duckdb", "safetensors.torch",
)  # fmt: skip
OURS = (
    "fewtune.api.cli", "fewtune.api.session", "fewtune.api.running", "fewtune.api.using", "fewtune.api.erring",
    "fewtune.api.querying", "fewtune.runtime.export", "fewtune.runtime.train.engine",
    "fewtune.runtime.train.bag_of_words",
)  # fmt: skip
CACHE = {"HF_HOME": os.devnull, "HF_HUB_OFFLINE": "1"}
"""Libraries find no model that was fetched, and fetch none."""
NUMBER = 16
"""Bytes of a process's number or status, on their way back."""


def run(
    *program: str | Path, alone: bool = False, cwd: Path | None = None, stdin: str = "",
    env: Mapping[str, str] | None = None, timeout: float = 300,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run a program in a new process; for one thread at a time.

    Args:
        program: `fewtune`, `-c` and a text, or the path of a script; then its arguments.
        alone: it finds no fewtune.
        cwd: its working folder; None: this one's.
        stdin: its standard input.
        env: variables beside this process's own, of those that fewtune reads when it needs them.
        timeout: seconds.

    Raises:
        TimeoutExpired: it was killed.
    """
    late = {name for name in env or {} if name.startswith("FEWTUNE_") and name != "FEWTUNE_FAULT"}
    assert late == set(env or {}), "others are read when something is imported"
    words = [str(word) for word in program]
    with tempfile.TemporaryFile() as order, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as erred:
        with tempfile.TemporaryFile() as given:
            given.write(stdin.encode())
            given.seek(0)
            order.write(json.dumps([words, alone, str(cwd or Path.cwd()), {**os.environ, **(env or {})}]).encode())
            order.seek(0)
            files = [file.fileno() for file in (order, given, said, erred)]
            server, _ = _server()
            socket.send_fds(server, [b"."], files)
        process = int(server.recv(NUMBER, socket.MSG_WAITALL))
        overdue = not select.select([server], [], [], timeout)[0]
        if overdue:
            os.kill(process, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(int(server.recv(NUMBER, socket.MSG_WAITALL)))
        if overdue:
            raise subprocess.TimeoutExpired(words, timeout)
        return subprocess.CompletedProcess(words, code, _text(said), _text(erred))


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _server() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the server; it ends when this process does."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, env={**os.environ, **CACHE},
        )  # fmt: skip
    return ours, process


def serve(asked: socket.socket) -> None:
    """Fork a process for each order and say its number, then its status, until nobody can ask any more."""
    logging.disable(logging.WARNING)  # bitsandbytes misses what only faster arithmetic needs
    for name in (*LIBRARIES, *OURS):
        importlib.import_module(name)
    logging.disable(logging.NOTSET)
    gc.freeze()
    while True:
        message, files, *_ = socket.recv_fds(asked, 1, 4)
        if not message:
            return
        process = os.fork()
        if not process:
            asked.close()
            leave(become(*files))
        for file in files:
            os.close(file)
        asked.sendall(b"%*d" % (NUMBER, process))
        asked.sendall(b"%*d" % (NUMBER, os.waitpid(process, 0)[1]))


def become(order: int, *files: int) -> int:
    """Be the program that the order asks for; returns the status with which it ends."""
    with open(order, "rb") as text:
        program, alone, folder, environment = json.load(text)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment | CACHE)
    sys.argv = program
    if alone:
        for name in [name for name in sys.modules if name.partition(".")[0] == "fewtune"]:
            del sys.modules[name]
        sys.modules["fewtune"] = None  # type: ignore[assignment]
    try:
        if program[0] == "fewtune":
            from fewtune.api.cli import main

            main()
        elif program[0] == "-c":
            exec(compile(program.pop(1), "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.path[0] = str(Path(program[0]).resolve().parent)
            runpy.run_path(program[0], run_name="__main__")
    except SystemExit as end:
        if not isinstance(end.code, str):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def leave(status: int) -> NoReturn:
    """End as Python does, without taking the libraries apart, which takes longer than most commands."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
