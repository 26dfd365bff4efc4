"""The device class of this machine, found without torch."""

import os
import platform
import shutil
from pathlib import Path

from fewtune.compiler.facts import Calibration, DeviceFacts, Weather
from fewtune.runtime.memo import keep, recall

CPU_CLASSES = (
    ("cpu amx-bf16", ("amx_bf16", "amx_tile")),
    ("cpu avx512-bf16", ("avx512_bf16",)),
    ("cpu avx512", ("avx512f",)),
    ("cpu avx2", ("avx2",)),
)
"""Class -> the flags it needs, the fastest first."""
BF16_CLASSES = frozenset({"cpu amx-bf16", "cpu avx512-bf16"})
AMPERE = 8
"""First CUDA compute capability with bf16 products."""


CALIBRATION = "calibration"
"""Kind of what is kept in the cache folder."""


def device_facts() -> DeviceFacts:
    """The accelerators, or the processor where there is none; with its rates where they were measured."""
    device = cuda_facts() or cpu_facts()
    kept = recall(CALIBRATION, device.model_dump(mode="json"))
    if kept is None:
        return device
    try:
        return device.model_copy(update={"calibration": Calibration.model_validate_json(kept)})
    except ValueError:  # of another version
        return device


def keep_calibration(device: DeviceFacts, calibration: Calibration) -> DeviceFacts:
    """Remember what was measured on this device; returns it with its rates."""
    bare = device.model_copy(update={"calibration": None})
    keep(CALIBRATION, bare.model_dump(mode="json"), calibration.model_dump_json())
    return bare.model_copy(update={"calibration": calibration})


def cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        return os.cpu_count() or 1


def cpu_facts() -> DeviceFacts:
    """The processor's class, cores and memory."""
    name = cpu_class()
    return DeviceFacts(
        kind="cpu",
        name=name,
        count=1,
        cores=cores(),
        memory_gib=max(1, total_memory() // 2**30),
        bf16=name in BF16_CLASSES,
    )


def cpu_class() -> str:
    """The fastest class whose flags the processor has."""
    flags = _cpu_flags()
    for name, needed in CPU_CLASSES:
        if flags.issuperset(needed):
            return name
    return "cpu neon" if platform.machine() in ("arm64", "aarch64") else "cpu"


def _cpu_flags() -> set[str]:
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return set()
    for line in path.read_text().splitlines():
        if line.startswith("flags"):
            return set(line.split(":", 1)[1].split())
    return set()


def total_memory() -> int:
    """Main memory in bytes: the control group's limit where it is lower."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.exists() else "max"
    return min(physical, int(text)) if text.isdigit() else physical


def cuda_facts() -> DeviceFacts | None:
    """CUDA devices through the driver's library; None without a driver or a visible device."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return None
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no library, no driver: there are many ways to have no GPU
        return None
    try:
        count = _visible(pynvml.nvmlDeviceGetCount())
        if count == 0:
            return None
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        name = pynvml.nvmlDeviceGetName(handle)
        major, _ = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle).total
    finally:
        pynvml.nvmlShutdown()
    return DeviceFacts(
        kind="cuda", name=name.decode() if isinstance(name, bytes) else str(name), count=count, cores=cores(),
        memory_gib=memory // 2**30, bf16=major >= AMPERE,
    )  # fmt: skip


def _visible(count: int) -> int:
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return count if listed is None else min(count, len([part for part in listed.split(",") if part.strip()]))


def weather(workspace: Path) -> Weather:
    """Free memory and disk at this moment."""
    free = None
    path = Path("/proc/meminfo")
    if path.exists():
        lines = dict(line.split(":", 1) for line in path.read_text().splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    folder = workspace if workspace.exists() else Path.cwd()
    return Weather(free_memory_bytes=free, free_disk_bytes=shutil.disk_usage(folder).free)
