"""Too little memory, for real: a process with a limited address space."""

import sys
from collections.abc import Callable
from pathlib import Path

import preloaded
import pytest
import torch

from fewtune.runtime.job import Corpus, Job
from fewtune.runtime.train.memory import PeakMemory, out_of_memory

PROGRAM = """
import resource, sys
from fewtune.runtime.job import Corpus, Job, ModelRef
from fewtune.runtime.train.engine import Engine

def address_space():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024

path, corpus, warm, large, small = sys.stdin.read().splitlines()
engine = Engine(ModelRef(path=path, weights_hash=""), Corpus.model_validate_json(corpus), threads=1)
assert engine.run(Job.model_validate_json(warm)).failure is None
held = engine._methods["model"]._bases["fp32", False].model
base = {name: value.clone() for name, value in held.state_dict().items()}
limit = address_space() + 40_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
answer = engine.run(Job.model_validate_json(large))
print(answer.failure, len(answer.outcomes), answer.message[:200])
again = engine.run(Job.model_validate_json(small))
print(again.failure, len(again.outcomes), again.message[:200])
now = held.state_dict()
print(all((now[name] == value).all() for name, value in base.items()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="address spaces are limited there")
def test_a_job_that_does_not_fit_says_so_and_a_smaller_micro_batch_succeeds(
    job: Callable[..., Job], corpus: Corpus, models: Callable[..., Path]
) -> None:
    long = corpus.splits["train"][0].model_copy(update={"fields": {"text": "the report says " * 200}})
    corpus = corpus.model_copy(update={"splits": {**corpus.splits, "train": (long,) * 96}})
    large = job("pattern", "lora", rows=range(32), max_tokens=400, batch_size=32, micro_batch=32, steps=1)
    small = job("pattern", "lora", rows=range(32), max_tokens=400, batch_size=32, micro_batch=1, steps=1)
    warm = job("pattern", "lora", steps=1)
    lines = [str(models()), corpus.model_dump_json(), *(each.model_dump_json() for each in (warm, large, small))]
    done = preloaded.run("-c", PROGRAM, stdin="\n".join(lines))
    assert done.returncode == 0, done.stderr
    first, second, same = done.stdout.splitlines()
    assert first.startswith("out_of_memory 0"), first
    assert second.startswith("None 2"), second
    assert same == "True"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
        ),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_signs_of_too_little_memory(error: Exception) -> None:
    assert out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shape mismatch"), ValueError("out of memory"), KeyError("memory")])
def test_other_errors_are_none(error: Exception) -> None:
    assert not out_of_memory(error)


def test_the_allocators_own_error_is_one() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50, dtype=torch.uint8)
    assert out_of_memory(caught.value)


def test_peak_is_of_this_piece_of_work() -> None:
    with PeakMemory("cpu") as before:
        pass
    with PeakMemory("cpu") as large:
        block = bytearray(200_000_000)
        block[::4096] = b"x" * len(block[::4096])
        del block
    with PeakMemory("cpu") as after:
        pass
    assert large.bytes > before.bytes + 150_000_000
    assert after.bytes < large.bytes - 100_000_000
