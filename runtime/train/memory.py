"""Memory: the peak of a piece of work, and the signs that there was too little."""

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from fewtune.runtime.probe.device import total_memory, weather

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
SIGNS = (
    "out of memory",
    "can't allocate memory",
    "defaultcpuallocator",
    "not enough memory",
    "cublas_status_alloc_failed",
    "bad_alloc",
)
"""Parts of the messages of a RuntimeError that means it (torch, its CPU allocator, cuBLAS, C++)."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that there was too little memory."""
    kinds: tuple[type[BaseException], ...] = (MemoryError,)
    if "torch" in sys.modules:
        import torch

        kinds += (torch.OutOfMemoryError,)
    if isinstance(error, kinds):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in SIGNS)


def release() -> None:
    """Give back what a failed job may have left to the collector and to the device's cache."""
    gc.collect()
    empty_cache()


def empty_cache() -> None:
    """Give back what the device's allocator keeps for later."""
    if "torch" in sys.modules:
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def trim() -> None:
    """Give back to the system what the C library keeps of freed memory; where it is not glibc, nothing happens."""
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if give_back is not None:
        give_back(0)


def free_bytes(device: str) -> int:
    """Memory that could be taken now, without anything else having to go."""
    if device.startswith("cuda"):
        import torch

        empty_cache()
        return int(torch.cuda.mem_get_info(device)[0])
    free = weather(Path.cwd()).free_memory_bytes
    return total_memory() if free is None else min(free, total_memory())


class PeakMemory:
    """Measures the peak between enter and exit: bytes allocated on a GPU, else the process's resident set.

    The kernel's high-water mark is reset on entry; where that is not allowed, it is the mark since the process began.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.bytes = 0

    def __enter__(self) -> Self:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            with contextlib.suppress(OSError):
                RESET.write_text("5")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bytes = self.read()

    def read(self) -> int:
        """The peak so far."""
        if not self.device.startswith("cuda"):
            return _resident_peak()
        import torch

        return torch.cuda.max_memory_allocated(self.device)


def _resident_peak() -> int:
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
