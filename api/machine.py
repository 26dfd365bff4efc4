"""doctor and models: what planning will assume about this machine, and what can be used at once."""

import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from fewtune.api.shows.console import console, heading, size, table
from fewtune.compiler.cost import rates
from fewtune.compiler.encoder import ENCODER
from fewtune.runtime.folders import cache_folder, embedded_folder, encoder_folder
from fewtune.runtime.minilm import encoder_is_ready
from fewtune.runtime.probe.device import device_facts, keep_calibration, weather
from fewtune.runtime.probe.model import embedded_shape, shape_of
from fewtune.runtime.smollm2 import is_ready
from fewtune.specs.diagnostic import Diagnostic, FewtuneError, RunError
from fewtune.specs.model import EMBEDDED
from fewtune.store.reader import Reader

CORE = ("pydantic", "duckdb", "typer", "rich", "tomlkit", "tokenizers", "scipy", "huggingface-hub")
TRAINING = ("torch", "transformers", "peft", "ray", "safetensors", "scikit-learn", "datasets", "gguf")
FOUR_BITS = ("bitsandbytes",)
"""What only bases in four bits need; not every machine can have it."""
TEACHER = ("openai",)
"""What only teachers behind an endpoint need."""


def calibrate() -> None:
    """Measure this machine's rates, half a minute, and keep them for the plans of this user.

    Raises:
        RunError: E-training-missing, or E-run where a trial does not come to its end.
    """
    from fewtune.runtime.applying import refuse_without_libraries
    from fewtune.runtime.train import calibration

    refuse_without_libraries()
    device = device_facts()
    try:
        keep_calibration(device, calibration.calibrate(device))
    except RuntimeError as error:
        raise RunError(Diagnostic(code="E-run", message=f"a trial did not come to its end: {error}")) from error


def examine(workspace: Path) -> dict[str, Any]:
    """Everything that `doctor` shows."""
    device, now, kept = device_facts(), weather(workspace), _workspace(workspace)
    return {
        "ok": not _missing(CORE) and kept.get("healthy", True),
        "exit_status": 1,
        "version": _version("fewtune"),
        "python": sys.version.split()[0],
        "device": device.model_dump(mode="json"),
        "rates": {name: asdict(rates(device, name)) for name in (("bf16", "fp32") if device.bf16 else ("fp32",))},
        "weather": now.model_dump(mode="json"),
        "libraries": {name: _version(name) for name in (*CORE, *TRAINING, *FOUR_BITS, *TEACHER)},
        "can_train": not _missing(TRAINING),
        "embedded_model": str(embedded_folder()) if is_ready() else None,
        "sentence_encoder": str(encoder_folder()) if encoder_is_ready() else None,
        "cache": str(cache_folder()),
        "workspace": kept,
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _missing(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if _version(name) is None]


def _workspace(workspace: Path) -> dict[str, Any]:
    """Whether the journal can be read, and who writes to it."""
    reader = Reader(workspace)
    found: dict[str, Any] = {"path": str(workspace), "exists": workspace.exists()}
    if not workspace.exists():
        return found
    try:
        history = reader.history()
    except FewtuneError as error:
        return found | {"journal": error.diagnostics[0].message, "healthy": False}
    holder = reader.holder()
    return found | {"healthy": True, "runs": len(history.runs), "fitted": len(history.fitted),
                    "evaluated": len(history.evaluated), "writer": holder.pid if holder else None}  # fmt: skip


def show_health(health: dict[str, Any]) -> None:
    """Print it."""
    out, device = console(), health["device"]
    out.print(f"fewtune {health['version']}, Python {health['python']}")
    kind = "bf16 in hardware" if device["bf16"] else "fp32"
    out.print(
        f"device     {device['count']} x {device['name']}, {device['cores']} cores, {device['memory_gib']} GiB, {kind}"
    )
    basis = "measured here" if device["calibration"] else "of the class; --calibrate measures them"
    found = "; ".join(
        f"{name} {rate['train'] / 1e9:,.0f} GFLOP/s training, {rate['forward'] / 1e9:,.0f} forward"
        for name, rate in health["rates"].items()
    )
    out.print(f"rates      {found} ({basis})")
    free = health["weather"]
    out.print(
        f"free now   {size(free['free_memory_bytes'] or 0)} of memory, {size(free['free_disk_bytes'] or 0)} of disk"
    )
    out.print(f"model      {health['embedded_model'] or f'{EMBEDDED}: not fetched yet (fewtune pull SPEC)'}")
    out.print(f"encoder    {health['sentence_encoder'] or f'{ENCODER.name}: not fetched yet (fewtune pull SPEC)'}")
    out.print(f"training   {'all libraries are installed' if health['can_train'] else 'pip install fewtune[train]'}")
    store = health["workspace"]
    state = "not there yet" if not store["exists"] else f"{store.get('runs', 0)} runs, journal readable"
    out.print(f"workspace  {store['path']}: {store.get('journal', state)}")
    heading(out, "Libraries")
    table(out, ("library", "version"), [(name, found or "missing") for name, found in health["libraries"].items()])


def model_rows() -> list[dict[str, Any]]:
    """The embedded model, and every model of the Hugging Face cache that fewtune can use."""
    shape = embedded_shape()
    rows = [_row(EMBEDDED, shape, "ready" if is_ready() else "fetched by `fewtune pull`")]
    for name, folder in cached_models():
        try:
            rows.append(_row(name, shape_of(folder), "in the Hugging Face cache"))
        except (FewtuneError, KeyError, ValueError):
            continue  # not a causal language model in safetensors
    return rows


def _row(name: str, shape: dict[str, Any], state: str) -> dict[str, Any]:
    keys = ("architecture", "parameters", "layers", "hidden", "max_positions", "instruct", "weights_hash")
    return {"name": name, "state": state, **{key: shape[key] for key in keys}}


def cached_models() -> list[tuple[str, Path]]:
    """(name, newest snapshot) of the models in the Hugging Face cache."""
    from huggingface_hub.constants import HF_HUB_CACHE

    found = []
    for repository in sorted(Path(HF_HUB_CACHE).glob("models--*")):
        snapshots = sorted(repository.glob("snapshots/*"), key=lambda path: path.stat().st_mtime)
        if snapshots and (snapshots[-1] / "config.json").exists():
            found.append((repository.name.removeprefix("models--").replace("--", "/"), snapshots[-1]))
    return found


def show_models(rows: list[dict[str, Any]]) -> None:
    """Print them."""
    shown = [
        (row["name"], f"{row['parameters'] / 1e6:.0f}M", row["architecture"], row["max_positions"],
         "yes" if row["instruct"] else "no", row["state"])
        for row in rows
    ]  # fmt: skip
    table(console(), ("name", "parameters", "architecture", "context", "instruct", "state"), shown)
