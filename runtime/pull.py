"""Fetch what a spec names, and record it in fewtune.lock: the only place that uses the network for models and data."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from fewtune.compiler.encoder import ENCODER
from fewtune.runtime.folders import cache_folder
from fewtune.runtime.lock import Lock, LockedData, LockedModel, data_file, data_key, read_lock, write_lock
from fewtune.runtime.minilm import pull_encoder
from fewtune.runtime.probe.model import encoder_facts, shape_of
from fewtune.runtime.smollm2 import pull_embedded
from fewtune.runtime.wheel import Say
from fewtune.specs.data import Source
from fewtune.specs.diagnostic import Diagnostic, RunError
from fewtune.specs.experiment import Experiment
from fewtune.specs.methods import ENCODED, METHODS
from fewtune.specs.model import EMBEDDED, Model

PATTERNS = ["config.json", "generation_config.json", "*.safetensors", "tokenizer*", "vocab*", "merges.txt", "*.model",
            "special_tokens_map.json", "*.jinja"]  # fmt: skip
"""The files of a model repository that are fetched: no code, no pickles."""


def pull_spec(experiment: Experiment, base: Path, say: Say) -> dict[str, str]:
    """Fetch the spec's model and hub data; local files need nothing.

    Returns:
        What was pulled -> where it lies.

    Raises:
        RunError: E-download, E-hash, E-model or E-training-missing.
    """
    lock, pulled = read_lock(base), dict[str, str]()
    model, augmented = experiment.model, experiment.augmentation
    writer = augmented.teacher if augmented else None
    if model.is_embedded or (writer is not None and writer.is_embedded and writer.recording is None):
        pulled[EMBEDDED] = str(pull_embedded(say))
    if not model.is_embedded and model.name is not None:
        locked = pull_model(model, lock, say)
        lock = lock.model_copy(update={"models": {**lock.models, model.place: locked}})
        pulled[model.place] = locked.folder
    if model.encoder is not None and not model.embeds_encoder:
        locked = pull_encoder_model(model, lock, say)
        lock = lock.model_copy(update={"models": {**lock.models, model.encoder_place: locked}})
        pulled[model.encoder_place] = locked.folder
    if _reads_embedded(experiment):
        pulled[ENCODER.name] = str(pull_encoder(say))
    for source in experiment.data.splits.values():
        if source.hub is not None:
            found = pull_data(source, lock, say)
            lock = lock.model_copy(update={"data": {**lock.data, data_key(source): found}})
            pulled[source.place] = str(data_file(found.sha256))
    if lock.models or lock.data:
        write_lock(base, lock)
    return pulled


def _reads_embedded(experiment: Experiment) -> bool:
    """Whether an arm reads with the embedded encoder, frozen or tuned."""
    wanted = experiment.methods
    tuned = any(METHODS[name][0] in ENCODED for name in (*wanted.include, *(arm.method for arm in wanted.arms)))
    frozen = "encoder" not in wanted.exclude and not experiment.task.writes
    nearest = any("nearest" in (pins.demonstrations_by or ()) for pins in (wanted.pin, *wanted.arms))
    return frozen or nearest or experiment.augmentation is not None or (tuned and experiment.model.embeds_encoder)


def _download_error(what: str, error: Exception) -> RunError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    message = f"{what} could not be fetched: {reason}"
    remedy = "check the name and the connection; a local folder goes into model.path, a local file into data"
    return RunError(Diagnostic(code="E-download", message=message, remedy=remedy))


def pull_model(model: Model, lock: Lock, say: Say) -> LockedModel:
    """Fetch a model repository at its locked (or newest) revision and check its files."""
    locked = lock.models.get(model.place)
    revision = model.revision or (locked.revision if locked else None)
    found, folder = _fetched(model.place, revision, say)
    shape = shape_of(folder)
    return LockedModel(revision=found, folder=str(folder), weights_hash=shape["weights_hash"])


def pull_encoder_model(model: Model, lock: Lock, say: Say) -> LockedModel:
    """The same of an encoder."""
    locked = lock.models.get(model.encoder_place)
    found, folder = _fetched(model.encoder_place, locked.revision if locked else None, say)
    facts = encoder_facts(model, folder, lock)
    return LockedModel(revision=found, folder=str(folder), weights_hash=facts.weights_hash)


def _fetched(name: str, revision: str | None, say: Say) -> tuple[str, Path]:
    """(revision, folder) of a model repository."""
    from huggingface_hub import snapshot_download

    say(f"fetching the model {name}")
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=PATTERNS))
    except Exception as error:  # the hub client raises many kinds
        raise _download_error(f"the model {name}", error) from error
    return folder.name, _with_tokenizer(folder, name)


def _with_tokenizer(folder: Path, name: str) -> Path:
    """The folder, or a copy of its links with a tokenizer.json made from an older format."""
    if (folder / "tokenizer.json").exists():
        return folder
    from transformers import AutoTokenizer

    target = cache_folder() / "models" / f"{name.replace('/', '--')}@{folder.name}"
    target.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        link = target / file.name
        if not link.exists():
            link.symlink_to(file.resolve())
    with tempfile.TemporaryDirectory() as scratch:
        AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False).save_pretrained(scratch)
        if not (Path(scratch) / "tokenizer.json").exists():
            message, remedy = f"{name} has no fast tokenizer", "choose a model with tokenizer.json"
            raise RunError(Diagnostic(code="E-model", message=message, remedy=remedy))
        shutil.copyfile(Path(scratch) / "tokenizer.json", target / "tokenizer.json")
    return target


def pull_data(source: Source, lock: Lock, say: Say) -> LockedData:
    """Fetch a hub split at its locked (or newest) revision and keep it as Parquet."""
    locked = lock.data.get(data_key(source))
    if locked is not None and data_file(locked.sha256).exists() and source.revision in (None, locked.revision):
        return locked
    say(f"fetching the data set {source.hub}")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        from datasets import load_dataset
    except ImportError as error:
        remedy = "pip install 'fewtune[train]'"
        raise RunError(Diagnostic(code="E-training-missing", message=str(error), remedy=remedy)) from error
    revision = source.revision or (locked.revision if locked else None)
    try:
        table: Any = load_dataset(source.hub, source.config, split=source.split or "train", revision=revision or None)
    except Exception as error:  # the library raises many kinds
        raise _download_error(f"the data set {source.hub}", error) from error
    return _kept(table, source, revision or _revision_of(table))


def _revision_of(table: Any) -> str:
    """The commit that a hub data set was read from; empty for a local folder."""
    sums = list((table.info.download_checksums or {}).keys())
    marked = [part for url in sums for part in str(url).split("@")[1:2]]
    return marked[0].split("/")[0] if marked else ""


def _kept(table: Any, source: Source, revision: str) -> LockedData:
    """Write the rows as Parquet, class indices as their names, named by its own hash."""
    folder = cache_folder() / "data"
    folder.mkdir(parents=True, exist_ok=True)
    named = {name: feature.names for name, feature in table.features.items() if hasattr(feature, "names")}
    if named:
        columns = table.features.copy()
        values = {name: [names[i] if i >= 0 else None for i in table[name]] for name, names in named.items()}
        table = table.remove_columns(list(named))
        for name, texts in values.items():
            table = table.add_column(name, texts)
        table = table.select_columns([name for name in columns if name in table.column_names])
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".tmp", delete=False) as handle:
        table.to_parquet(handle.name)
    with Path(handle.name).open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    Path(handle.name).replace(data_file(digest))
    return LockedData(revision=revision, sha256=digest, rows=len(table))
